"""What is minimised, worked by hand."""

import math

import pytest
import torch

from workbench.trainers.objectives import (
    clip_fraction,
    clipped_importance_weights,
    clipped_surrogate,
    is_finite,
    kl_estimate,
    label_kl,
    reinforce_loss,
    value_loss,
)


def test_importance_weights_by_hand():
    now, then = torch.log(torch.tensor([0.5, 0.3, 0.01])), torch.log(torch.tensor([0.4, 0.9, 0.5]))
    # 1.25; 1/3, clipped to 1/2; 0.02, clipped to 1/2.
    assert clipped_importance_weights(now, then, limit=2.0).tolist() == pytest.approx([1.25, 0.5, 0.5])
    assert clipped_importance_weights(now, then, limit=1.0).tolist() == [1.0, 1.0, 1.0]
    assert clipped_importance_weights(then, now, limit=2.0).tolist() == pytest.approx([0.8, 2.0, 2.0])


def test_importance_weights_pass_no_gradient():
    now = torch.tensor([-1.0], requires_grad=True)
    assert not clipped_importance_weights(now, torch.tensor([-2.0]), limit=5.0).requires_grad


def test_loss_and_gradient_by_hand():
    log_probs = torch.tensor([-1.0, -2.0], requires_grad=True)
    entropies = torch.tensor([0.5, 0.7], requires_grad=True)
    loss = reinforce_loss(log_probs, torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.5]), entropies, entropy_coef=0.1, total=2)
    # -(1 * 2 * -1 + 0.5 * -1 * -2 + 0.1 * (0.5 + 0.7)) / 2 = -(-2 + 1 + 0.12) / 2
    assert loss.item() == pytest.approx(0.44)
    torch.autograd.backward(loss)
    assert log_probs.grad is not None and entropies.grad is not None
    assert log_probs.grad.tolist() == pytest.approx([-1.0, 0.25])
    assert entropies.grad.tolist() == pytest.approx([-0.05, -0.05])


def test_micro_batches_add_up_to_the_whole():
    generator = torch.Generator().manual_seed(0)
    log_probs, advantages, weights, entropies = torch.rand(4, 7, generator=generator).unbind()
    whole = reinforce_loss(-log_probs, advantages, weights, entropies, entropy_coef=0.01, total=7)
    parts = [
        reinforce_loss(-log_probs[rows], advantages[rows], weights[rows], entropies[rows], entropy_coef=0.01, total=7)
        for rows in (slice(0, 3), slice(3, 4), slice(4, 7))
    ]
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), abs=1e-7)


def test_kl_by_hand():
    # Ratios 2 and 1/2: (2 - 1 - ln 2 + 0.5 - 1 + ln 2) / 2 = 0.25.
    then = torch.log(torch.tensor([0.3, 0.6]))
    now = torch.log(torch.tensor([0.6, 0.3]))
    assert kl_estimate(now, then).item() == pytest.approx(0.25)
    assert kl_estimate(now, now).item() == 0.0


def test_the_clipped_surrogate_by_hand():
    ratios = torch.tensor([1.5, 0.5, 1.5, 0.5, 1.1]).log().requires_grad_()
    advantages = torch.tensor([2.0, 2.0, -2.0, -2.0, 2.0])
    found = clipped_surrogate(ratios, torch.zeros(5), advantages, low=0.2, high=0.3)
    # Up to 1.3 * 2; 0.5 * 2; -1.5 * 2, the worse of the two; -0.8 * 2, likewise; 1.1 * 2.
    assert found.tolist() == pytest.approx([2.6, 1.0, -3.0, -1.6, 2.2])
    torch.autograd.backward(found.sum())
    assert ratios.grad is not None
    # Where the clipped one is taken nothing is left to gain; elsewhere the gradient is the term itself.
    assert ratios.grad.tolist() == pytest.approx([0.0, 1.0, -3.0, 0.0, 2.2])
    assert clip_fraction(ratios, torch.zeros(5), low=0.2, high=0.3) == pytest.approx(0.8)
    assert clip_fraction(ratios, torch.zeros(5), low=0.6) == 0.0


def test_the_value_loss_by_hand():
    values, old, returns = torch.tensor([1.0, 1.0, 0.2]).requires_grad_(), torch.tensor([0.0, 0.0, 0.0]), torch.tensor([2.0, 0.9, 1.0])
    assert value_loss(values, old, returns, clip=None).tolist() == pytest.approx([0.5, 0.005, 0.32])
    found = value_loss(values, old, returns, clip=0.5)
    # Held at 0.5: errors 1.5 and 0.4, worse than 1 and 0.1; the third has not moved so far.
    assert found.tolist() == pytest.approx([1.125, 0.08, 0.32])
    torch.autograd.backward(found.sum())
    assert values.grad is not None
    assert values.grad.tolist() == pytest.approx([0.0, 0.0, -0.8])


def test_the_distance_of_two_distributions_by_hand():
    policy, reference = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]), torch.tensor([[0.25, 0.75, 0.0], [0.2, 0.3, 0.5]])
    logs = [values.log().clamp_min(-1e9) for values in (policy, reference)]
    # 0.5 ln 2 + 0.5 ln (2/3); the same distribution; a label that stands for no command counts for nothing.
    assert label_kl(*logs).tolist() == pytest.approx([0.5 * math.log(2) + 0.5 * math.log(2 / 3), 0.0])


def test_kl_is_what_it_estimates():
    behaviour, present = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.5, 0.3, 0.2])
    exact = (behaviour * (behaviour / present).log()).sum().item()
    chosen = torch.multinomial(behaviour, 200_000, replacement=True, generator=torch.Generator().manual_seed(0))
    # The estimator's standard error is about 0.0003 with so many samples.
    assert kl_estimate(present.log()[chosen], behaviour.log()[chosen]).item() == pytest.approx(exact, abs=0.002)


@pytest.mark.parametrize(("value", "finite"), [(0.0, True), (-1e30, True), (math.inf, False), (-math.inf, False), (math.nan, False)])
def test_a_loss_is_finite_or_not(value, finite):
    assert is_finite(torch.tensor(value)) is finite
