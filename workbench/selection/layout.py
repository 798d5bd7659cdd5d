"""A pool in two dimensions, and which choice covers which prompt: what a page needs to draw a selection."""

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances_argmin_min

from workbench.seeding import derived_seed, generator
from workbench.selection.inputs import Doubles, Floats, Integers

MOST_POINTS = 20_000
"""Larger pools are drawn as what was chosen and a sample of the rest."""
UMAP_NEIGHBORS = 15


class Cover(NamedTuple):
    """The nearest chosen prompt of each prompt."""

    by_N: Integers
    """Its place in the order of choice."""
    distance_N: Doubles
    """Euclidean, between embeddings."""


def drawn_places(size: int, chosen: Sequence[int], *, seed: int = 0, most: int = MOST_POINTS) -> Integers:
    """Places to draw, ascending: all of a pool of at most ``most`` prompts, else the chosen ones and a sample of the others.

    Example:
        >>> drawn_places(4, [2]).tolist()
        [0, 1, 2, 3]
    """
    if size <= most:
        return np.arange(size)
    others = np.setdiff1d(np.arange(size), np.asarray(chosen, np.int64))
    kept = generator(seed, "drawn").permutation(len(others))[: max(0, most - len(chosen))]
    return np.sort(np.concatenate([np.asarray(chosen, np.int64), others[kept]]))


def pca_coordinates(points_ND: Floats, *, seed: int = 0) -> tuple[Doubles, list[float]]:
    """First two principal components, (N, 2), and the share of variance that each has; a missing one is 0.

    The sign of a component is nobody's: the coordinate that is largest in size is made positive.
    """
    parts = min(2, *points_ND.shape)
    if not np.ptp(points_ND, axis=0).any():  # all alike: no direction, no variance to share
        return np.zeros((len(points_ND), 2)), [0.0, 0.0]
    model = PCA(parts, random_state=derived_seed(seed, "pca"))
    found_NP = model.fit_transform(points_ND.astype(np.float64))
    found_NP = found_NP * np.where(found_NP[np.abs(found_NP).argmax(0), np.arange(parts)] < 0, -1, 1)
    missing = 2 - parts
    shares = [float(share) for share in model.explained_variance_ratio_] + [0.0] * missing
    return np.hstack([found_NP, np.zeros((len(points_ND), missing))]), shares


def umap_coordinates(points_ND: Floats, *, seed: int = 0) -> Doubles | None:
    """UMAP's two dimensions (McInnes, Healy and Melville 2018), (N, 2); None where umap-learn is not installed or the pool too small."""
    if len(points_ND) <= UMAP_NEIGHBORS + 2:
        return None
    try:
        library: Any = importlib.import_module("umap")
    except ImportError:
        return None
    model = library.UMAP(n_neighbors=UMAP_NEIGHBORS, random_state=derived_seed(seed, "umap"), n_jobs=1)
    return np.asarray(model.fit_transform(points_ND), dtype=np.float64)


def cover(points_ND: Floats, chosen: Sequence[int]) -> Cover:
    """Which chosen prompt is nearest to each prompt; equal distances go to the earlier choice."""
    by_N, distance_N = pairwise_distances_argmin_min(points_ND, points_ND[np.asarray(chosen, np.int64)])
    return Cover(by_N.astype(np.int64), distance_N.astype(np.float64))
