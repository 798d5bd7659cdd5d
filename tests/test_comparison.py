"""Statistics of a study, against numbers worked by hand."""

import numpy as np
import pytest

from workbench.errors import DataError
from workbench.evaluation.comparison import (
    aggregate,
    interquartile_mean,
    over_seeds_and_tasks,
    paired_difference,
    performance_profile,
    ranking,
)
from workbench.evaluation.label_efficiency import Estimate, verdict


def scores(*seeds: list[float]) -> dict[int, np.ndarray]:
    return {seed: np.array(one, dtype=float) for seed, one in enumerate(seeds)}


def test_the_mean_weighs_seeds_alike_whatever_their_number_of_tasks():
    found = over_seeds_and_tasks(scores([1.0, 1.0, 1.0, 1.0], [0.0]))
    assert (found.mean, found.seeds) == (0.5, 2)
    # Both seeds' tasks are alike within themselves, so only the draw of seeds varies: 0, 0.5 or 1.
    assert (found.low, found.high) == (0.0, 1.0)


def test_students_interval_by_hand():
    # Seed means 0.25 and 0.75: deviation 0.35355, standard error 0.25, t(1) at 0.975 is 12.7062.
    found = over_seeds_and_tasks(scores([0.25], [0.75]))
    assert found.t_low == pytest.approx(0.5 - 12.7062 * 0.25, abs=1e-3)
    assert found.t_high == pytest.approx(0.5 + 12.7062 * 0.25, abs=1e-3)


def test_the_bootstrap_of_one_seed_is_that_of_its_tasks():
    # 100 tasks, half of them solved: the binomial's standard error is 0.05.
    found = over_seeds_and_tasks(scores([0.0, 1.0] * 50))
    assert found.low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.015)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.015)
    assert np.isnan(found.t_low)


def test_two_levels_are_wider_than_either_alone():
    spread = scores([0.0, 1.0] * 20, [1.0] * 40, [0.0] * 40)
    both = over_seeds_and_tasks(spread)
    seeds_alone = over_seeds_and_tasks({seed: np.array([one.mean()]) for seed, one in spread.items()})
    tasks_alone = over_seeds_and_tasks({0: np.concatenate(list(spread.values()))})
    assert both.high - both.low > tasks_alone.high - tasks_alone.low
    assert both.high - both.low >= seeds_alone.high - seeds_alone.low - 0.02


def test_equal_input_gives_equal_intervals():
    one = scores([0.1, 0.9, 0.4], [0.3, 0.2, 0.8])
    assert over_seeds_and_tasks(one) == over_seeds_and_tasks(one)


def test_a_pair_that_differs_by_a_constant_has_an_interval_of_no_width():
    one = scores([0.5, 0.9], [0.3, 0.7])
    found = paired_difference(one, {seed: values - 0.25 for seed, values in one.items()})
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert verdict(found) == "yes"


def test_a_difference_takes_the_common_seeds_only():
    found = paired_difference(scores([1.0], [1.0]), {1: np.array([0.5]), 7: np.array([0.0])})
    assert found is not None
    assert (found.mean, found.seeds) == (0.5, 1)
    assert paired_difference(scores([1.0]), {3: np.array([0.0])}) is None


def test_other_tasks_are_refused():
    with pytest.raises(DataError, match=r"seed 0: two arms were scored on 2 and 1 tasks; evaluate both on the same"):
        paired_difference(scores([1.0, 0.0]), scores([1.0]))
    with pytest.raises(DataError, match="without any scored task"):
        over_seeds_and_tasks({0: np.array([])})


def test_the_interquartile_mean_drops_a_quarter_at_each_end():
    assert interquartile_mean(np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 0.0])) == pytest.approx((0.2 + 0.4 + 0.6 + 0.8) / 4)


def test_an_aggregate_draws_within_its_measures():
    # Each measure's runs are alike, so a stratified draw changes nothing.
    found = aggregate([np.full(4, 0.2), np.full(4, 0.8)])
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_a_profile_by_hand():
    band = performance_profile([np.array([0.1, 0.5]), np.array([0.9, 0.9])], np.array([0.0, 0.3, 0.5, 0.95]))
    assert band.mean.tolist() == [1.0, 0.75, 0.5, 0.0]
    assert (band.low <= band.mean).all() and (band.high >= band.mean).all()


def between(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, low, high, 5)


def test_arms_whose_intervals_overlap_are_not_ranked():
    found = ranking({"a": between(0.1, 0.3), "b": between(0.2, 0.5), "c": between(0.4, 0.6), "d": between(0.9, 1.0)})
    assert found.ranks == {"d": (1, 1), "c": (2, 3), "b": (2, 4), "a": (3, 4)}
    assert found.undecided == [("c", "b"), ("b", "a")]


def test_arms_that_are_apart_have_one_place_each():
    found = ranking({"low": between(0.0, 0.1), "high": between(0.5, 0.6)})
    assert found.ranks == {"high": (1, 1), "low": (2, 2)}
    assert found.undecided == []


def test_one_run_a_measure_has_no_interval():
    found, band = aggregate([np.array([0.2]), np.array([0.8])]), performance_profile([np.array([0.5])], np.array([0.0, 0.9]))
    assert found.mean == pytest.approx(0.5) and np.isnan([found.low, found.high]).all()
    assert band.mean.tolist() == [1.0, 0.0] and np.isnan(band.low).all() and np.isnan(band.high).all()
