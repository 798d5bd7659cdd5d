"""Intervals for rates."""

from math import sqrt

from workbench.records import Interval

Z_95 = 1.959963984540054


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
