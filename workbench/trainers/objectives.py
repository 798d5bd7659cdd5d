"""What is minimised. Pure functions; axes: N turns, K labels of a turn."""

import torch
from torch import Tensor


def clipped_importance_weights(log_probs_N: Tensor, behaviour_log_probs_N: Tensor, *, limit: float) -> Tensor:
    """How much likelier the choice is now than when it was made, clipped to [1/limit, limit]; no gradient.

    Args:
        log_probs_N: Of the chosen commands under the present policy, nats. Float, (N,).
        behaviour_log_probs_N: When they were chosen, nats. Float, (N,).
        limit: At least 1; 1 turns weighting off.

    Example:
        >>> clipped_importance_weights(torch.tensor([0.0, 0.0]), torch.tensor([-3.0, 0.0]), limit=2.0).tolist()
        [2.0, 1.0]
    """
    return (log_probs_N.detach() - behaviour_log_probs_N).exp().clamp(1.0 / limit, limit)


def reinforce_loss(
    log_probs_N: Tensor, advantages_N: Tensor, weights_N: Tensor, entropies_N: Tensor, *, entropy_coef: float, total: int
) -> Tensor:
    """Policy gradient with an entropy bonus, both as means over ``total`` turns.

    Williams 1992 (REINFORCE with a baseline); Reflect-RL, section 3.2. The bonus is a gradient term, not a reward.

    Args:
        log_probs_N: Of the chosen commands, nats, with gradient. Float, (N,).
        advantages_N: No gradient. Float, (N,).
        weights_N: Importance weights, 1 on-policy. Float, (N,).
        entropies_N: Of each turn's distribution, nats, with gradient. Float, (N,).
        entropy_coef: Reward units per nat.
        total: Turns of the whole update, so that accumulated micro-batches add up to one mean.

    Example:
        >>> loss = reinforce_loss(
        ...     torch.tensor([-1.0]), torch.tensor([2.0]), torch.tensor([1.0]), torch.tensor([0.5]), entropy_coef=0.1, total=1
        ... )
        >>> round(loss.item(), 6)
        1.95
    """
    gain = (weights_N * advantages_N * log_probs_N).sum() + entropy_coef * entropies_N.sum()
    return -gain / total


def clipped_surrogate(
    log_probs_N: Tensor, behaviour_log_probs_N: Tensor, advantages_N: Tensor, *, low: float, high: float | None = None
) -> Tensor:
    """The clipped surrogate of each turn, to be maximised: min(ratio * A, clip(ratio, 1 - low, 1 + high) * A).

    Schulman et al. 2017 (PPO, arXiv 1707.06347), section 3. Another ``high`` than ``low`` lets unlikely choices grow faster
    (DAPO, arXiv 2503.14476).

    Args:
        log_probs_N: Of the chosen commands under the present policy, nats, with gradient. Float, (N,).
        behaviour_log_probs_N: When they were chosen, nats. Float, (N,).
        advantages_N: No gradient. Float, (N,).
        low: The ratio is clipped below at ``1 - low``.
        high: And above at ``1 + high``; as ``low`` when None.

    Example:
        >>> ratio = torch.tensor([1.5, 1.5, 0.5]).log()
        >>> clipped_surrogate(ratio, torch.zeros(3), torch.tensor([1.0, -1.0, 1.0]), low=0.2).tolist()
        [1.2000000476837158, -1.5, 0.5]
    """
    ratio_N = (log_probs_N - behaviour_log_probs_N).exp()
    clipped_N = ratio_N.clamp(1.0 - low, 1.0 + (low if high is None else high))
    return torch.minimum(ratio_N * advantages_N, clipped_N * advantages_N)


def clip_fraction(log_probs_N: Tensor, behaviour_log_probs_N: Tensor, *, low: float, high: float | None = None) -> float:
    """Share of turns whose ratio lies outside [1 - low, 1 + high]."""
    ratio_N = (log_probs_N.detach() - behaviour_log_probs_N).exp()
    outside_N = (ratio_N < 1.0 - low) | (ratio_N > 1.0 + (low if high is None else high))
    return float(outside_N.float().mean())


def value_loss(values_N: Tensor, old_values_N: Tensor, returns_N: Tensor, *, clip: float | None) -> Tensor:
    """Half the squared error of each turn's value; with ``clip`` the worse of it and that of the value held near the old one.

    Args:
        values_N: The critic's estimates, with gradient. Float, (N,).
        old_values_N: Its estimates before the update. Float, (N,).
        returns_N: What they should have been. Float, (N,).
        clip: How far a value may move within an update before its gradient ends; None turns clipping off. All in one unit.

    Example:
        >>> value_loss(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([2.0]), clip=0.5).tolist()
        [1.125]
    """
    error_N = (values_N - returns_N).square()
    if clip is not None:
        held_N = old_values_N + (values_N - old_values_N).clamp(-clip, clip)
        error_N = torch.maximum(error_N, (held_N - returns_N).square())
    return 0.5 * error_N


def label_kl(log_probs_NK: Tensor, reference_log_probs_NK: Tensor) -> Tensor:
    """KL(policy || reference) of each turn over its labels, nats, exact, (N,); differentiable. Impossible labels are -1e9 in both.

    Example:
        >>> half, uneven = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
        >>> round(label_kl(half, uneven).item(), 4)
        0.1438
    """
    return (log_probs_NK.exp() * (log_probs_NK - reference_log_probs_NK)).sum(-1)


def kl_estimate(log_probs_N: Tensor, behaviour_log_probs_N: Tensor) -> Tensor:
    """Mean KL(behaviour || present) from samples, nats: the non-negative estimator r - 1 - log r (Schulman 2020)."""
    log_ratio_N = log_probs_N.detach() - behaviour_log_probs_N
    return (log_ratio_N.exp() - 1.0 - log_ratio_N).mean()


def is_finite(loss: Tensor) -> bool:
    """True when the loss is neither infinite nor not-a-number."""
    return bool(torch.isfinite(loss.detach()).all())
