from typing import NamedTuple

import numpy as np
import pytest
import torch

from tests.small_models import PLAYERS, byte_level_tokenizer, player_named, small_model, small_player
from workbench.models.generation import draw
from workbench.models.language_model import LanguageModel
from workbench.models.reflection import HintReflection, ModelReflection, ShuffledReflection
from workbench.models.scoring import token_log_probs
from workbench.prompts import cut_at_marker
from workbench.records import Reflection
from workbench.seeding import generator

STEPS = 12


class Seen(NamedTuple):
    observation: str
    generator: np.random.Generator
    task_statement: str = "Get there."
    hint: str | None = None


def situations(count=6, *, seed=0):
    return [Seen("You are at " + "x" * (3 * number) + f" {number}.", generator(seed, number)) for number in range(count)]


@pytest.fixture(scope="module", params=PLAYERS)
def player(request):
    return player_named(request.param)


def ending(player, token):
    """The same player with another token as its end-of-text, so that some reflections end early."""
    changed = LanguageModel(player.model, player.tokenizer, adapter=None, name="x")
    reflection = ModelReflection(changed, greedy=True, max_new_tokens=STEPS)
    reflection.writer.eos_ids = {token}
    return reflection


@torch.no_grad()
def recomputed(reflection, prompt, token_ids, *, temperature=1.0):
    """Log-probabilities by the whole text at once: no padding, no cache."""
    ids = torch.tensor([[*prompt, *token_ids]])
    logits = reflection.player.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    return token_log_probs(logits, temperature=temperature, forbidden_ids=reflection.writer.forbidden_ids)


def prompts_of(reflection, seen):
    return [reflection.prompts.reflection(one.task_statement, one.observation).token_ids for one in seen]


# Greedy --------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_greedy_decoding_is_the_argmax_step_by_step(player):
    reflection, seen = ModelReflection(player, greedy=True, max_new_tokens=STEPS), situations()
    found = reflection.reflect(seen)
    for prompt, one in zip(prompts_of(reflection, seen), found, strict=True):
        ids = list(prompt)
        for token, value in zip(one.token_ids, one.log_probs, strict=True):
            log_probs = token_log_probs(
                player.model(input_ids=torch.tensor([ids])).logits[:, -1], forbidden_ids=reflection.writer.forbidden_ids
            )[0]
            assert int(log_probs.argmax()) == token
            assert float(log_probs[token]) == pytest.approx(value, abs=1e-4)
            ids.append(token)
        assert one.text == player.tokenizer.decode(list(one.token_ids))
    assert len({one.token_ids for one in found}) > 1


def test_a_reflection_stops_at_its_end_of_text(player):
    seen = situations()
    free = ending(player, -1).reflect(seen)
    assert all(len(one.token_ids) == STEPS and not one.finished for one in free)
    # The fifth token of one reflection ends it there, and others at other lengths or not at all.
    end = free[2].token_ids[4]
    ended = ending(player, end)
    found = ended.reflect(seen)
    for before, after in zip(free, found, strict=True):
        expected = before.token_ids[: before.token_ids.index(end)] if end in before.token_ids else before.token_ids
        assert after.token_ids == expected
        assert after.finished == (end in before.token_ids)
        assert len(after.log_probs) == len(expected)
        assert after.log_probs == pytest.approx(before.log_probs[: len(expected)], abs=1e-4)
    assert ended.tokens_decoded == sum(len(one.token_ids) for one in found)


def test_an_end_in_the_last_place_counts_as_finished():
    player, seen = small_player("llama"), situations(1)
    free = ending(player, -1).reflect(seen)[0].token_ids
    ids = list(free)
    last = next(place for place in range(STEPS - 1, 0, -1) if ids[place] not in ids[:place])
    reflection = ending(player, ids[last])
    reflection.writer.max_new_tokens = last + 1
    found = reflection.reflect(seen)[0]
    assert found.finished and found.token_ids == free[:last]
    reflection = ending(player, ids[last])
    reflection.writer.max_new_tokens = last
    found = reflection.reflect(seen)[0]
    assert not found.finished and found.token_ids == free[:last]


def test_an_empty_reflection_is_one(player):
    free = ending(player, -1).reflect(situations(1))[0]
    found = ending(player, free.token_ids[0]).reflect(situations(1))[0]
    assert found == Reflection(text="", token_ids=(), log_probs=(), finished=True)


def test_equal_prompts_are_decoded_once():
    player = small_player("llama")
    reflection = ModelReflection(player, greedy=True, max_new_tokens=STEPS)
    seen = situations(3)
    first = reflection.reflect([*seen, *seen, seen[0]])
    assert first == [*first[:3], *first[:3], first[0]]
    decoded = reflection.tokens_decoded
    assert decoded == sum(len(one.token_ids) for one in first[:3])
    assert reflection.reflect(seen[::-1]) == first[2::-1]
    assert reflection.tokens_decoded == decoded
    reflection.reflect(situations(4))
    assert reflection.tokens_decoded > decoded
    assert reflection.reflect([]) == []


# Sampled -------------------------------------------------------------------------------------------------


