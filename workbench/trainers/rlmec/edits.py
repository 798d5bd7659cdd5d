"""Which tokens of a rewrite differ from the original: weights of the imitation term."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from torch import Tensor

from workbench.errors import ConfigError, nearest

WeightVariant = Literal["corrected", "official"]
_VARIANTS = ("corrected", "official")
Ids = Sequence[int] | Tensor | NDArray[Any]


def edit_weights(
    original_ids: Ids,
    rewrite_ids: Ids,
    *,
    edited: float = 1.0,
    kept: float = 0.5,
    variant: WeightVariant = "corrected",
) -> Tensor:
    """How much each token of a rewrite counts in imitation: more where it is new, less where it repeats the original.

    RLMEC (Chen et al. 2024, arXiv 2401.06081) takes the tokens that a shortest sequence of edits inserts or substitutes for edited.

    Args:
        original_ids: Token ids of the response, its end-of-text included.
        rewrite_ids: Token ids of the rewrite, its end-of-text included.
        edited: Weight of a token that the edits put there.
        kept: Weight of a token that was there before.
        variant: ``corrected`` marks exactly the inserted and substituted tokens. ``official`` repeats what the authors' code does: what is
            inserted at the very start counts as kept, and the kept token before a deleted span counts as edited.

    Returns:
        Float32, as long as ``rewrite_ids``; all ``kept`` where nothing was edited.

    Raises:
        ConfigError: There is no such variant.

    Example:
        >>> edit_weights([1, 2, 3], [1, 9, 3]).tolist()
        [0.5, 1.0, 0.5]
        >>> edit_weights([2, 3], [1, 2, 3]).tolist(), edit_weights([2, 3], [1, 2, 3], variant="official").tolist()
        ([1.0, 0.5, 0.5], [0.5, 0.5, 0.5])
    """
    if variant not in _VARIANTS:
        raise ConfigError(f"unknown variant {variant!r} of edit weights; {nearest(str(variant), _VARIANTS)}")
    original, rewrite = list(map(int, original_ids)), list(map(int, rewrite_ids))
    changed = _official_places(original, rewrite) if variant == "official" else edited_places(original, rewrite)
    weights = torch.full((len(rewrite),), kept, dtype=torch.float32)
    weights[changed] = edited
    return weights


def edited_places(original_ids: Sequence[int], rewrite_ids: Sequence[int]) -> list[int]:
    """Places in the rewrite that a shortest sequence of edits inserts or substitutes, ascending."""
    edits = Levenshtein.editops(list(original_ids), list(rewrite_ids))
    return [edit.dest_pos for edit in edits if edit.tag != "delete"]


def changed_places(original_ids: Sequence[int], rewrite_ids: Sequence[int]) -> list[int]:
    """Places in the original that a shortest sequence of edits deletes or substitutes, ascending."""
    edits = Levenshtein.editops(list(original_ids), list(rewrite_ids))
    return [edit.src_pos for edit in edits if edit.tag != "insert"]


def edit_distance(original_ids: Sequence[int], rewrite_ids: Sequence[int]) -> int:
    """Fewest insertions, deletions and substitutions of tokens that make one of the other (Levenshtein 1966)."""
    return int(Levenshtein.distance(list(original_ids), list(rewrite_ids)))


def _official_places(original: Sequence[int], rewrite: Sequence[int]) -> list[int]:
    """Places that the authors' walk from the ends marks; among equally short ways it drops, then inserts, then substitutes.

    A library chooses among equally short ways as it likes, so this one walk is spelled out.
    """
    distances = _distances(original, rewrite)
    places = []
    row, column = len(original), len(rewrite)
    while row > 0 and column > 0:
        if original[row - 1] == rewrite[column - 1]:
            row, column = row - 1, column - 1
            continue
        places.append(column - 1)
        cost = distances[row, column]
        if distances[row - 1, column] + 1 == cost:
            row -= 1
        elif distances[row, column - 1] + 1 == cost:
            column -= 1
        else:
            row, column = row - 1, column - 1
    return sorted(set(places))


def _distances(original: Sequence[int], rewrite: Sequence[int]) -> NDArray[np.int32]:
    """Edit distances of all beginnings, (len(original) + 1, len(rewrite) + 1)."""
    columns = np.arange(len(rewrite) + 1, dtype=np.int32)
    target = np.asarray(rewrite, dtype=np.int64)
    table = np.empty((len(original) + 1, len(rewrite) + 1), dtype=np.int32)
    table[0] = columns
    for row, token in enumerate(original, start=1):
        above = table[row - 1]
        best = above + 1
        best[1:] = np.minimum(best[1:], above[:-1] + (target != token))
        # An insertion comes from the left in the same row: the least of all earlier columns plus the way from there.
        table[row] = np.minimum.accumulate(best - columns) + columns
    return table
