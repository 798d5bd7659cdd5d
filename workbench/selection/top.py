"""Uncertainty alone: the prompts with the highest scores."""

import numpy as np
from numpy.typing import ArrayLike

from workbench.selection.inputs import Selection, check_budget, check_column


def top_k(scores: ArrayLike, budget: int) -> Selection:
    """The ``budget`` prompts with the highest scores, the highest first; ties go to the lowest place.

    Args:
        scores: Larger means annotate first, (N,).
        budget: How many to choose, from 1 to N.

    Returns:
        ``value`` is the sum of the chosen scores, which is the best there is, so ``bound`` is the same.

    Raises:
        DataError: The budget or the scores cannot be used.

    Example:
        >>> top_k([0.1, 0.7, 0.7, 0.3], 3).indices.tolist()
        [1, 2, 3]
    """
    scores_N = check_column(scores, None, "scores")
    budget = check_budget(budget, len(scores_N))
    chosen_K = np.argsort(-scores_N, kind="stable")[:budget]
    gains_K = scores_N[chosen_K]
    return Selection(chosen_K, float(gains_K.sum()), float(gains_K.sum()), gains_K)
