"""What is minimised. Pure functions; axis: N turns."""

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


def kl_estimate(log_probs_N: Tensor, behaviour_log_probs_N: Tensor) -> Tensor:
    """Mean KL(behaviour || present) from samples, nats: the non-negative estimator r - 1 - log r (Schulman 2020)."""
    log_ratio_N = log_probs_N.detach() - behaviour_log_probs_N
    return (log_ratio_N.exp() - 1.0 - log_ratio_N).mean()


def is_finite(loss: Tensor) -> bool:
    """True when the loss is neither infinite nor not-a-number."""
    return bool(torch.isfinite(loss.detach()).all())
