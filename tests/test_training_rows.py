"""Rows of the policy's warm-up, and the orders of labels they are taught with."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.small_play import CHAIN, play_config, world_examples, world_tokenizer
from workbench.config import RunConfig, apply_overrides
from workbench.data.sets import write_sets
from workbench.models.loading import POLICY, build_players
from workbench.prompts import single_token_labels
from workbench.recipes.reflect_rl import training_rows
from workbench.store.layout import RunPaths


@pytest.fixture(scope="module")
def player():
    return build_players(play_config(CHAIN, "seed=0"), world_tokenizer(CHAIN)).policy


def rows(player, paths: RunPaths, shuffles: int) -> list[Any]:
    config = apply_overrides(RunConfig(), [f"data.label_shuffles={shuffles}"])
    session: Any = SimpleNamespace(config=config, paths=paths)
    return training_rows(session, player, POLICY)


def test_every_shuffle_teaches_each_example_once_more_in_other_orders(player, tmp_path):
    paths = RunPaths(tmp_path / "run")
    examples = world_examples(CHAIN)
    write_sets(paths.data, examples, single_token_labels(player.tokenizer), RunConfig().data, seed=0, facts={})
    taught = sum(example.split == "train" for example in examples)
    once, thrice = rows(player, paths, 1), rows(player, paths, 3)
    assert len(once) == taught and len(thrice) == 3 * taught
    assert thrice[:taught] == once, "the first order is that of the SFT sets"
    for place, first in enumerate(once):
        of_one = [thrice[place + shuffle * taught] for shuffle in range(3)]
        assert {len(row.input_ids) for row in of_one} == {len(first.input_ids)}
    # Two commands have two orders, so about half of the second round differs from the first.
    different = sum(one != other for one, other in zip(once, thrice[taught : 2 * taught], strict=True))
    assert 0.3 < different / taught < 0.7
