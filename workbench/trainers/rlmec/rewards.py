"""What each token of a response earns: RLMEC's law, and the controls it is compared with. Pure functions.

Axis letters: T tokens of one response, B responses, N tokens of many responses one after another, S responses.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.errors import ConfigError, DataError

_ROUNDING = 1e-5


def token_rewards(
    probabilities: Tensor | Sequence[float],
    is_right: bool | Tensor | Sequence[bool],
    *,
    threshold: float = 0.5,
    floor: float = -0.1,
    ceiling: float = 0.5,
) -> Tensor:
    """RLMEC's reward law: how far the reward model's probability of each token lies above or below a threshold, clipped.

    The probability is that of the response's own token where the reward model rewrites the response with as few edits as possible: low
    where it would change something. A right response earns between 0 and ``ceiling`` a token and is never punished; a wrong one between
    ``floor`` and 0 and is never praised, so that its wrong tokens lose and what may stay is left alone. As the authors' code has it
    (Chen et al. 2024, arXiv 2401.06081). The end-of-text is a token like others.

    Args:
        probabilities: Of the tokens of the response, under the reward model, each in [0, 1]. Float, (T,), (N,) or (B, T).
        is_right: Whether the response is right: one for all, one for every token, or, beside (B, T), one for every row.
        threshold: Probability from which on a token is as good as kept.
        floor: Lowest reward of a token of a wrong response; at most 0.
        ceiling: Highest reward of a token of a right response; at least 0.

    Returns:
        Rewards, no unit, float32, of the probabilities' shape; no gradient.

    Raises:
        DataError: A value is no probability.
        ConfigError: ``floor`` is above 0 or ``ceiling`` below it.

    Example:
        >>> token_rewards([0.9, 0.45, 0.0], False).tolist() == torch.tensor([0.0, -0.05, -0.1]).tolist()
        True
        >>> token_rewards([1.0, 0.75, 0.2], True).tolist()
        [0.5, 0.25, 0.0]
    """
    if floor > 0 or ceiling < 0:
        raise ConfigError(f"rewards need floor <= 0 <= ceiling, found floor={floor} and ceiling={ceiling}")
    found = torch.as_tensor(probabilities, dtype=torch.float32).detach()
    odd = ~((found >= 0) & (found <= 1 + _ROUNDING))  # NaN is odd, too
    if odd.any():
        raise DataError(f"token rewards are made from probabilities between 0 and 1, found {found[odd][0].item()}; exponentiate log-probs")
    right = torch.as_tensor(is_right, dtype=torch.bool, device=found.device)
    if found.ndim == 2 and right.ndim == 1:
        right = right[:, None]
    above = found - threshold
    return torch.where(right, above.clamp(0.0, ceiling), above.clamp(floor, 0.0))


def uniform_rewards(is_right: bool, length: int, *, floor: float = -0.1, ceiling: float = 0.5) -> Tensor:
    """The same for every token: ``ceiling`` where the response is right, ``floor`` where it is wrong. Float32, (T,)."""
    return torch.full((length,), ceiling if is_right else floor)


def oracle_rewards(is_edited: Sequence[bool], is_right: bool, *, floor: float = -0.1, ceiling: float = 0.5) -> Tensor:
    """What a perfect reward model would give: ``floor`` on the tokens that must change, 0 on the rest of a wrong response.

    Args:
        is_edited: For every token whether it belongs to the true edit set. (T,).
        is_right: Whether the response is right; all its tokens earn ``ceiling`` then.

    Example:
        >>> oracle_rewards([False, True], False).tolist() == torch.tensor([0.0, -0.1]).tolist()
        True
    """
    if is_right:
        return uniform_rewards(True, len(is_edited), ceiling=ceiling)
    return torch.where(torch.tensor(is_edited, dtype=torch.bool), floor, 0.0)


def process_rewards(
    token_steps: Sequence[int], first_wrong_step: int | None, is_right: bool, *, floor: float = -0.1, ceiling: float = 0.5
) -> Tensor:
    """One reward a step: ``ceiling`` for the steps before the first wrong one, ``floor`` from there on.

    Args:
        token_steps: For every token the step it belongs to, counted from 0. (T,).
        first_wrong_step: Where a wrong response goes wrong; None where nobody knows, and then every step is punished.
        is_right: Whether the response is right; all its tokens earn ``ceiling`` then.

    Example:
        >>> process_rewards([0, 0, 1], 1, False).tolist() == torch.tensor([0.5, 0.5, -0.1]).tolist()
        True
    """
    if is_right:
        return uniform_rewards(True, len(token_steps), ceiling=ceiling)
    wrong_from = first_wrong_step if first_wrong_step is not None else 0
    return torch.where(torch.tensor(token_steps) < wrong_from, ceiling, floor)


def first_step_blamed(rewards_T: Tensor, token_steps: Sequence[int]) -> Tensor:
    """Rewards without the blame that lies behind the first step with any.

    A reward model that mends a whole solution doubts what follows from a mistake, too, such as a number that was copied from it. Given the
    mistake that is right: who punishes it teaches not to copy.

    Args:
        rewards_T: Of the tokens of one response. Float, (T,).
        token_steps: For every token the step it belongs to, in order. (T,).

    Returns:
        The same rewards, those below 0 in later steps set to 0. Float32, (T,).

    Example:
        >>> first_step_blamed(torch.tensor([0.0, -0.5, -0.25]), [0, 1, 2]).tolist()
        [0.0, -0.5, 0.0]
    """
    steps_T = torch.tensor(token_steps)
    blamed_T = rewards_T < 0
    if not blamed_T.any():
        return rewards_T
    return rewards_T.masked_fill(blamed_T & (steps_T > steps_T[blamed_T].min()), 0.0)


def sequence_advantages(scores_S: Tensor, groups_S: Sequence[int] | None = None) -> Tensor:
    """One number for a whole response, from which others' mean is taken and whose spread is one.

    Args:
        scores_S: 1 where a response is right, 0 where it is wrong. Float, (S,).
        groups_S: Which responses answer the same problem: they are compared with one another alone (GRPO, Shao et al. 2024,
            arXiv 2402.03300). None compares all with all, as whitening does in PPO without a critic.

    Returns:
        Float32, (S,); 0 where all scores that are compared are equal, since nothing can be learnt there.

    Example:
        >>> sequence_advantages(torch.tensor([1.0, 0.0, 1.0, 1.0]), [0, 0, 1, 1]).tolist()
        [1.0, -1.0, 0.0, 0.0]
    """
    scores_S = scores_S.float()
    group_S = torch.zeros(len(scores_S), dtype=torch.long) if groups_S is None else torch.tensor(groups_S)
    result_S = torch.zeros_like(scores_S)
    for group in sorted(set(group_S.tolist())):
        own = group_S == group
        spread = scores_S[own].std(correction=0)
        if spread > 0:
            result_S[own] = (scores_S[own] - scores_S[own].mean()) / spread
    return result_S
