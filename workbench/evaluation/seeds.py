"""What several runs that differ in their seed have in common: mean and interval."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

LEVEL = 0.95


def over_seeds(curves: Sequence["pd.Series[float]"]) -> pd.DataFrame:
    """Mean of one curve over runs, with Student's 95 % interval of that mean.

    Args:
        curves: The curve of each run, its index the updates. An update that a run lacks is left out: where the number of
            runs changes, the mean would jump without any run having jumped.

    Returns:
        Columns ``mean``, ``low``, ``high``, indexed by update; ``low`` and ``high`` are NaN for one run, of which nobody
        knows how it varies.

    Example:
        >>> one, other = pd.Series([0.4, 0.6], index=[1, 2]), pd.Series([0.6], index=[1])
        >>> over_seeds([one, other]).round(3).to_dict("index")
        {1: {'mean': 0.5, 'low': -0.771, 'high': 1.771}}
    """
    if not curves:
        return pd.DataFrame({"mean": [], "low": [], "high": []}, dtype=float)
    once = [curve[~curve.index.duplicated(keep="last")] for curve in curves]
    values = pd.concat(once, axis=1, join="inner").dropna().sort_index()
    mean, half = values.mean(axis=1), student_half_width(values)
    return pd.DataFrame({"mean": mean, "low": mean - half, "high": mean + half}, index=values.index)


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
