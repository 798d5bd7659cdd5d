"""What the Launch page is told of a configuration's size, against sums done by hand."""

import pytest
import torch

from tests.small_models import save_small
from workbench.config import RunConfig, apply_overrides
from workbench.recipes.memory import parameters, weight_bytes

HUGE = ("policy.tiny.n_layer=48", "policy.tiny.n_embd=4096", "policy.tiny.n_head=64", "policy.tiny.vocab_size=1000")


def test_numbers_of_tiny_models_are_counted_without_making_them():
    config = apply_overrides(RunConfig(), HUGE)
    # Four square matrices of attention, three of twice that width in the feed-forward part, two norms; embedding and last norm.
    one = 48 * (4 * 4096**2 + 3 * 2 * 4096**2 + 2 * 4096) + 1000 * 4096 + 4096
    assert parameters(config) == (2 * one, one)
    assert parameters(apply_overrides(config, ["reflection.kind=none"])) == (one, one)


def test_the_reward_model_counts_where_there_is_one():
    one = parameters(apply_overrides(RunConfig(), ["reflection.kind=none"]))[1]
    assert parameters(RunConfig(recipe="rlmec")) == (2 * one, one)


def test_one_base_under_two_adapters_counts_once(tmp_path):
    folder = save_small(tmp_path / "gpt2", "gpt2")
    config = apply_overrides(RunConfig(), [f"policy.model={folder}", "policy.lora.lora_r=2"])
    alone = parameters(apply_overrides(config, ["reflection.kind=none"]))
    assert parameters(config) == alone and 0 < alone[1] < alone[0]


@pytest.mark.parametrize(("settings", "size"), [([], 2.0), (["policy.load_in_8bit=true"], 1.0), (["policy.load_in_4bit=true"], 0.5)])
def test_quantised_weights_are_small(settings, size):
    assert weight_bytes(apply_overrides(RunConfig(), settings), torch.bfloat16) == size
