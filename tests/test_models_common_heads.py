"""Prompts that begin alike are computed together, with the same numbers as alone."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DynamicCache

from tests.small_models import PLAYERS, player_named
from workbench.models.common_heads import TokenIds, common_heads
from workbench.models.language_model import LanguageModel, left_padded

TOLERANCE = 1e-5


@pytest.fixture(scope="module", params=PLAYERS)
def player(request: pytest.FixtureRequest) -> LanguageModel:
    found: LanguageModel = player_named(request.param)
    return found


def alike(vocabulary: int) -> list[TokenIds]:
    """Four states with three lists each, heads and tails of several lengths, and one prompt without kin."""
    dice = np.random.default_rng(0)

    def words(count: int) -> TokenIds:
        return tuple(dice.integers(3, vocabulary, size=count).tolist())

    prompts = [head + words(tail) for head in (words(12), words(13), words(12), words(15)) for tail in (6, 5, 6)]
    return [*prompts[::2], words(17), *prompts[1::2]]


def plainly(player: LanguageModel, prompts: Sequence[TokenIds]) -> torch.Tensor:
    logits: torch.Tensor = player.forward(left_padded(prompts, player.pad_id, player.device)).logits
    return logits[:, -1]


def test_what_begins_alike_is_fed_once() -> None:
    split = common_heads([(1, 2, 3, 4, 5), (9, 9, 9, 9), (1, 2, 3, 6, 5), (1, 2, 3, 4, 8), (9, 1, 2)])
    assert split is not None
    assert split.heads == [(1, 2, 3), (9, 9, 9), (9, 1)]
    assert split.head_of == [0, 1, 0, 0, 2]
    assert split.tails == [(4, 5), (9,), (6, 5), (4, 8), (2,)]
    assert split.padded_tokens == 3 * 3 + 5 * 2


@pytest.mark.parametrize("prompts", [[], [(1, 2, 3)], [(1, 2, 3, 4), (1, 5, 6, 7)]], ids=["none", "one", "less than half"])
def test_without_kin_there_is_nothing_to_split(prompts: list[TokenIds]) -> None:
    assert common_heads(prompts) is None


def test_equal_prompts_keep_their_last_token_apart() -> None:
    split = common_heads([(4, 5, 6), (4, 5, 6)])
    assert split is not None and split.heads == [(4, 5)] and split.tails == [(6,), (6,)]


@given(st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=8).map(tuple), max_size=12))
def test_heads_and_tails_make_the_prompts_again(prompts: list[TokenIds]) -> None:
    split = common_heads(prompts)
    if split is not None:
        assert [split.heads[place] + tail for place, tail in zip(split.head_of, split.tails, strict=True)] == prompts
        assert len(set(split.heads)) == len(split.heads) < len(prompts)
        assert all(split.heads) and all(split.tails)


def test_logits_and_gradients_equal_those_of_whole_prompts(player: LanguageModel) -> None:
    prompts = alike(player.vocabulary)
    # A cache that forgets what is far back cannot hand a head on.
    has_window = any(DynamicCache(config=player.model.config).is_sliding)
    parameters = dict(player.trainable_parameters())
    passes: list[tuple[int, ...]] = []
    player.model.register_forward_pre_hook(lambda module, args, kwargs: passes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True)
    found, gradients = [], []
    for compute in (player.last_logits, lambda prompts: plainly(player, prompts)):
        player.model.zero_grad()
        logits_BV = compute(prompts)
        logits_BV.log_softmax(-1)[:, 7].mean().backward()
        found.append(logits_BV.detach().log_softmax(-1))
        gradients.append({name: value.grad.clone() for name, value in parameters.items() if value.grad is not None})
    in_two_parts = [(5, 12), (13, 9), (13, 21)]
    assert passes == ([(13, 21), (13, 21)] if has_window else in_two_parts)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=TOLERANCE)
    assert gradients[0].keys() == gradients[1].keys() and gradients[0]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=TOLERANCE, atol=TOLERANCE)


def test_training_mode_and_few_savings_take_the_plain_way(player: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player, "tail_logits", lambda split: pytest.fail("computed in two parts"))
    prompts = alike(player.vocabulary)
    player.last_logits([prompts[0], prompts[2], prompts[3]])
    player.activate(training=True)
    player.last_logits(prompts)
    player.activate()
