"""How good a generative reward model is: measured, before anything is trained by it. Pure functions.

Axis letter: N tokens.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from sklearn.metrics import roc_auc_score

from workbench.seeding import generator


class Bin(NamedTuple):
    """Tokens of about equal probability."""

    low: float
    high: float
    tokens: int
    probability: float
    """Their mean probability under the reward model."""
    kept: float
    """Share of them that need not change."""


def edit_auroc(probabilities_N: Sequence[float], is_edited_N: Sequence[bool]) -> float | None:
    """Area under the ROC curve of one minus the probability against the true edit set: 0.5 is chance, 1 finds every edit first.

    Returns:
        None where there is nothing to tell apart: all tokens must change, or none.

    Example:
        >>> edit_auroc([0.9, 0.1, 0.8], [False, True, False])
        1.0
    """
    edited = np.asarray(is_edited_N, dtype=bool)
    if edited.all() or not edited.any():
        return None
    return float(roc_auc_score(edited, 1.0 - np.asarray(probabilities_N, dtype=np.float64)))


def shuffled_auroc(probabilities_N: Sequence[float], is_edited_N: Sequence[bool], *, seed: int) -> float | None:
    """The same after the probabilities have been dealt out anew among the tokens: the control, near 0.5."""
    order = generator(seed, "shuffled-auroc").permutation(len(probabilities_N))
    return edit_auroc(np.asarray(probabilities_N, dtype=np.float64)[order].tolist(), is_edited_N)


def calibration(probabilities_N: Sequence[float], is_edited_N: Sequence[bool], *, bins: int = 10) -> list[Bin]:
    """Tokens by their probability, and how many of them may really stay; empty bins are left out."""
    probabilities = np.asarray(probabilities_N, dtype=np.float64)
    kept = ~np.asarray(is_edited_N, dtype=bool)
    places: NDArray[np.int64] = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    found = []
    for place in np.unique(places):
        own = places == place
        low, high = float(place) / bins, float(place + 1) / bins
        found.append(Bin(low, high, int(own.sum()), float(probabilities[own].mean()), float(kept[own].mean())))
    return found


def calibration_error(table: Sequence[Bin]) -> float:
    """Mean distance of probability and share kept, weighted by tokens (expected calibration error, Naeini et al. 2015).

    Example:
        >>> round(calibration_error([Bin(0.0, 0.1, 1, 0.05, 0.25), Bin(0.9, 1.0, 3, 1.0, 1.0)]), 6)
        0.05
    """
    tokens = sum(one.tokens for one in table)
    return sum(one.tokens * abs(one.probability - one.kept) for one in table) / max(1, tokens)


def edit_share(original_ids: Sequence[int], rewrite_ids: Sequence[int]) -> float:
    """Edits of a rewrite over the tokens of the original: 0 changed nothing; the smaller, the closer to a minimum edit.

    Example:
        >>> edit_share([1, 2, 3, 4], [1, 9, 3, 4])
        0.25
    """
    return float(Levenshtein.distance(list(original_ids), list(rewrite_ids))) / max(1, len(original_ids))
