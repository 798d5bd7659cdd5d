"""Arms of a study against each other: intervals over seeds and tasks, paired differences, interquartile means, profiles, ranks.

A *score table* is what one arm got: an array per seed with a score per task of that seed's evaluation. Tasks are nested in seeds, which
split them each in their own way; repeated plays of a task are averaged before, since they are not independent.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from workbench.errors import DataError
from workbench.evaluation.label_efficiency import Estimate
from workbench.evaluation.seeds import LEVEL, student_half_width
from workbench.seeding import generator

Array = NDArray[np.float64]
Scores = Mapping[int, Array]
"""Scores of an arm by seed, each (tasks,), in the order of that seed's tasks."""
RESAMPLES = 4000


class Band(NamedTuple):
    """A curve with its 95 % band, each (points,)."""

    mean: Array
    low: Array
    high: Array


def over_seeds_and_tasks(scores: Scores) -> Estimate:
    """Mean over seeds of the mean over tasks, with a two-level bootstrap interval and Student's t over seeds.

    Every resample draws seeds with replacement and, within each drawn seed, its tasks with replacement. With a single seed the
    interval knows of tasks only; that of Student's t is NaN then.

    Example:
        >>> found = over_seeds_and_tasks({0: np.array([1.0, 0.0]), 1: np.array([1.0, 1.0])})
        >>> found.mean, found.seeds, round(found.t_low, 2), round(found.t_high, 2)
        (0.75, 2, -2.43, 3.93)

    Raises:
        DataError: There is no seed, or a seed without tasks.
    """
    if not scores or any(not len(one) for one in scores.values()):
        raise DataError("an arm has a seed without any scored task; evaluate it on at least one")
    means = np.array([one.mean() for one in scores.values()])
    count, mean = len(means), float(means.mean())
    low, high = _interval(_resampled_means([scores[seed] for seed in scores]))
    half = float(student_half_width(means))
    return Estimate(mean, low, high, mean - half, mean + half, count)


def paired_difference(one: Scores, other: Scores) -> Estimate | None:
    """``one`` minus ``other`` over the seeds that both have, task by task, with intervals as above; None without a common seed.

    Raises:
        DataError: In a seed they were not scored on the same number of tasks.
    """
    common = [seed for seed in one if seed in other]
    for seed in common:
        if len(one[seed]) != len(other[seed]):
            raise DataError(
                f"seed {seed}: two arms were scored on {len(one[seed])} and {len(other[seed])} tasks; evaluate both on the same"
            )
    return over_seeds_and_tasks({seed: one[seed] - other[seed] for seed in common}) if common else None


def _resampled_means(tables: Sequence[Array]) -> Array:
    """Means of ``RESAMPLES`` two-level resamples, (RESAMPLES,)."""
    dice, count = generator(0, "two-level-bootstrap", len(tables)), len(tables)
    picked = dice.integers(count, size=(RESAMPLES, count))
    total = np.zeros(RESAMPLES)
    for place, table in enumerate(tables):
        # How often this seed was drawn in each resample; every time with tasks of its own.
        times = (picked == place).sum(axis=1)
        for repeat in range(int(times.max(initial=0))):
            drawn = table[dice.integers(len(table), size=(RESAMPLES, len(table)))].mean(axis=1)
            total += np.where(times > repeat, drawn, 0.0)
    return total / count


def _interval(samples: Array) -> tuple[float, float]:
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def interquartile_mean(values: Array) -> float:
    """Mean of the middle half of all values: robust as a median, efficient as a mean (Agarwal et al. 2021, arXiv 2108.13264).

    Example:
        >>> interquartile_mean(np.array([0.0, 1.0, 3.0, 100.0]))
        2.0
    """
    return float(trim_mean(values, proportiontocut=0.25, axis=None))


def aggregate(by_measure: Sequence[Array]) -> Estimate:
    """Interquartile mean over the runs of all measures, with a stratified bootstrap interval: runs are drawn within each measure.

    Where a measure has a single run nobody knows how it varies, and the interval is NaN.

    Args:
        by_measure: A mean score per seed for each measure, each (seeds,).
    """
    dice = generator(0, "stratified-bootstrap", len(by_measure))
    mean = interquartile_mean(np.concatenate(by_measure))
    drawn = np.concatenate([one[dice.integers(len(one), size=(RESAMPLES, len(one)))] for one in by_measure], axis=1)
    fewest, unknown = min(map(len, by_measure)), float("nan")
    low, high = _interval(trim_mean(drawn, proportiontocut=0.25, axis=1)) if fewest > 1 else (unknown, unknown)
    return Estimate(mean, low, high, unknown, unknown, fewest)


def performance_profile(by_measure: Sequence[Array], thresholds: Array) -> Band:
    """Share of runs whose score exceeds each threshold, measures weighted alike, with a stratified bootstrap band.

    Agarwal et al. 2021, section 4.2: the whole distribution of scores at once. The band is NaN where a measure has a single run.

    Example:
        >>> performance_profile([np.array([0.2, 0.6])], np.array([0.0, 0.5, 0.9])).mean.tolist()
        [1.0, 0.5, 0.0]
    """
    dice = generator(0, "profile-bootstrap", len(by_measure))
    above = [(one[:, None] > thresholds).astype(np.float64) for one in by_measure]
    samples = np.mean([one[dice.integers(len(one), size=(RESAMPLES // 4, len(one)))].mean(axis=1) for one in above], axis=0)
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    if min(map(len, by_measure)) < 2:
        low, high = np.full_like(low, np.nan), np.full_like(high, np.nan)
    return Band(np.mean([one.mean(axis=0) for one in above], axis=0), low, high)


class Ranking(NamedTuple):
    """What can be said about an order, and what cannot."""

    ranks: dict[str, tuple[int, int]]
    """Best and worst place that each arm can have; they differ where intervals overlap."""
    undecided: list[tuple[str, str]]
    """Pairs whose intervals overlap: neither is ranked before the other."""


def ranking(estimates: Mapping[str, Estimate]) -> Ranking:
    """Places of arms, as far as their intervals do not overlap; the better mean stands first in an undecided pair.

    Example:
        >>> def told(low, high):
        ...     return Estimate((low + high) / 2, low, high, low, high, 5)
        >>> found = ranking({"a": told(0.8, 0.9), "b": told(0.5, 0.7), "c": told(0.6, 0.75)})
        >>> found.ranks, found.undecided
        ({'a': (1, 1), 'b': (2, 3), 'c': (2, 3)}, [('c', 'b')])
    """
    names = sorted(estimates, key=lambda name: -estimates[name].mean)
    ranks, undecided = {}, []
    for name, own in estimates.items():
        better = sum(other.low > own.high for other in estimates.values())
        worse = sum(other.high < own.low for other in estimates.values())
        ranks[name] = (1 + better, len(estimates) - worse)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            if estimates[name].low <= estimates[other].high:
                undecided.append((name, other))
    return Ranking(ranks, undecided)
