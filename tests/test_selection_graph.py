"""Graphs of nearest neighbours: the same objective as the full matrix where they hold all of it, close to it where they do not."""

import sys
from typing import Any

import numpy as np
import pytest

from tests.test_selection import coverage, pool, similarity
from workbench.errors import ConfigError
from workbench.selection import facility_location, facility_location_of
from workbench.selection.graph import Graph, neighbor_graph
from workbench.selection.kernels import placed

WIDTH = 8.0


def graph_of(points: np.ndarray, neighbors: int, **settings: Any) -> Graph:
    pytest.importorskip("faiss")
    return neighbor_graph(placed(points, "gaussian"), kernel="gaussian", width=WIDTH, neighbors=neighbors, **settings)


def dense_of(graph: Graph) -> np.ndarray:
    size = len(graph.starts) - 1
    table = np.zeros((size, size), np.float32)
    table[np.repeat(np.arange(size), np.diff(graph.starts)), graph.columns] = graph.values
    return table


def test_a_graph_of_all_neighbours_is_the_matrix():
    points = pool(120)
    graph = graph_of(points, 120)
    assert len(graph.columns) == 120**2
    assert dense_of(graph) == pytest.approx(similarity(points, WIDTH), abs=1e-5)
    dense, sparse = (facility_location_of(one, 30) for one in (similarity(points, WIDTH), graph))
    assert sparse.value == pytest.approx(dense.value, rel=1e-5)
    assert sparse.indices[:20].tolist() == dense.indices[:20].tolist()  # later two points tie for a pair, and rounding decides


@pytest.mark.parametrize("search", ["lazy", "naive", "stochastic"])
def test_searches_on_a_graph_are_those_on_its_matrix(search):
    graph = graph_of(pool(200), 8)
    dense, sparse = (facility_location_of(one, 40, search=search) for one in (dense_of(graph), graph))
    assert sparse.indices.tolist() == dense.indices.tolist()
    assert sparse.gains == pytest.approx(dense.gains)
    assert sparse.bound == pytest.approx(dense.bound)


def test_a_graph_is_symmetric_and_everyone_is_its_own_neighbour():
    points = pool(300)
    points[100:140] = points[0]  # more copies than neighbours: some do not find themselves
    graph = graph_of(points, 6)
    table = dense_of(graph)
    assert (np.diag(table) == 1).all()
    assert (table == table.T).all()
    full = similarity(points, WIDTH)
    assert np.abs(np.where(table > 0, table - full, 0)).max() < 1e-5
    nearest = np.partition(full, -6, axis=1)[:, -6]
    assert ((full > nearest[:, None] + 1e-5) <= (table > 0)).all(), "the five nearest are neighbours"


def test_few_neighbours_lose_little():
    points = pool(2000, groups=20)
    full = similarity(points, WIDTH)
    dense = facility_location_of(full, 100)
    sparse = facility_location(points, 100, width=WIDTH, neighbors=64)
    assert sparse.facts["edges"] < 0.1 * full.size
    assert coverage(full, sparse.indices) > 0.97 * coverage(full, dense.indices)


def test_the_index_of_cells_finds_nearly_all_neighbours():
    points = pool(3000, groups=30)
    exact, quick = (dense_of(graph_of(points, 16, exact=exact)) > 0 for exact in (True, False))
    assert (exact & quick).sum() > 0.9 * exact.sum()
    assert not np.array_equal(exact, quick), "an index that searches everything would test nothing"


def test_large_pools_go_through_a_graph(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr("workbench.selection.coverage.DENSE_LIMIT", 100)
    assert facility_location(pool(101), 5).facts["neighbors"] == 64
    assert "neighbors" not in facility_location(pool(100), 5).facts
    assert facility_location(pool(101), 5, kernel="cosine").facts["neighbors"] == 64


def test_without_faiss_a_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"needs faiss and found none; install it with `pip install 'text-agent-workbench\[selection\]'`"):
        facility_location(pool(50), 5, neighbors=8)
    with pytest.raises(ConfigError, match="neighbors has to be at least 1, found 0"):
        facility_location(pool(50), 5, neighbors=0)
