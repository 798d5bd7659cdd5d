"""Decoding with a cache of fixed size says what decoding with one that grows says, and compiles nothing after each size has come up."""

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from tests.small_models import PLAYERS, player_named, save_small, small_player, tiny_player
from tests.test_models_loading import config_for
from workbench.config import RunConfig, apply_overrides
from workbench.models.decoding import FixedCache, GrowingCache, can_be_fixed, decoding_of, fixed_size
from workbench.models.generation import Generated, Generator
from workbench.models.language_model import LanguageModel
from workbench.models.loading import build_players
from workbench.seeding import generator

STEPS = 10


def prompts(count: int, *, longest: int = 40, seed: int = 0) -> list[tuple[int, ...]]:
    """Random ones of different lengths, every third the same as the one before."""
    dice = np.random.default_rng(seed)
    found = [tuple(map(int, dice.integers(3, 250, size=int(dice.integers(4, longest))))) for _ in range(count)]
    return [found[place - (place % 3 == 2)] for place in range(count)]


def written(player: LanguageModel, asked: list[tuple[int, ...]], *, temperature: float, ends: set[int] | None = None) -> list[Generated]:
    writer = Generator(player, max_new_tokens=STEPS, temperature=temperature, batch_size=7)
    writer.eos_ids = set() if ends is None else ends
    return writer.generate(asked, [generator(1, row) for row in range(len(asked))])


def assert_same(one: list[Generated], other: list[Generated]) -> None:
    for mine, theirs in zip(one, other, strict=True):
        assert (mine.token_ids, mine.finished) == (theirs.token_ids, theirs.finished)
        assert mine.log_probs == pytest.approx(theirs.log_probs, abs=1e-4)


@pytest.mark.parametrize("name", PLAYERS)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_fixed_cache_says_what_a_growing_one_says(name, temperature):
    player, asked = player_named(name), prompts(9)
    free = written(player, asked, temperature=temperature)
    # Tokens that come up half-way end some of the answers early, at different places.
    ends = {free[0].token_ids[4], free[1].token_ids[2]}
    ended = written(player, asked, temperature=temperature, ends=ends)
    assert len({len(one.token_ids) for one in ended}) > 1
    player.cache_implementation = "static"
    for _ in range(2):  # the second time in memory that was used before
        assert_same(written(player, asked, temperature=temperature), free)
        assert_same(written(player, asked, temperature=temperature, ends=ends), ended)
    assert (player.fixed_cache is not None) == (name != "mistral-window")


def test_models_that_attend_to_their_last_tokens_only_keep_a_growing_cache():
    player = player_named("mistral-window")
    player.cache_implementation = "compiled"
    assert not can_be_fixed(player) and isinstance(decoding_of(player), GrowingCache)


def test_sizes_are_few():
    assert fixed_size(1, 1) == (8, 32) and fixed_size(8, 32) == (8, 32) and fixed_size(9, 33) == (16, 64)
    assert fixed_size(64, 340) == (64, 352) and fixed_size(65, 340) == (128, 352)
    assert len({fixed_size(rows, length) for rows in range(1, 257) for length in range(1, 129)}) == 6 * 4


def test_caches_are_laid_out_once_for_each_size():
    player = small_player("llama")
    player.cache_implementation = "static"
    written(player, prompts(5), temperature=0.0)
    assert player.fixed_cache is not None
    (first,) = player.fixed_cache.sizes.values()
    address = first.layers[0].keys.data_ptr()
    written(player, prompts(6, seed=1), temperature=0.0)
    (again,) = player.fixed_cache.sizes.values()
    assert again is first and again.layers[0].keys.data_ptr() == address and again.layers[0].keys.shape[0] == 8


def test_nothing_is_compiled_after_each_size_has_come_up():
    player, counter = tiny_player("llama"), CompileCounter()
    expected = written(player, prompts(12), temperature=0.8)
    player.cache_implementation = "compiled"
    player.fixed_cache = FixedCache(player, compiled=True, backend=counter)
    assert_same(written(player, prompts(12), temperature=0.8), expected)
    warm = counter.frame_count
    assert 1 <= warm <= len(player.fixed_cache.sizes) + 1, "once for each size, and PyTorch may look at the first twice"
    for seed in range(1, 6):  # other prompts, other lengths, other ends
        written(player, prompts(12, seed=seed), temperature=0.8, ends={seed + 10})
    more = len(player.fixed_cache.sizes)
    assert counter.frame_count <= more + 1
    counted = counter.frame_count
    for seed in range(1, 6):
        written(player, prompts(12, seed=seed), temperature=0.8)
    assert counter.frame_count == counted and len(player.fixed_cache.sizes) == more


@pytest.mark.slow
def test_a_compiled_step_says_the_same():
    player, asked = tiny_player("llama"), prompts(9)
    expected = written(player, asked, temperature=0.0)
    player.cache_implementation = "compiled"
    assert_same(written(player, asked, temperature=0.0), expected)
    assert player.fixed_cache is not None and player.fixed_cache.sizes


def test_two_players_of_one_base_keep_apart(tmp_path):
    config = apply_overrides(config_for(save_small(tmp_path / "gpt2", "gpt2")), ["device.cache_implementation=static"])
    players = build_players(config, None)
    assert players.reflection is not None and players.policy.model is players.reflection.model
    dice = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, weight in players.reflection.trainable_parameters():
            weight.copy_(torch.randn(weight.shape, generator=dice) * 0.3)
    said = {name: written(one, prompts(4), temperature=0.0) for name, one in (("policy", players.policy), ("other", players.reflection))}
    assert said["policy"] != said["other"]
    for one in (players.policy, players.reflection):
        assert one.cache_implementation == "static"
        one.cache_implementation = "dynamic"
    assert_same(written(players.policy, prompts(4), temperature=0.0), said["policy"])
    assert_same(written(players.reflection, prompts(4), temperature=0.0), said["other"])


def test_the_setting_is_a_growing_cache_unless_asked():
    assert RunConfig().device.cache_implementation == "dynamic"
