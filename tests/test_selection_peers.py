"""The same objective as two other libraries, where they are installed (`pip install apricot-select submodlib-py`)."""

import numpy as np
import pytest

from tests.test_selection import coverage, pool, similarity
from workbench.selection import facility_location_of

SAME = 1e-5  # theirs are float64 and float32 sums of the same float32 similarities


@pytest.mark.parametrize(("size", "budget", "width"), [(500, 50, 8.0), (300, 100, 1.0), (200, 20, 100.0)])
def test_equal_to_apricot(size, budget, width):
    apricot = pytest.importorskip("apricot")
    table = similarity(pool(size), width)
    theirs = apricot.FacilityLocationSelection(budget, metric="precomputed", optimizer="lazy").fit(table.astype(np.float64))
    ours = facility_location_of(table, budget)
    assert len(set(theirs.ranking.tolist())) == budget
    assert ours.value == pytest.approx(coverage(table, theirs.ranking), rel=SAME)
    assert ours.value == pytest.approx(float(theirs.gains.sum()), rel=SAME)


@pytest.mark.parametrize(("size", "budget", "width"), [(500, 50, 8.0), (300, 100, 1.0), (200, 20, 100.0)])
def test_equal_to_submodlib(size, budget, width):
    submodlib = pytest.importorskip("submodlib.functions.facilityLocation")
    table = similarity(pool(size), width)
    function = submodlib.FacilityLocationFunction(n=size, mode="dense", sijs=table.astype(np.float64), separate_rep=False)
    theirs = function.maximize(
        budget=budget, optimizer="LazyGreedy", stopIfZeroGain=False, stopIfNegativeGain=False, verbose=False, show_progress=False
    )
    assert facility_location_of(table, budget).value == pytest.approx(coverage(table, [place for place, _ in theirs]), rel=SAME)
