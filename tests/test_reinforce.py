"""REINFORCE: one update against the same gradient worked out in one go."""

import math

import numpy as np
import pytest
import torch

from tests.small_updates import assert_close, changes, fresh_policy, gradient, played_steps, settings_of, sgd
from workbench.config import ReplaySettings, RLSettings
from workbench.models.policy import Decision
from workbench.trainers.reinforce import Reinforce

PLAIN = settings_of("reinforce")


@pytest.fixture(scope="module")
def steps():
    """Turns of ten trajectories."""
    found = played_steps(RLSettings())
    assert len(found) > 20
    return found


@pytest.mark.parametrize("size", [1, 7, 16])
def test_micro_batches_are_one_update(steps, size):
    settings = RLSettings(max_grad_norm=1e9)
    whole, one = changes(settings, steps, steps[:5])
    parts, other = changes(settings.model_copy(update={"per_device_train_batch_size": size}), steps, steps[:5])
    assert whole.abs().max() > 1e-3
    assert_close(parts, whole)
    assert one.advantages == other.advantages
    assert {**one.metrics} == pytest.approx({**other.metrics}, abs=1e-5)


def test_the_returned_advantages_are_those_of_the_loss(steps):
    settings = RLSettings(max_grad_norm=1e9)
    change, result = changes(settings, steps)
    assert len(result.advantages) == len(steps)
    assert np.mean(result.advantages) == pytest.approx(0, abs=1e-9)
    assert np.std(result.advantages) == pytest.approx(1, abs=1e-6)
    assert_close(change, gradient(steps, result.advantages, entropy_coef=settings.entropy_coef))


def test_the_sampling_temperature_is_the_updates(steps):
    hot = PLAIN.model_copy(update={"temperature": 2.0, "entropy_coef": 0.01})
    change, _ = changes(hot, steps)
    assert_close(change, gradient(steps, [step.return_to_go for step in steps], entropy_coef=0.01, temperature=2.0))


def test_baselines_by_hand(steps):
    returns = [step.return_to_go for step in steps]
    _, plain = changes(PLAIN, steps)
    assert plain.advantages == pytest.approx(returns)
    _, batch = changes(PLAIN.model_copy(update={"baseline": "batch"}), steps)
    assert batch.advantages == pytest.approx([value - np.mean(returns) for value in returns])
    _, state = changes(PLAIN.model_copy(update={"baseline": "state"}), steps)
    assert state.advantages == pytest.approx(batch.advantages), "nothing is known of any state yet"


def test_the_second_update_knows_the_states(steps):
    policy = fresh_policy()
    algorithm = Reinforce(policy, sgd(policy), PLAIN.model_copy(update={"baseline": "state", "max_grad_norm": 1e-9}))
    algorithm.update(steps, [])
    second = algorithm.update(steps, []).advantages
    means: dict[str, list[float]] = {}
    for step in steps:
        means.setdefault(step.baseline_key, []).append(step.return_to_go)
    for step, found in zip(steps, second, strict=True):
        own = means[step.baseline_key]
        if len(own) <= 10:  # the plain mean so far
            assert found == pytest.approx(step.return_to_go - np.mean(own))


def test_replayed_steps_teach_but_neither_move_the_baseline_nor_the_scale(steps):
    odd = [step._replace(return_to_go=1000.0) for step in steps[:3]]
    settings = PLAIN.model_copy(update={"baseline": "state", "whiten_advantages": True})
    policy = fresh_policy()
    algorithm = Reinforce(policy, sgd(policy), settings)
    with_odd = algorithm.update(steps, odd)
    assert len(with_odd.advantages) == len(steps)
    assert with_odd.advantages == pytest.approx(changes(settings, steps)[1].advantages)
    assert max(algorithm.baseline.state_dict()["means"].values()) < 10


