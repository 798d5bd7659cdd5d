"""Designs against brute force, against each other, and against what a pool can do to them."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from workbench import selection
from workbench.errors import ConfigError, DataError
from workbench.seeding import generator
from workbench.selection.kernels import dense_similarity, placed, unit_rows, width_trials

# Untyped on purpose: wrong arguments are given, and what is None for other designs is not asked for.
designs: Any = selection
even_per_task = designs.even_per_task
facility_location = designs.facility_location
facility_location_of = designs.facility_location_of
inverse_confidence_per_task = designs.inverse_confidence_per_task
k_center = designs.k_center
k_means = designs.k_means
learning_percentage = designs.learning_percentage
random_choice = designs.random_choice
top_k = designs.top_k

GREEDY_GUARANTEE = 1 - 1 / np.e
ROUNDING = 1e-5  # of similarities in float32


def pool(size: int, seed: int = 0, *, dimensions: int = 5, groups: int = 4) -> np.ndarray:
    """Points around a few middles, of uneven number, as prompts lie around topics."""
    dice = generator(seed, "test-pool", size)
    middles = 3 * dice.standard_normal((groups, dimensions))
    shares = np.arange(1, groups + 1) / sum(range(1, groups + 1))
    return (middles[dice.choice(groups, size, p=shares)] + dice.standard_normal((size, dimensions))).astype(np.float32)


def similarity(points: np.ndarray, width: float = 8.0) -> np.ndarray:
    return dense_similarity(placed(points, "gaussian"), "gaussian", width)


def coverage(table: np.ndarray, chosen) -> float:
    return float(table[:, list(chosen)].astype(np.float64).max(1).sum())


def radius(points: np.ndarray, chosen) -> float:
    return float(np.linalg.norm(points[:, None] - points[None, list(chosen)], axis=2).min(1).max())


# Brute force ----------------------------------------------------------------------------------------------


def test_facility_location_is_close_to_the_best_of_200_small_pools():
    shares = []
    for seed in range(200):
        table = similarity(pool(10 + seed % 4, seed), width=(2.0, 8.0, 30.0)[seed % 3])
        budget = 2 + seed % 3
        best = max(coverage(table, chosen) for chosen in combinations(range(len(table)), budget))
        found = facility_location_of(table, budget)
        assert found.value == pytest.approx(coverage(table, found.indices), rel=ROUNDING)
        assert best <= found.bound * (1 + ROUNDING), "the bound has to hold for every choice"
        shares.append(found.value / best)
    assert min(shares) >= GREEDY_GUARANTEE
    assert np.mean(shares) >= 0.97
    assert min(shares) < 1, "pools on which greedy is always best would test nothing"


def test_k_center_is_within_twice_the_best_radius_of_200_small_pools():
    shares = []
    for seed in range(200):
        points = pool(10 + seed % 4, seed)
        budget = 2 + seed % 3
        best = min(radius(points, chosen) for chosen in combinations(range(len(points)), budget))
        found = k_center(points, budget, seed=None if seed % 2 else seed)
        assert found.value == pytest.approx(radius(points, found.indices), rel=ROUNDING)
        assert found.bound <= best * (1 + ROUNDING)
        shares.append(found.value / best)
    assert max(shares) <= 2 * (1 + ROUNDING)
    assert max(shares) > 1.2, "pools on which farthest first is always best would test nothing"


# Searches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["gaussian", "cosine"])
@pytest.mark.parametrize("seed", range(4))
def test_lazy_chooses_what_naive_chooses(kernel, seed):
    points = pool(150, seed)
    points[20:40] = points[:20]  # ties
    dice = generator(seed, "test-columns")
    columns = {"weights": dice.random(150), "bonus": 3 * dice.random(150)} if seed % 2 else {}
    lazy, naive = (facility_location(points, 150, kernel=kernel, search=search, **columns) for search in ("lazy", "naive"))
    assert lazy.indices.tolist() == naive.indices.tolist()
    assert lazy.gains.tolist() == naive.gains.tolist()
    assert lazy.facts["evaluations"] < naive.facts["evaluations"] / 2


def test_gains_never_grow_and_add_up_to_the_value():
    found = facility_location(pool(300), 60)
    assert (np.diff(found.gains) <= 0).all()
    assert found.gains.sum() == pytest.approx(found.value, rel=ROUNDING)


def test_a_smaller_budget_gives_the_beginning():
    points = pool(200)
    long, short = (facility_location(points, budget, width=8.0).indices.tolist() for budget in (50, 20))
    assert long[:20] == short
    assert k_center(points, 50).indices.tolist()[:20] == k_center(points, 20).indices.tolist()
    assert random_choice(200, 50, seed=3).indices.tolist()[:20] == random_choice(200, 20, seed=3).indices.tolist()


def test_stochastic_search_comes_close_with_a_fraction_of_the_evaluations():
    points = pool(1000)
    exact = facility_location(points, 100, width=8.0)
    found = [facility_location(points, 100, width=8.0, search="stochastic", epsilon=0.05, seed=seed) for seed in range(5)]
    assert min(one.value for one in found) >= 0.95 * exact.value
    assert {one.facts["evaluations"] for one in found} == {100 * 30}  # ceil(1000 / 100 * ln 20) = 30 candidates a step
    assert len({tuple(one.indices) for one in found}) == 5, "seeds have to matter"
    assert all(len(set(one.indices.tolist())) == 100 for one in found)


def test_the_certificate_is_tight_where_everything_is_chosen():
    found = facility_location(pool(40), 40)
    assert found.value == pytest.approx(40, rel=ROUNDING)
    assert found.bound == pytest.approx(found.value, rel=ROUNDING)
    assert facility_location(pool(40), 10).bound > facility_location(pool(40), 10).value


# Worked by hand -------------------------------------------------------------------------------------------


def test_facility_location_by_hand():
    """Two pairs and a loner; weights turn the second choice, a bonus the first."""
    table = np.eye(5, dtype=np.float32)
    table[0, 1] = table[1, 0] = 0.5
    table[2, 3] = table[3, 2] = 0.25
    plain = facility_location_of(table, 2)
    assert (plain.indices.tolist(), plain.gains.tolist(), plain.value) == ([0, 2], [1.5, 1.25], 2.75)
    assert plain.bound == 3.0  # the two largest gains at the start; now 1.0 and 0.75 are left, which only says 4.5
    weighted = facility_location_of(table, 2, weights=[1, 1, 1, 1, 2])
    assert weighted.indices.tolist() == [4, 0]
    assert facility_location_of(table, 1, bonus=[0, 0, 0, 1, 0]).indices.tolist() == [3]


def test_k_center_by_hand():
    points = np.array([[0.0], [1.0], [2.0], [10.0]])
    found = k_center(points, 2)  # the mean is 3.25
    assert (found.indices.tolist(), found.value, found.bound) == ([2, 3], 2.0, 1.0)
    assert found.gains.tolist() == [np.inf, 8.0]
    assert k_center(points, 2, weights=[5, 1, 1, 1]).indices.tolist() == [2, 0]  # 5 * 2 > 1 * 8
    assert k_center(points, 2, weights=[5, 1, 1, 1], power=0).indices.tolist() == [2, 3]


def test_cosine_similarity_is_clipped():
    table = dense_similarity(placed(np.array([[2.0, 0], [0, 3], [-1, 0], [1, 1]], np.float32), "cosine"), "cosine", 1.0)
    assert table == pytest.approx(np.array([[1, 0, 0, 0.5**0.5], [0, 1, 0, 0.5**0.5], [0, 0, 1, 0], [0.5**0.5, 0.5**0.5, 0, 1]]), abs=1e-6)


def test_top_k_by_hand():
    found = top_k([0.1, 0.9, 0.9, -1.0, 0.5], 3)
    assert (found.indices.tolist(), found.value) == ([1, 2, 4], pytest.approx(2.3))


def test_learning_percentage_by_hand():
    scores = learning_percentage([10, 10, 10, 4], [6, 9, 10, 5], [5, 5, 10, 5])
    assert scores.tolist() == pytest.approx([0.2, 0.8, 1.0, 1.0])


# What must not matter -------------------------------------------------------------------------------------

DESIGNS = {
    "facility location": lambda points: facility_location(points, 25),
    "facility location, cosine": lambda points: facility_location(points, 25, kernel="cosine"),
    "k-center": lambda points: k_center(points, 25),
    "top-k": lambda points: top_k(points[:, 0], 25),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_the_order_of_the_pool_does_not_matter(design):
    for size in (200, 2500):  # below and above what the width is chosen on
        points = pool(size)
        order = generator(1, "test-order").permutation(size)
        assert order[DESIGNS[design](points[order]).indices].tolist() == DESIGNS[design](points).indices.tolist()


def test_scale_and_place_of_the_embeddings_do_not_matter():
    points = pool(200)
    assert facility_location(points, 25).indices.tolist() == facility_location(4 * points + 16, 25).indices.tolist()
    assert k_center(points, 25).indices.tolist() == k_center(4 * points + 16, 25).indices.tolist()


def test_nothing_is_chosen_twice_and_copies_come_last():
    points = np.repeat(pool(30), 10, axis=0)
    for found in (
        facility_location(points, 300),
        facility_location(points, 300, width=1e-3),
        k_center(points, 300),
        k_means(points, 300, seed=0),
    ):
        assert sorted(found.indices.tolist()) == list(range(300))
    for found in (facility_location(points, 30, width=1.0), k_center(points, 30), k_means(points, 30, seed=0)):
        assert len({place // 10 for place in found.indices.tolist()}) == 30
    assert len({place // 10 for place in random_choice(300, 30, seed=0).indices.tolist()}) < 25


def test_facility_location_beats_chance_and_shuffled_embeddings_do_not():
    points = pool(400, groups=8)
    table = similarity(points)
    chance = np.array([coverage(table, random_choice(400, 20, seed=seed).indices) for seed in range(50)])
    assert coverage(table, facility_location(points, 20, width=8.0).indices) > chance.max()
    shuffled = [
        coverage(table, facility_location(points[generator(seed, "test-shuffle").permutation(400)], 20, width=8.0).indices)
        for seed in range(50)
    ]
    standard_error = float(np.hypot(chance.std(), np.std(shuffled)) / np.sqrt(50))
    assert np.mean(shuffled) < chance.mean() + 3 * standard_error


# Widths ---------------------------------------------------------------------------------------------------


def test_the_width_follows_the_clusters():
    """Tight groups far apart call for a width between the two distances, a single cloud for about its own."""
    tight = np.repeat(20 * np.eye(8, dtype=np.float32), 25, axis=0) + 0.1 * generator(0, "test-width").standard_normal((200, 8))
    median = 800.0  # squared distance of two middles
    assert facility_location(tight, 16).facts["width"] == pytest.approx(0.1 * median, rel=0.01)
    assert len(set(facility_location(tight, 16).indices[:8] // 25)) == 8
    # With as many choices as groups all gains are alike there, and a wider one tells more.
    assert facility_location(tight, 8).facts["width"] == pytest.approx(0.3 * median, rel=0.01)
    assert len(set(facility_location(tight, 8).indices // 25)) == 8
    cloud = generator(1, "test-width").standard_normal((200, 100))
    assert facility_location(cloud, 20).facts["width_factor"] == 1.0


def test_every_width_is_tried():
    trials = width_trials(pool(100))
    assert sorted(trial.factor for trial in trials) == [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    assert [trial.spread for trial in trials] == sorted((trial.spread for trial in trials), reverse=True)


# Tasks ----------------------------------------------------------------------------------------------------


def test_an_even_budget_takes_turns_and_fills_up_from_large_tasks():
    tasks = ["a"] * 10 + ["b"] * 3 + ["c"] * 1
    found = even_per_task(tasks, 9, seed=0)
    assert [tasks[place] for place in found.indices] == ["a", "b", "c", "a", "b", "a", "b", "a", "a"]
    assert found.facts["quotas"] == {"a": 5, "b": 3, "c": 1}
    assert sorted(even_per_task(tasks, 14, seed=0).indices.tolist()) == list(range(14))
    assert even_per_task(tasks, 9, seed=1).indices.tolist() != found.indices.tolist()
    assert even_per_task(["x"] * 4, 3, seed=0, scores=[1, 3, 2, 3]).indices.tolist() == [1, 3, 2]


def test_unsure_tasks_get_more():
    tasks = ["sure"] * 50 + ["unsure"] * 50
    confidence = [0.75] * 50 + [0.25] * 50
    assert inverse_confidence_per_task(tasks, confidence, 20, seed=0).facts["quotas"] == {"sure": 5, "unsure": 15}
    assert inverse_confidence_per_task(tasks, [0.75] * 50 + [0.0] * 50, 40, seed=0).facts["quotas"]["unsure"] == 40


# Bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", [facility_location, k_center, lambda points, budget: k_means(points, budget, seed=0)])
def test_bad_pools_and_budgets_are_refused(design):
    points = pool(20)
    with pytest.raises(DataError, match="the budget is 21 but the pool has 20 prompts; lower the budget"):
        design(points, 21)
    for budget in (0, -1, 2.5, True):
        with pytest.raises(DataError, match="a whole number from 1, found"):
            design(points, budget)
    with pytest.raises(DataError, match="the pool is empty"):
        design(np.zeros((0, 5)), 1)
    with pytest.raises(DataError, match=r"2 embeddings hold NaN or infinity, the first in row 3"):
        design(np.where(np.isin(np.arange(20), (3, 7))[:, None], np.nan, points), 5)
    with pytest.raises(DataError, match="1 embeddings hold NaN or infinity"):
        design(np.where(np.arange(20)[:, None] == 4, 1e300, points.astype(np.float64)), 5)
    with pytest.raises(DataError, match=r"a table, one row a prompt, found shape \(20,\)"):
        design(points[:, 0], 5)


def test_equal_embeddings_are_refused_where_a_width_is_wanted():
    with pytest.raises(DataError, match=r"all 6 embeddings are equal.*`random`"):
        facility_location(np.ones((6, 3)), 2)
    assert k_center(np.ones((6, 3)), 3).indices.tolist() == [0, 1, 2]


def test_bad_arguments_are_refused():
    points = pool(20)
    with pytest.raises(ConfigError, match="did you mean 'gaussian'"):
        facility_location(points, 5, kernel="gausian")
    with pytest.raises(ConfigError, match="did you mean 'lazy'"):
        facility_location(points, 5, search="lasy")
    for width in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="a finite number above 0"):
            facility_location(points, 5, width=width)
    with pytest.raises(ConfigError, match="epsilon has to lie between 0 and 1"):
        facility_location(points, 5, search="stochastic", epsilon=1.0)
    with pytest.raises(DataError, match=r"weights may not be negative, found -1 in row 2"):
        facility_location(points, 5, weights=[1, 1, -1] + [1] * 17)
    with pytest.raises(DataError, match=r"bonuses have to be one number a prompt, 20 in all, found shape \(3,\)"):
        facility_location(points, 5, bonus=[1, 2, 3])
    with pytest.raises(DataError, match="scores hold NaN or infinity, the first in row 1"):
        top_k([1.0, np.nan], 1)
    for table, message in (
        (np.full((3, 3), -1.0), "not negative, found -1"),
        (np.full((3, 3), np.nan), "finite"),
        (np.ones((3, 2)), "square"),
    ):
        with pytest.raises(DataError, match=message):
            facility_location_of(table, 1)
    with pytest.raises(DataError, match=r"confidences have to lie in \[0, 1\], found 2"):
        inverse_confidence_per_task(["a", "b"], [0.5, 2], 1, seed=0)


def test_unit_rows_leave_zeros_alone():
    assert unit_rows(np.array([[3.0, 4.0], [0, 0]], np.float32)).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
