"""PPO: its parts by hand, and one update against the gradient worked out turn by turn."""

import json
import math

import numpy as np
import pytest
import torch

from tests.small_play import assignments, collector
from tests.small_updates import assert_close, flat, fresh_policy, gradient, played_steps, settings_of, sgd
from workbench.models.critic import Critic
from workbench.models.policy import Decision, Policy
from workbench.trainers.advantages import generalized_advantages
from workbench.trainers.ppo import PPO, explained_variance
from workbench.trainers.replay import Step

ONCE = {"num_ppo_epochs": 1, "num_mini_batches": 1}
PLAIN = settings_of("ppo", ppo=ONCE)


@pytest.fixture(scope="module")
def steps():
    """Turns of ten trajectories, each with some value."""
    return [step._replace(value=0.1 * (number % 5)) for number, step in enumerate(played_steps(PLAIN))]


def calibrated(algorithm: PPO) -> PPO:
    """A critic that has seen returns of mean 0 and deviation 1."""
    algorithm.critic.calibrate(torch.tensor([-1.0, 1.0]))
    return algorithm


def ppo(policy: Policy, settings=PLAIN) -> PPO:
    return calibrated(PPO(policy, sgd(policy), settings, seed=3))


def layers(critic: Critic) -> list[torch.Tensor]:
    """Weights of its layers, first to last, without what is added to them."""
    return [value for value in critic.parameters() if value.dim() == 2]


def own_advantages(steps: list[Step], lam: float = 0.95) -> list[float]:
    found = []
    for number in sorted({step.trajectory for step in steps}):
        own = [step for step in steps if step.trajectory == number]
        found += generalized_advantages([one.reward for one in own], [float(one.value or 0) for one in own], gamma=1.0, lam=lam)
    return found


def test_one_pass_over_an_update_is_the_policy_gradient_of_generalised_advantages(steps):
    policy = fresh_policy()
    before = flat(policy)
    result = ppo(policy).update(steps, [])
    expected = own_advantages(steps)
    assert result.advantages == pytest.approx(expected)
    # Before the first step every ratio is 1, so nothing is clipped.
    assert_close(before - flat(policy), gradient(steps, expected))
    assert result.metrics["policy/clip_fraction"] == 0
    assert result.metrics["policy/kl"] == pytest.approx(0, abs=1e-6)


def test_whitening_is_over_the_whole_update(steps):
    policy = fresh_policy()
    result = ppo(policy, settings_of("ppo", ppo=ONCE, whiten_advantages=True)).update(steps, [])
    assert np.mean(result.advantages) == pytest.approx(0, abs=1e-9)
    assert np.std(result.advantages) == pytest.approx(1)


def test_every_epoch_takes_every_turn_once_in_another_order(steps):
    algorithm = ppo(fresh_policy(), settings_of("ppo", ppo={"num_ppo_epochs": 3, "num_mini_batches": 4}, per_device_train_batch_size=3))
    plan = algorithm._plan(steps)
    assert len(plan) == 12
    epochs = [[sorted(row for one in step for row in one) for step in plan[start : start + 4]] for start in (0, 4, 8)]
    for parts in epochs:
        assert sorted(row for part in parts for row in part) == list(range(len(steps)))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert epochs[0] != epochs[1]
    assert max(len(rows) for step in plan for rows in step) == 3
    algorithm.updates = 1
    assert algorithm._plan(steps) != plan


def test_choices_that_went_too_far_teach_no_more(steps):
    # Behaviour found each choice half as likely: all ratios are 2, so only those with a negative advantage still have a gradient.
    told = [step._replace(log_prob=step.log_prob - math.log(2)) for step in steps]
    policy = fresh_policy()
    before = flat(policy)
    result = ppo(policy).update(told, [])
    weights = [2 * value if value < 0 else 0.0 for value in own_advantages(steps)]
    assert 0 < sum(map(bool, weights)) < len(steps)
    assert_close(before - flat(policy), gradient(steps, weights))
    assert result.metrics["policy/clip_fraction"] == 1


def test_the_value_loss_reaches_the_policy_only_where_it_may(steps):
    flat_steps = [step._replace(value=0.0, reward=0.0) for step in steps]  # no advantage: only values are learned
    moved = [step._replace(reward=1.0) if step.trajectory == 0 else step for step in flat_steps]
    for allowed in (False, True):
        policy = fresh_policy()
        algorithm = ppo(policy, settings_of("ppo", ppo={**ONCE, "critic": {"trains_policy": allowed}}, kl_coef=0.0))
        torch.nn.init.constant_(layers(algorithm.critic)[-1], 0.1)
        algorithm._gains = lambda steps, values_N: np.zeros(len(steps))  # type: ignore[method-assign]
        before, critic = flat(policy), layers(algorithm.critic)[0].clone()
        algorithm.update(moved, [])
        assert bool((before != flat(policy)).any()) is allowed
        assert not torch.equal(critic, layers(algorithm.critic)[0])


