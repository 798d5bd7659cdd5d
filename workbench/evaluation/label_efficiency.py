"""Label efficiency from a study's rows: curves with intervals, and whether half the annotations do what all of random's do.

Everything is paired by seed: within a seed all designs meet the same pool, base model, held-out tests and number of optimizer steps.
"""

from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import DataError
from workbench.evaluation.seeds import LEVEL, student_half_width
from workbench.seeding import generator

KEYS = ("study", "pool", "design", "budget", "seed")
RANDOM, CONTROL = "random", "shuffled"
RESAMPLES = 10_000


class Estimate(NamedTuple):
    """A mean over seeds with its intervals."""

    mean: float
    low: float
    high: float
    """95 % by bootstrap over seeds (percentiles)."""
    t_low: float
    t_high: float
    """95 % by Student's t, which with few seeds is the wider and the safer one."""
    seeds: int


def read_results(path: Path) -> pd.DataFrame:
    """A study's rows; half a line at the end, which a killed process left, is not one.

    Raises:
        DataError: The file cannot be read, lacks a column, or holds a row twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; run benchmarks/label_budget.py") from None
    try:
        frame = pd.read_csv(BytesIO(content[: content.rfind(b"\n") + 1]))
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no table of results ({' '.join(str(error).split())[:120]}); run benchmarks/label_budget.py") from None
    if missing := set(KEYS) - set(frame.columns):
        raise DataError(f"{path}: has no column {min(missing)!r}; name a file that benchmarks/label_budget.py wrote")
    if frame.duplicated(list(KEYS)).any():
        raise DataError(f"{path}: holds a row twice; two processes wrote to it, so begin it anew")
    return frame


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Mean of independent values with both intervals; NaN ones for a single value, of which nobody knows how it varies.

    Example:
        >>> [round(float(value), 3) for value in estimate(np.array([1.0, 2.0, 3.0]))]
        [2.0, 1.0, 3.0, -0.484, 4.484, 3.0]
    """
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return Estimate(mean, np.nan, np.nan, np.nan, np.nan, count)
    drawn = generator(0, "bootstrap", count).integers(count, size=(RESAMPLES, count))
    low, high = np.quantile(values[drawn].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    half = float(student_half_width(values))
    return Estimate(mean, float(low), float(high), mean - half, mean + half, count)


def curves(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean over seeds by pool, design and budget, with intervals, and the paired difference to random at the same budget.

    Returns:
        Columns pool, design, budget, the fields of :class:`Estimate`, and ``over_random``, ``over_low``, ``over_high`` (bootstrap).

    Raises:
        DataError: The results have no such column.
    """
    table = _by_seed(results, metric)
    rows = []
    for (pool, design, budget), values in table.groupby(["pool", "design", "budget"], sort=False):
        own = values.set_index("seed")[metric]
        chance = table[(table["pool"] == pool) & (table["design"] == RANDOM) & (table["budget"] == budget)].set_index("seed")[metric]
        apart = (own - chance).dropna().to_numpy(dtype=np.float64)
        over = estimate(apart) if len(apart) else Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, 0)
        found = {"pool": pool, "design": design, "budget": budget, **estimate(own.to_numpy(dtype=np.float64))._asdict()}
        rows.append({**found, "over_random": over.mean, "over_low": over.low, "over_high": over.high})
    return pd.DataFrame(rows)


def half_budgets(results: pd.DataFrame, metric: str, *, designs: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Design at half a budget minus random at all of it, by pool and budget.

    A design that is called the best because it did best in these very rows is flattered by luck. So for every seed the best design is
    the one with the best mean at half the budget over the *other* seeds, and this seed's difference is that design's: row ``best``.
    The other rows are of each design by itself.

    Args:
        results: A study's rows.
        metric: The column to compare.
        designs: Among which the best is sought; None takes all but random and the shuffled control.

    Returns:
        Columns pool, budget (random's), half, design, picked (which designs were the best, with their number of seeds; for ``best``),
        the fields of :class:`Estimate` of the difference, and ``verdict``.

    Raises:
        DataError: The results have no such column.
    """
    table = _by_seed(results, metric)
    rows = []
    for pool, own in table.groupby("pool", sort=False):
        wide = own.pivot(index="seed", columns=["budget", "design"], values=metric)
        budgets = sorted(set(own["budget"]))
        for budget in budgets:
            if budget % 2 or budget // 2 not in budgets or (budget, RANDOM) not in wide:
                continue
            chance, halves = wide[(budget, RANDOM)], wide[budget // 2]
            named = [name for name in halves.columns if name not in (RANDOM, CONTROL) and (designs is None or name in designs)]
            base = {"pool": pool, "budget": budget, "half": budget // 2}
            for name in named:
                if len(apart := (halves[name] - chance).dropna()):
                    rows.append({**base, "design": name, "picked": "", **_told(apart)})
            whole = halves[named].dropna()
            if named and len(whole) > 1:
                best = {seed: str(whole.drop(index=seed).mean().idxmax()) for seed in whole.index}
                apart = pd.Series({seed: whole.loc[seed, name] - chance[seed] for seed, name in best.items()}).dropna()
                picked = ", ".join(f"{name} ({count})" for name, count in Counter(best.values()).most_common())
                rows += [{**base, "design": "best", "picked": picked, **_told(apart)}] if len(apart) else []
    return pd.DataFrame(rows)


def _told(apart: "pd.Series[float]") -> dict[str, object]:
    found = estimate(np.asarray(apart, dtype=np.float64))
    return {**found._asdict(), "verdict": verdict(found)}


def verdict(difference: Estimate) -> str:
    """``yes`` where both intervals lie above 0, ``no`` where both lie below, ``undecided`` otherwise.

    Example:
        >>> verdict(Estimate(0.1, 0.02, 0.2, -0.01, 0.21, 5)), verdict(Estimate(0.1, 0.02, 0.2, 0.01, 0.19, 5))
        ('undecided', 'yes')
    """
    if min(difference.low, difference.t_low) > 0:
        return "yes"
    return "no" if max(difference.high, difference.t_high) < 0 else "undecided"


def _by_seed(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    if metric not in results.columns:
        raise DataError(f"the results have no column {metric!r}; they have {', '.join(metrics_of(results))}")
    return results.dropna(subset=[metric])


def metrics_of(results: pd.DataFrame) -> list[str]:
    """Columns that hold a quality of the fine-tuned model."""
    return [str(name) for name in results.columns if name not in KEYS and not str(name).endswith(("_seconds", "_chosen", "_words"))]
