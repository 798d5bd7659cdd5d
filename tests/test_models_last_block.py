"""A tiny Llama whose last block works for the last position alone computes what an ordinary one does."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedTokenizerFast

from workbench.config import TinyConfig
from workbench.models.language_model import LanguageModel, left_padded
from workbench.models.last_block import has_last_block
from workbench.models.loading import build_tiny
from workbench.models.tokenizer import train_tokenizer

TOLERANCE = 1e-5
PROMPTS = ([5, 6, 7, 8, 9, 10, 11], [12, 13, 14], [15, 16, 17, 18, 19])


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["go north\n", "go south\n"], whole=[], vocab_size=300)


@pytest.fixture
def player(tokenizer: PreTrainedTokenizerFast) -> LanguageModel:
    size = TinyConfig(n_layer=3, n_embd=32, n_head=4, n_positions=32, initializer_range=0.2)
    return LanguageModel(build_tiny(size, tokenizer, seed=3).eval(), tokenizer, adapter=None, name="tiny")


@pytest.fixture
def plain(player: LanguageModel, tmp_path: Path) -> LanguageModel:
    player.model.save_pretrained(str(tmp_path))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert has_last_block(player.model) and not has_last_block(loaded)
    return LanguageModel(loaded, player.tokenizer, adapter=None, name="plain")


@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS[:1]], ids=["padded", "alone"])
def test_logits_and_gradients_equal_plain_ones(player: LanguageModel, plain: LanguageModel, prompts: tuple[list[int], ...]) -> None:
    results = []
    for one in (player, plain):
        logits_BV = one.last_logits(prompts)
        logits_BV.log_softmax(-1)[:, 7].sum().backward()
        results.append((logits_BV.detach(), {name: value.grad for name, value in one.model.named_parameters()}))
    (logits, gradients), (expected, expected_gradients) = results
    torch.testing.assert_close(logits, expected, rtol=0, atol=TOLERANCE)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected_gradients[name], rtol=TOLERANCE, atol=TOLERANCE)


def test_only_the_last_position_goes_through_the_last_feed_forward(player: LanguageModel) -> None:
    widths = []
    player.model.model.layers[-1].mlp.register_forward_hook(lambda module, inputs, output: widths.append(output.shape[1]))
    batch = left_padded(PROMPTS, player.pad_id, player.device)
    player.forward(batch)
    player.forward(batch, positions_kept=0)
    assert widths == [1, 7]


def test_every_position_has_its_logits_when_all_are_wanted(player: LanguageModel, plain: LanguageModel) -> None:
    batch = left_padded(PROMPTS, player.pad_id, player.device)
    logits, expected = (one.forward(batch, positions_kept=0).logits for one in (player, plain))
    assert batch.mask_BT is not None
    real_BT = batch.mask_BT.bool()
    torch.testing.assert_close(logits[real_BT], expected[real_BT], rtol=0, atol=TOLERANCE)


@torch.inference_mode()
def test_a_cache_filled_by_it_continues_like_a_plain_one(player: LanguageModel, plain: LanguageModel) -> None:
    results = []
    for one in (player, plain):
        batch = left_padded(PROMPTS, one.pad_id, one.device)
        assert batch.mask_BT is not None
        cache = DynamicCache(config=one.model.config)
        one.forward(batch, past_key_values=cache, use_cache=True)
        following = batch._replace(
            token_ids_BT=torch.tensor([[20], [21], [22]]),
            mask_BT=torch.cat([batch.mask_BT, batch.mask_BT.new_ones(3, 1)], dim=1),
            positions_BT=batch.mask_BT.sum(1, keepdim=True),
        )
        results.append(one.forward(following, past_key_values=cache, use_cache=True).logits)
    torch.testing.assert_close(*results, rtol=0, atol=TOLERANCE)


def test_starting_weights_are_the_ordinary_ones(tokenizer: PreTrainedTokenizerFast) -> None:
    before = torch.get_rng_state()
    built = build_tiny(TinyConfig(n_layer=2, n_embd=32, n_head=4, n_positions=32), tokenizer, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        ordinary = AutoModelForCausalLM.from_config(built.config)
    for (name, value), (other_name, other) in zip(built.named_parameters(), ordinary.named_parameters(), strict=True):
        assert name == other_name and torch.equal(value, other)
