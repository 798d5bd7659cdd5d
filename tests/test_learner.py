"""What all algorithms share: the pull towards the reference, and groups of parameters clipped each by itself."""

import pytest
import torch

from tests.small_updates import assert_close, flat, fresh_policy, played_steps, settings_of, sgd
from workbench.models.policy import Decision, Policy
from workbench.trainers.checkpoint import load_modules, save_modules
from workbench.trainers.learner import Learner
from workbench.trainers.objectives import label_kl
from workbench.trainers.reinforce import Reinforce

NEAR = settings_of("reinforce", kl_coef=0.5)


@pytest.fixture(scope="module")
def steps():
    """Turns of four trajectories that earned nothing."""
    return [step._replace(return_to_go=0.0) for step in played_steps(NEAR, count=4)]


def disturb(policy: Policy) -> Policy:
    """The same small change at every call."""
    dice = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in policy.player.model.parameters():
            value.add_(0.02 * torch.randn(value.shape, generator=dice))
    return policy


def test_the_pull_towards_the_reference_is_the_gradient_of_the_divergence(steps):
    policy = fresh_policy()
    algorithm = Reinforce(policy, sgd(policy), NEAR)
    before = flat(disturb(policy))
    metrics = algorithm.update(steps, []).metrics

    decisions = [Decision(step.prompt_token_ids, step.label_token_ids) for step in steps]
    with torch.no_grad():
        reference = fresh_policy().log_probs(decisions)
    other = disturb(fresh_policy())
    other.player.trainable_parameters()
    divergence = label_kl(other.log_probs(decisions), reference).mean()
    torch.autograd.backward(0.5 * divergence)
    expected = torch.cat([one.grad.double().flatten() for one in other.player.model.parameters() if one.grad is not None])
    assert divergence.item() > 1e-4
    assert_close(before - flat(policy), expected)
    assert metrics["policy/reference_kl"] == pytest.approx(divergence.item(), rel=1e-3)
    assert metrics["loss/policy"] == pytest.approx(0.5 * divergence.item(), rel=1e-3)


def test_a_reference_comes_back_from_a_checkpoint(steps, tmp_path):
    policy = fresh_policy()
    save_modules(tmp_path, Reinforce(policy, sgd(policy), NEAR).modules)
    later = disturb(fresh_policy())
    algorithm = Reinforce(later, sgd(later), NEAR)
    assert algorithm.update(steps, []).metrics["policy/reference_kl"] == pytest.approx(0, abs=1e-6), "it began where it stands"
    load_modules(tmp_path, algorithm.modules)
    assert algorithm.update(steps, []).metrics["policy/reference_kl"] > 1e-4


def test_other_groups_are_clipped_by_themselves(steps):
    policy = fresh_policy()
    optimizer = sgd(policy)
    own = torch.nn.Parameter(torch.zeros(1))
    optimizer.add_param_group({"params": [own], "lr": 1.0})
    learner = Learner(policy, optimizer, settings_of("reinforce", max_grad_norm=1.0))
    before = flat(policy)
    metrics = learner.learn(steps, [[[0, 1]]], lambda one: one.picked_N.sum() * 1e-3 + 500.0 * own.sum())
    assert float(own.detach()) == pytest.approx(-1.0), "held to the greatest norm"
    assert metrics["policy/gradient_norm"] < 0.5
    assert float((before - flat(policy)).norm()) == pytest.approx(metrics["policy/gradient_norm"], rel=1e-3), (
        "the policy is not held back by it"
    )
