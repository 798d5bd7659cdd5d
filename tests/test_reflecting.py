"""Training the reflection player: the gradient through what it said, what stays frozen, and that it resumes."""

import math

import pytest
import torch

from tests.small_play import assignments, collector
from tests.small_runs import assert_same_run, carry_on, run_config, short_config, weights
from workbench.config import apply_overrides, load_preset
from workbench.errors import ConfigError, RunStopped
from workbench.models.language_model import LanguageModel
from workbench.models.reflection import ModelReflection
from workbench.models.scoring import token_log_probs
from workbench.recipes.execute import prepare_run
from workbench.recipes.preflight import preflight
from workbench.rollout.collect import Collector
from workbench.store.writer import RunWriter
from workbench.trainers.reflecting import ReflectionLearner

SAMPLED = ("reflection.decoding=sample", "rl.train_reflection=true", "reflection.max_new_tokens=16")


def own(players: Collector) -> ModelReflection:
    assert isinstance(players.reflection, ModelReflection)
    return players.reflection


def flat(player: LanguageModel) -> torch.Tensor:
    return torch.cat([value.detach().double().flatten() for value in player.model.parameters()])


def learner(players: Collector, **changes: float) -> ReflectionLearner:
    """With a policy's group before its own, and plain gradient descent for it."""
    policy = [value for _, value in players.policy.player.trainable_parameters()]
    settings = apply_overrides(load_preset("taxi-smoke"), []).rl.model_copy(update={"max_grad_norm": 1e9, "reflection_learning_rate": 1.0})
    return ReflectionLearner(own(players), torch.optim.SGD(policy, lr=1.0), settings.model_copy(update=changes))


def test_an_update_is_the_gradient_through_what_was_said():
    players = collector(greedy=False)
    played = players.collect(assignments(count=3))
    turns = [(one, turn) for one in played for turn in one.turns]
    advantages = [0.5 * (number % 3 - 1) for number in range(len(turns))]
    before, policy = flat(own(players).player), flat(players.policy.player)
    metrics = learner(players).update(played, advantages)

    fresh = collector(greedy=False)
    player = own(fresh).player
    player.trainable_parameters()
    loss = torch.zeros(())
    for (one, turn), value in zip(turns, advantages, strict=True):
        prompt = own(fresh).prompts.reflection(one.task_statement, turn.observation).token_ids
        said = [*turn.reflection.token_ids, *([player.tokenizer.eos_token_id] if turn.reflection.finished else [])]
        for place, token in enumerate(said):
            logits = player.last_logits([[*prompt, *said[:place]]])
            log_prob = token_log_probs(logits, forbidden_ids=own(fresh).writer.forbidden_ids)[0, token]
            loss = loss - value * log_prob / len(turns)
    torch.autograd.backward(loss)
    expected = torch.cat([one.grad.double().flatten() for one in player.model.parameters() if one.grad is not None])
    torch.testing.assert_close(before - flat(own(players).player), expected, atol=1e-5, rtol=1e-3)
    assert torch.equal(policy, flat(players.policy.player)), "the policy is not touched"
    assert metrics["loss/reflection"] == pytest.approx(float(loss.detach()), abs=1e-4)
    assert metrics["reflection/gradient_norm"] == pytest.approx(float(expected.norm()), rel=1e-3)


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_nothing_to_learn_and_what_is_broken_change_nothing(value):
    players = collector(greedy=False)
    played = players.collect(assignments(count=2))
    before = flat(own(players).player)
    metrics = learner(players).update(played, [value] * sum(len(one.turns) for one in played))
    assert torch.equal(before, flat(own(players).player))
    assert metrics["reflection/skipped_steps"] == float(math.isnan(value))


@pytest.mark.parametrize("found", ["kind=oracle", "kind=none", "decoding=greedy"])
def test_who_cannot_be_trained_is_told_before_a_run_begins(found):
    config = apply_overrides(load_preset("taxi-smoke"), ["device.device=cpu", *SAMPLED, f"reflection.{found}"])
    with pytest.raises(ConfigError) as caught:
        preflight(config)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("rl.train_reflection=true needs a language model that samples, found reflection.kind=")
    assert "use --set reflection.kind=model --set reflection.decoding=sample" in message


def test_a_run_that_trains_both_players_resumes(tmp_path, monkeypatch):
    config = short_config(*SAMPLED, "sft_reflection.max_steps=2", "sft_policy.max_steps=2", "rl.max_steps=4")
    expected = run_config(tmp_path / "whole", config)
    paths = prepare_run(tmp_path, config)
    updates = iter(range(1, 100))
    with monkeypatch.context() as patched, pytest.raises(RunStopped):
        patched.setattr(RunWriter, "stop_requested", lambda self: self._status.get("phase") == "rl" and next(updates) > 2)
        carry_on(paths)
    assert_same_run(carry_on(paths), expected)
    saved = weights(expected)
    assert saved["rl/000004/reflection/model.safetensors"] != saved["sft-reflection/000002/reflection/model.safetensors"]