def test_the_critic_learns_what_states_are_worth(steps):
    policy = fresh_policy()
    optimizer = torch.optim.AdamW([value for _, value in policy.player.trainable_parameters()], lr=1e-9)
    settings = settings_of("ppo", ppo={"num_ppo_epochs": 30, "num_mini_batches": 1, "lam": 1.0, "critic": {"learning_rate": 2e-2}})
    algorithm = PPO(policy, optimizer, settings)
    decisions = [Decision(step.prompt_token_ids, step.label_token_ids) for step in steps]
    # Every turn earns what its place says, in units that a fresh head could not reach.
    places = [100.0 * int(step.baseline_key[-1]) for step in steps]
    told = [step._replace(trajectory=row, reward=own, return_to_go=own) for row, (step, own) in enumerate(zip(steps, places, strict=True))]
    for _ in range(2):
        values = [one.value for one in policy.judge(decisions)]
        algorithm.update([one._replace(value=value) for one, value in zip(told, values, strict=True)], [])
    found = np.array([one.value for one in policy.judge(decisions)])
    assert explained_variance(found, np.array(places)) > 0.9


def test_a_critic_says_the_mean_return_once_it_has_seen_returns():
    critic = Critic(8, hidden_size=4, seed=1)
    hidden = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    assert critic(hidden).tolist() == [0.0] * 5
    critic.calibrate(torch.tensor([1.0, 3.0]))
    assert critic(hidden).tolist() == [2.0] * 5
    assert float(critic.deviation) == 1.0
    critic.calibrate(torch.tensor([100.0, 300.0]))
    assert critic(hidden).tolist() == [2.0] * 5, "a scale that moved would move all values"
    assert torch.equal(layers(Critic(8, seed=1))[0], layers(Critic(8, seed=1))[0])
    assert not torch.equal(layers(Critic(8, seed=1))[0], layers(Critic(8, seed=2))[0])
    assert [one.shape for one in layers(Critic(8, kind="linear"))] == [(1, 8)]


def test_the_first_values_are_told_in_units_of_the_returns(steps):
    policy = fresh_policy()
    algorithm = PPO(policy, sgd(policy), settings_of("ppo", ppo={**ONCE, "lam": 1.0}))
    result = algorithm.update([step._replace(value=0.0) for step in steps], [])
    mean = np.mean([step.return_to_go for step in steps])
    # Lambda 1: the whole return beyond what a critic that knows only the mean foretells.
    assert result.advantages == pytest.approx([step.return_to_go - mean for step in steps], abs=1e-5)


def test_turns_are_played_with_a_value():
    players = collector()
    (before,) = players.collect(assignments(count=1))
    assert {turn.value for turn in before.turns} == {None}
    algorithm = ppo(players.policy)
    torch.nn.init.normal_(layers(algorithm.critic)[-1], generator=torch.Generator().manual_seed(0))
    (after,) = players.collect(assignments(count=1))
    assert [turn.probabilities for turn in after.turns] == [pytest.approx(turn.probabilities, abs=1e-6) for turn in before.turns]
    for turn in after.turns:
        hidden = players.policy.read([Decision(turn.prompt_token_ids, turn.label_token_ids)]).hidden_BE
        assert turn.value == pytest.approx(algorithm.critic(hidden).item(), abs=1e-5)
    assert len({turn.value for turn in after.turns}) > 1


def test_its_state_is_the_number_of_updates(steps):
    algorithm = ppo(fresh_policy())
    algorithm.update(steps, [])
    other = ppo(fresh_policy())
    other.load_state_dict(json.loads(json.dumps(algorithm.state_dict())))
    assert other.updates == 1
    assert set(algorithm.modules) == {"critic"}


def test_explained_variance_by_hand():
    returns = np.array([0.0, 2.0, 4.0])
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(np.array([1.0, 1.0, 1.0]), returns) == 0.0
    # Errors 0, 0, 3: variance 2, of 8/3.
    assert explained_variance(np.array([0.0, 2.0, 1.0]), returns) == pytest.approx(0.25)
    assert math.isnan(explained_variance(returns, np.ones(3)))