def test_replay_weights_are_clipped(steps):
    step = steps[0]._replace(return_to_go=1.0)
    nothing = [one._replace(return_to_go=0.0) for one in steps[:4]]
    now = step.log_prob
    for behaviour, limit, weight in (
        (now - 5.0, 2.0, 2.0),
        (now + 5.0, 2.0, 0.5),
        (now - math.log(1.5), 2.0, 1.5),
        (now - 5.0, 1.0, 1.0),
    ):
        settings = PLAIN.model_copy(update={"replay": ReplaySettings(max_importance_weight=limit)})
        change, _ = changes(settings, nothing, [step._replace(log_prob=behaviour)])
        assert_close(change, gradient([*nothing, step], [0, 0, 0, 0, weight]))


def test_fresh_steps_have_weight_one_whatever_was_noted(steps):
    told = [step._replace(log_prob=-20.0) for step in steps]
    change, result = changes(PLAIN, told)
    assert_close(change, changes(PLAIN, steps)[0])
    assert result.metrics["policy/kl"] > 1


def test_metrics_say_what_the_policy_was(steps):
    _, result = changes(PLAIN, steps)
    policy = fresh_policy()
    log_probs = policy.distributions([Decision(step.prompt_token_ids, step.label_token_ids) for step in steps])
    assert result.metrics["policy/entropy"] == pytest.approx(np.mean([-(np.exp(one) * one).sum() for one in log_probs]), abs=1e-5)
    assert result.metrics["policy/kl"] == pytest.approx(0, abs=1e-6)
    expected = -np.mean([step.return_to_go * one[step.chosen] for step, one in zip(steps, log_probs, strict=True)])
    assert result.metrics["loss/policy"] == pytest.approx(expected, abs=1e-5)
    norm = float(gradient(steps, [step.return_to_go for step in steps]).norm())
    assert result.metrics["policy/gradient_norm"] == pytest.approx(norm, rel=1e-4)
    assert result.metrics["policy/skipped_steps"] == 0


def test_gradients_are_clipped(steps):
    change, result = changes(PLAIN.model_copy(update={"max_grad_norm": 0.01}), steps)
    assert result.metrics["policy/gradient_norm"] > 0.1
    assert float(change.norm()) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_broken_step_is_skipped_and_counted(steps, value):
    broken = [steps[0]._replace(return_to_go=value), *steps[1:]]
    change, result = changes(PLAIN, broken)
    assert float(change.abs().max()) == 0
    assert result.metrics["policy/skipped_steps"] == 1
    assert math.isnan(result.metrics["policy/gradient_norm"])


def test_only_the_broken_group_is_skipped(steps):
    longest = max(range(len(steps)), key=lambda row: (len(steps[row].prompt_token_ids), row))
    broken = [step._replace(return_to_go=math.inf) if row == longest else step for row, step in enumerate(steps)]
    each = PLAIN.model_copy(update={"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1})
    change, result = changes(each, broken)
    assert result.metrics["policy/skipped_steps"] == 1
    assert float(change.abs().max()) > 0
    assert bool(change.isfinite().all())


def test_accumulation_decides_how_many_steps_are_taken(steps):
    size = math.ceil(len(steps) / 4)
    for passes, expected in ((0, 1), (1, 4), (2, 2), (4, 1)):
        policy = fresh_policy()
        optimizer = sgd(policy)
        taken: list[int] = []
        optimizer.register_step_post_hook(lambda *_, taken=taken: taken.append(1))
        settings = PLAIN.model_copy(update={"per_device_train_batch_size": size, "gradient_accumulation_steps": passes})
        Reinforce(policy, optimizer, settings).update(steps, [])
        assert len(taken) == expected, passes


def test_what_paid_becomes_likelier(steps):
    policy = fresh_policy()
    step = steps[0]
    pair = [step._replace(return_to_go=1.0), step._replace(chosen=1 - step.chosen, return_to_go=-1.0)]
    decision = Decision(step.prompt_token_ids, step.label_token_ids)
    before = policy.distributions([decision])[0][step.chosen]
    optimizer = torch.optim.AdamW([value for _, value in policy.player.trainable_parameters()], lr=1e-3)
    Reinforce(policy, optimizer, RLSettings()).update(pair, [])
    assert policy.distributions([decision])[0][step.chosen] > before