def sampled(player, *, temperature=1.0, batch_size=256):
    return ModelReflection(player, greedy=False, temperature=temperature, max_new_tokens=STEPS, batch_size=batch_size)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_stored_log_probs_are_the_recomputed_ones(player, temperature):
    reflection, seen = sampled(player, temperature=temperature), situations()
    for prompt, one in zip(prompts_of(reflection, seen), reflection.reflect(seen), strict=True):
        log_probs = recomputed(reflection, prompt, one.token_ids, temperature=temperature)
        chosen = log_probs[torch.arange(len(one.token_ids)), list(one.token_ids)]
        assert one.log_probs == pytest.approx(chosen.tolist(), abs=1e-4)


def test_what_is_sampled_does_not_depend_on_the_company(player):
    together = sampled(player).reflect(situations())
    in_pairs = sampled(player, batch_size=2).reflect(situations())
    backwards = sampled(player).reflect(situations()[::-1])[::-1]
    alone = [sampled(player).reflect([one])[0] for one in situations()]
    for one, *others in zip(together, in_pairs, backwards, alone, strict=True):
        for other in others:
            assert (other.text, other.token_ids, other.finished) == (one.text, one.token_ids, one.finished)
            assert other.log_probs == pytest.approx(one.log_probs, abs=1e-4)


def test_sampling_follows_the_generators():
    player = small_player("qwen2")
    assert sampled(player).reflect(situations(seed=1)) == sampled(player).reflect(situations(seed=1))
    assert sampled(player).reflect(situations(seed=1)) != sampled(player).reflect(situations(seed=2))
    reflection, seen = sampled(player), situations(1)
    assert len({reflection.reflect(seen)[0].token_ids for _ in range(5)}) > 1  # not remembered
    assert reflection.memo == {}


def test_samples_follow_the_models_probabilities():
    log_probs = torch.tensor([[0.1, 0.2, 0.0, 0.7]]).log().repeat(4000, 1)
    picked = draw(log_probs, [generator(0, number) for number in range(4000)])
    shares = torch.bincount(picked, minlength=4) / 4000
    assert shares.tolist() == pytest.approx([0.1, 0.2, 0.0, 0.7], abs=0.03)
    assert shares[2] == 0


def test_special_and_unknown_tokens_are_never_sampled():
    tokenizer = byte_level_tokenizer(bos=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|user|>"], "pad_token": "<|pad|>"})
    # As hub models have it: more embeddings than the tokenizer has entries.
    player = LanguageModel(small_model("qwen2", len(tokenizer) + 40), tokenizer, adapter=None, name="x")
    allowed = set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)
    for greedy in (True, False):
        reflection = ModelReflection(player, greedy=greedy, temperature=8.0, max_new_tokens=30)
        said = {token for one in reflection.reflect(situations(20)) for token in one.token_ids}
        assert said and said <= allowed
    forbidden = set(reflection.writer.forbidden_ids.tolist())
    assert tokenizer.eos_token_id not in forbidden  # it ends reflections
    assert len(forbidden) == 2 + 40


def test_the_player_is_frozen_while_it_reflects(player):
    player.model.train()
    weights = {name: value.clone() for name, value in player.model.state_dict().items()}
    sampled(player).reflect(situations(2))
    assert not player.model.training
    assert all(value.grad is None for value in player.model.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in player.model.state_dict().items())


def test_prompts_leave_room_for_the_reflection():
    player = small_player("gpt2")
    reflection = ModelReflection(player, greedy=True, max_new_tokens=STEPS)
    long = Seen("x y " * 600, generator(0))
    assert len(prompts_of(reflection, [long])[0]) == player.context - STEPS
    assert len(reflection.reflect([long])[0].token_ids) <= STEPS


# What may not be said ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["go\n# Choose:\n0 north", "# Action:\n3", "fine", "x # Analyze: y"])
def test_a_reflection_that_contains_a_marker_ends_before_it(text):
    player = small_player("gpt2")
    reflection = ModelReflection(player, greedy=True, max_new_tokens=STEPS)
    ids = player.tokenizer.encode(text)
    found = reflection._reflection(ids, [-1.0] * len(ids), finished=True)
    assert found.text == cut_at_marker(text)
    assert player.tokenizer.decode(list(found.token_ids)) == found.text
    assert len(found.log_probs) == len(found.token_ids)
    assert tuple(ids[: len(found.token_ids)]) == found.token_ids


# The other kinds -----------------------------------------------------------------------------------------


def test_hints_are_passed_on():
    player = HintReflection()
    assert player.wants_hint
    seen = [Seen("a", generator(0), hint="Go west."), Seen("b", generator(0))]
    assert player.reflect(seen) == [Reflection("Go west."), Reflection("")]


def test_shuffled_reflections_are_drawn_by_each_trajectorys_generator():
    pool = [Reflection(f"thought {number}") for number in range(10)]
    player = ShuffledReflection(pool)
    assert not player.wants_hint
    first = player.reflect(situations(50))
    assert set(first) <= set(pool) and len(set(first)) > 5
    assert player.reflect(situations(50)) == first
    assert [player.reflect([one])[0] for one in situations(50)] == first
    assert player.reflect(situations(50, seed=1)) != first
