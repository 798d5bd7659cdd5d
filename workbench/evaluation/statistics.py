"""Intervals for rates."""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from workbench.records import Interval

Z_95 = 1.959963984540054
LEVEL = 0.95


def wilson_interval(successes: int, trials: int, *, z: float = Z_95) -> Interval:
    """Success rate with its Wilson score interval (Wilson 1927), 95 % by default; (0, 0, 1) without trials.

    Example:
        >>> tuple(round(value, 4) for value in wilson_interval(8, 10))
        (0.8, 0.4902, 0.9433)
    """
    if trials == 0:
        return Interval(0.0, 0.0, 1.0)
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    # Rounding may put an end of a certain rate just past it.
    return Interval(rate, max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)))


def student_half_width(values: ArrayLike) -> NDArray[np.float64]:
    """Half of Student's 95 % interval of the mean over the last axis, (...,); NaN for one value, of which nobody knows how it varies.

    Example:
        >>> round(float(student_half_width([1.0, 2.0, 3.0])), 3)
        2.484
    """
    values_N = np.asarray(values, dtype=np.float64)
    count = values_N.shape[-1]
    if count < 2:
        return np.full(values_N.shape[:-1], np.nan)
    return np.asarray(values_N.std(axis=-1, ddof=1) / sqrt(count) * stdtrit(count - 1, (1 + LEVEL) / 2))
