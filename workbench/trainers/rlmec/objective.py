"""RLMEC's objective: a token-level policy gradient beside weighted imitation of the rewrites. Pure functions.

Axis letters: N tokens of responses, M tokens of rewrites. Each function gives a term for every token before it is divided, so that what a
token contributes to the loss can be shown and summed.
"""

from typing import Literal

import torch
from torch import Tensor

Clip = Literal["weight", "ppo"]
_LARGEST_LOG_RATIO = 20.0
"""Nats; exp of more overflows sooner or later, and no update comes near it."""


def importance_ratio(log_probs_N: Tensor, old_log_probs_N: Tensor) -> Tensor:
    """How many times likelier a token is now than under the policy that the rewards belong to, float32, (N,). Differentiable."""
    return (log_probs_N.float() - old_log_probs_N.float()).clamp(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO).exp()


def rl_terms(log_probs_N: Tensor, old_log_probs_N: Tensor, rewards_N: Tensor, *, clip: Clip = "weight", epsilon: float = 0.3) -> Tensor:
    """What each token adds to the policy loss before division, (N,), with the reward in the place of an advantage.

    ``weight``: minus g log pi, where g = min(ratio r, clip(ratio, 1 - epsilon, 1 + epsilon) r) has no gradient. So the authors' code does
    it (Chen et al. 2024, arXiv 2401.06081): clipping bounds the weight of a token and never stops its update. ``ppo``: minus
    min(ratio r, clip(ratio) r) with gradient (Schulman et al. 2017, arXiv 1707.06347), which stops where the ratio has gone far enough.
    Both have the same gradient within the clip range.

    Args:
        log_probs_N: Under the present policy, nats, with gradient. Float, (N,).
        old_log_probs_N: Under the policy that wrote the responses, nats. Float, (N,).
        rewards_N: No gradient. Float, (N,).
        clip: See above.
        epsilon: Half-width of the range in which the ratio counts as it is.

    Example:
        >>> round(rl_terms(torch.tensor([-1.0]), torch.tensor([-1.0]), torch.tensor([0.5])).item(), 6)
        0.5
        >>> round(rl_terms(torch.tensor([-1.0]), torch.tensor([-1.0]), torch.tensor([0.5]), clip="ppo").item(), 6)
        -0.5
    """
    rewards_N = rewards_N.float().detach()
    log_probs_N = log_probs_N.float()
    rewarded_N = rewards_N != 0
    # A token without reward takes no part: were its ratio infinite, zero times it would be not-a-number.
    none_N = torch.zeros_like(log_probs_N)
    ratio_N = importance_ratio(torch.where(rewarded_N, log_probs_N, none_N), torch.where(rewarded_N, old_log_probs_N, none_N))
    gain_N = torch.minimum(ratio_N * rewards_N, ratio_N.clamp(1 - epsilon, 1 + epsilon) * rewards_N)
    if clip == "weight":
        gain_N = gain_N.detach() * torch.where(rewarded_N, log_probs_N, none_N)
    return -gain_N


def imitation_terms(log_probs_M: Tensor, weights_M: Tensor) -> Tensor:
    """What each token of a rewrite adds to the imitation loss before division: its weighted negative log-likelihood, nats, (M,).

    Example:
        >>> imitation_terms(torch.tensor([-2.0, -2.0]), torch.tensor([1.0, 0.5])).tolist()
        [2.0, 1.0]
    """
    weighted_M: Tensor = -weights_M.float().detach() * log_probs_M.float()
    return weighted_M


def counted(values: Tensor) -> int:
    """How many values are not zero, and at least 1: what a term is divided by, also where a batch has no reward at all."""
    return max(1, int((values != 0).sum()))


def rl_loss(
    log_probs_N: Tensor,
    old_log_probs_N: Tensor,
    rewards_N: Tensor,
    *,
    clip: Clip = "weight",
    epsilon: float = 0.3,
    total: int | None = None,
) -> Tensor:
    """Mean of :func:`rl_terms` over ``total`` tokens; the rewarded ones of this batch when None. 0 where no token has a reward.

    Example:
        >>> rl_loss(torch.tensor([-1.0]), torch.tensor([-1.0]), torch.tensor([0.0])).item()
        0.0
    """
    terms_N = rl_terms(log_probs_N, old_log_probs_N, rewards_N, clip=clip, epsilon=epsilon)
    return terms_N.sum() / (counted(rewards_N) if total is None else max(1, total))


def imitation_loss(log_probs_M: Tensor, weights_M: Tensor, *, total: int | None = None) -> Tensor:
    """Mean of :func:`imitation_terms` over ``total`` tokens; those of this batch with a weight when None."""
    return imitation_terms(log_probs_M, weights_M).sum() / (counted(weights_M) if total is None else max(1, total))


def rlmec_loss(rl: Tensor, imitation: Tensor, *, rl_coef: float = 1.0, imitation_coef: float = 1.0) -> Tensor:
    """The whole objective: policy loss plus ``imitation_coef`` times imitation; ``rl_coef`` 0 leaves the policy loss out."""
    return rl_coef * rl + imitation_coef * imitation
