"""Similarities between prompts, dense, and the width at which they tell prompts apart.

Axis letters: N prompts, D embedding dimensions, P pairs.
"""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from workbench.errors import ConfigError, DataError, nearest
from workbench.selection.inputs import Doubles, Floats

Kernel: TypeAlias = Literal["gaussian", "cosine"]
KERNELS: tuple[Kernel, ...] = ("gaussian", "cosine")
WIDTH_FACTORS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Widths that are tried, in units of the median squared distance."""
SAMPLE = 2000
"""Prompts that the width is chosen on; smaller pools are taken whole."""
_ROWS = 256


class WidthTrial(NamedTuple):
    """One width that was tried."""

    factor: float
    width: float
    spread: float
    """Standard deviation of the similarity over pairs."""


def check_kernel(kernel: str, width: float | None) -> None:
    """Refuse what is no kernel.

    Raises:
        ConfigError: The name is unknown, or the width is not a finite number above 0.
    """
    if kernel not in KERNELS:
        raise ConfigError(f"unknown kernel {kernel!r}; {nearest(kernel, KERNELS)}")
    if width is not None and not (np.isfinite(width) and width > 0):
        raise ConfigError(f"the kernel's width has to be a finite number above 0, found {width}")


def unit_rows(embeddings_ND: Floats) -> Floats:
    """Every row divided by its length; rows of zeros stay."""
    lengths_N = np.linalg.norm(embeddings_ND.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(embeddings_ND / np.where(lengths_N > 0, lengths_N, 1), dtype=np.float32)


def placed(embeddings_ND: Floats, kernel: Kernel) -> Floats:
    """Points whose Euclidean distance alone gives the similarity: unit rows for cosine, centred ones for the Gaussian.

    Centring moves nothing apart and spares float32 the cancellation of large common parts.
    """
    if kernel == "cosine":
        return unit_rows(embeddings_ND)
    return np.asarray(embeddings_ND - embeddings_ND.mean(axis=0, dtype=np.float64), dtype=np.float32)


def similarity_of(squared: Floats, kernel: Kernel, width: float) -> Floats:
    """Similarity from squared distances between :func:`placed` points, in [0, 1]; may overwrite ``squared``.

    Gaussian: exp(-d²/width). Cosine: 1 - d²/2, where negative ones count as 0, for otherwise coverage would not grow from nothing.
    """
    if kernel == "cosine":
        squared *= np.float32(-0.5)
        squared += np.float32(1)
        return np.maximum(squared, np.float32(0), out=squared)
    squared *= np.float32(-1 / width)
    return np.exp(squared, out=squared)


def dense_similarity(points_ND: Floats, kernel: Kernel, width: float) -> Floats:
    """Similarity of every pair of :func:`placed` points, exactly symmetric, 1 on the diagonal. Float32, (N, N)."""
    lengths_N = np.einsum("nd,nd->n", points_ND, points_ND)
    table_NN = points_ND @ points_ND.T
    for start in range(0, len(points_ND), _ROWS):
        rows = table_NN[start : start + _ROWS]
        rows *= np.float32(-2)
        rows += np.add.outer(lengths_N[start : start + _ROWS], lengths_N)
        np.maximum(rows, np.float32(0), out=rows)
        similarity_of(rows, kernel, width)
    np.fill_diagonal(table_NN, 1)
    return table_NN


def sample_of(points_ND: Floats) -> Floats:
    """At most ``SAMPLE`` rows, spread evenly along one direction, so that the order of the pool plays no part."""
    if len(points_ND) <= SAMPLE:
        return points_ND
    direction_D = np.cos(np.arange(points_ND.shape[1], dtype=np.float64) ** 2).astype(np.float32)
    order_N = np.argsort(points_ND @ direction_D, kind="stable")
    return points_ND[order_N[np.linspace(0, len(points_ND) - 1, SAMPLE).astype(np.int64)]]


def pair_distances(points_ND: Floats) -> Doubles:
    """Squared distance of every pair of different rows. Float64, (P,)."""
    points = points_ND.astype(np.float64)
    lengths_N = np.einsum("nd,nd->n", points, points)
    squared_NN = np.maximum(lengths_N[:, None] + lengths_N[None, :] - 2 * points @ points.T, 0)
    pairs_P: Doubles = squared_NN[np.triu_indices(len(points), 1)]
    return pairs_P


def width_trials(points_ND: Floats) -> list[WidthTrial]:
    """The widths worth trying, the best first: at which similarities of pairs differ most.

    The widths are ``WIDTH_FACTORS`` times the median squared distance between two different prompts of a sample. A width far too
    small makes every similarity 0, one far too large makes it 1; in both the choice is arbitrary, and similarities do not differ.

    Raises:
        DataError: All embeddings are equal.
    """
    pairs_P = pair_distances(sample_of(points_ND))
    # Copies, and what rounding makes of them, say nothing about how far apart prompts are.
    apart_P = pairs_P[pairs_P > 1e-9 * max(float(np.square(points_ND, dtype=np.float64).sum(1).max()), 1e-30)]
    if not len(apart_P):
        raise DataError(f"all {len(points_ND)} embeddings are equal, so that no distance tells prompts apart; use the design `random`")
    median = float(np.median(apart_P))
    trials = [WidthTrial(factor, factor * median, float(np.std(np.exp(-pairs_P / (factor * median))))) for factor in WIDTH_FACTORS]
    return sorted(trials, key=lambda trial: (-trial.spread, trial.factor))
