"""What every design takes and gives: checked numbers in, an ordered choice out.

Axis letters: N prompts of the pool, K chosen ones, D embedding dimensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import DataError

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What a design chose.

    Args:
        indices: Places in the pool, in order of choice: every beginning is the choice for a smaller budget where the design is
            greedy. Int64, (K,), without repetition.
        value: What the design optimises, for this choice: coverage (facility location, the more the better), covering radius
            (k-center, the less the better) or the sum of scores; None where nothing is optimised.
        bound: What no choice of this size can surpass: an upper bound of the coverage, a lower bound of the radius; None where unknown.
        gains: What each choice added, in order. Float64, (K,); None where undefined.
        facts: How it was chosen (width, evaluations, quotas, ...): plain values for a report.
    """

    indices: Integers
    value: float | None = None
    bound: float | None = None
    gains: Doubles | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def check_budget(budget: int, pool: int) -> int:
    """``budget`` when it can be spent on ``pool`` prompts.

    Raises:
        DataError: The pool is empty, or the budget is no whole number from 1 to its size.
    """
    if pool == 0:
        raise DataError("the pool is empty; name one with at least one prompt")
    if isinstance(budget, bool) or not isinstance(budget, (int, np.integer)) or budget < 1:
        raise DataError(f"the budget has to be a whole number from 1, found {budget!r}")
    if budget > pool:
        raise DataError(f"the budget is {budget} but the pool has {pool} prompts; lower the budget or enlarge the pool")
    return int(budget)


def check_embeddings(embeddings: ArrayLike) -> Floats:
    """``embeddings`` as contiguous float32, (N, D).

    Raises:
        DataError: They are not a table of finite numbers that float32 can hold.
    """
    try:
        # numpy warns about numbers too large for float32; the check below says it better.
        with np.errstate(over="ignore"):
            table_ND = np.ascontiguousarray(embeddings, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"embeddings have to be a table of numbers, one row a prompt ({error})") from None
    if table_ND.ndim != 2 or 0 in table_ND.shape[1:]:
        raise DataError(f"embeddings have to be a table, one row a prompt, found shape {table_ND.shape}")
    finite_N = np.isfinite(table_ND).all(axis=1)
    if not finite_N.all():
        bad = int((~finite_N).sum())
        raise DataError(f"{bad} embeddings hold NaN or infinity, the first in row {int(finite_N.argmin())}; embed these prompts again")
    return table_ND


def check_column(values: ArrayLike, pool: int | None, what: str, *, positive: bool = False) -> Doubles:
    """``values`` as float64, (N,).

    Args:
        values: One number a prompt.
        pool: How many there have to be; None for any number.
        what: Their name in messages, e.g. ``scores``.
        positive: Negative numbers are refused.

    Raises:
        DataError: Their number, a NaN or infinity, or a sign is wrong.
    """
    try:
        column_N = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} have to be numbers, one a prompt ({error})") from None
    if column_N.ndim != 1 or (pool is not None and len(column_N) != pool):
        raise DataError(f"{what} have to be one number a prompt{f', {pool} in all' if pool else ''}, found shape {column_N.shape}")
    if not np.isfinite(column_N).all():
        raise DataError(f"{what} hold NaN or infinity, the first in row {int(np.isfinite(column_N).argmin())}; score these prompts again")
    if positive and len(column_N) and column_N.min() < 0:
        raise DataError(f"{what} may not be negative, found {column_N.min():g} in row {int(column_N.argmin())}")
    return column_N
