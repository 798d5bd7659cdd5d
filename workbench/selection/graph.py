"""Similarities of nearest neighbours only, for pools too large for a full matrix.

Axis letters: N prompts, M neighbours, E edges, D embedding dimensions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from workbench.errors import ConfigError
from workbench.seeding import derived_seed
from workbench.selection.inputs import Floats, Integers
from workbench.selection.kernels import Kernel, similarity_of

EXACT_LIMIT = 30_000
"""Largest pool whose neighbours are found by comparing all pairs; above, an inverted-file index finds nearly all of them."""
PROBES = 8
"""Cells of the inverted-file index that are searched for every prompt."""
_BLOCK = 16_384


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Symmetric similarities, row by row; every prompt is its own neighbour at similarity 1.

    Args:
        starts: Where each row begins. Int64, (N + 1,).
        columns: The neighbour of each entry, ascending within a row. Int32, (E,).
        values: Its similarity. Float32, (E,).
    """

    starts: Integers
    columns: NDArray[np.int32]
    values: Floats


def neighbor_graph(
    points_ND: Floats, *, kernel: Kernel, width: float, neighbors: int = 64, seed: int = 0, exact: bool | None = None
) -> Graph:
    """The graph in which two prompts are joined when one is among the other's nearest.

    Args:
        points_ND: Placed points (``kernels.placed``).
        kernel: How distance becomes similarity.
        width: Of the Gaussian.
        neighbors: Neighbours sought for each prompt, itself included.
        seed: Of the index.
        exact: Compare all pairs; None does so up to 30,000 prompts.

    Raises:
        ConfigError: faiss is not installed.
    """
    size = len(points_ND)
    neighbors = min(neighbors, size)
    index = _index(points_ND, exact=size <= EXACT_LIMIT if exact is None else exact, seed=seed)
    columns_NM = np.empty((size, neighbors), np.int32)
    values_NM = np.empty((size, neighbors), np.float32)
    for start, squared_BM, found_BM in _searches(index, points_ND, neighbors):
        stop = start + len(found_BM)
        missing_BM = found_BM < 0  # the cells that were searched held fewer
        own_B1 = np.arange(start, stop)[:, None]
        columns_NM[start:stop] = np.where(missing_BM, own_B1, found_BM)
        # Absent ones point at the prompt itself with nothing; entries of one place add up below.
        values_NM[start:stop] = np.where(missing_BM, 0, similarity_of(np.where(missing_BM, 0, np.maximum(squared_BM, 0)), kernel, width))
    return _symmetric(columns_NM, values_NM)


def _searches(index: Any, points_ND: Floats, neighbors: int) -> Iterator[tuple[int, Floats, Integers]]:
    for start in range(0, len(points_ND), _BLOCK):
        squared_BM, found_BM = index.search(points_ND[start : start + _BLOCK], neighbors)
        yield start, squared_BM, found_BM


def _index(points_ND: Floats, *, exact: bool, seed: int) -> Any:
    try:
        import faiss
    except ImportError:
        raise ConfigError(
            "a graph of neighbours needs faiss and found none; install it with `pip install 'text-agent-workbench[selection]'`"
        ) from None
    size, dimensions = points_ND.shape
    if exact:
        index: Any = faiss.IndexFlatL2(dimensions)
    else:
        cells = 2 ** round(np.log2(4 * np.sqrt(size)))
        quantizer = faiss.IndexFlatL2(dimensions)
        index = faiss.IndexIVFFlat(quantizer, dimensions, cells, faiss.METRIC_L2)
        index.cp.seed = derived_seed(seed, "neighbours")
        index.cp.max_points_per_centroid = 64
        index.nprobe = PROBES
        index.train(points_ND)
    index.add(points_ND)
    return index


def _symmetric(columns_NM: NDArray[np.int32], values_NM: Floats) -> Graph:
    size, neighbors = columns_NM.shape
    # scipy keeps the columns at 4 bytes only when the starts have 4, too.
    starts = np.arange(0, size * neighbors + 1, neighbors, dtype=np.int32 if 2 * size * neighbors < 2**31 else np.int64)
    one_way: Any = sparse.csr_array((values_NM.ravel(), columns_NM.ravel(), starts), shape=(size, size))
    both: Any = one_way.maximum(one_way.T.tocsr()).maximum(sparse.eye_array(size, dtype=np.float32, format="csr"))
    both.sort_indices()
    return Graph(both.indptr.astype(np.int64), both.indices.astype(np.int32, copy=False), both.data.astype(np.float32, copy=False))
