"""RLOO: the baseline without one's own return by hand, and one update against the gradient worked out turn by turn."""

import numpy as np
import pytest

from tests.small_updates import assert_close, changes, gradient, played_steps, settings_of
from workbench.trainers.advantages import group_advantages

PLAIN = settings_of("rloo", group_size=5, trajectories_per_update=10, credit="trajectory")


@pytest.fixture(scope="module")
def steps():
    """Turns of two groups of five trajectories."""
    return played_steps(PLAIN)


def test_leaving_oneself_out_by_hand():
    returns = [[3.0, 1.0, 0.5], [1.0, 2.0], [5.0]]
    # 3 - (1 + 5) / 2 = 0 for all three turns; 1 - 4 = -3; 5 - 2 = 3.
    assert group_advantages(returns, credit="trajectory", leave_one_out=True) == [[0.0, 0.0, 0.0], [-3.0, -3.0], [3.0]]
    # Turn 1 of the first: 1 - 2, of the second: 2 - 1; turn 2: nobody else got so far.
    assert group_advantages(returns, credit="turn", leave_one_out=True) == [[0.0, -1.0, 0.5], [-3.0, 1.0], [3.0]]
    # With oneself: 3 - 3, 1 - 1.5, 0; 1 - 3, 2 - 1.5; 5 - 3.
    assert group_advantages(returns, credit="turn", leave_one_out=False) == [[0.0, -0.5, 0.0], [-2.0, 0.5], [2.0]]


def test_equal_lists_are_different_trajectories():
    own = [1.0]
    assert group_advantages([own, own], credit="turn", leave_one_out=True) == [[0.0], [0.0]]


def test_an_update_is_the_gradient_of_what_was_earned_beyond_the_others(steps):
    change, result = changes(PLAIN, steps)
    returns = {one.trajectory: one.return_to_go for one in reversed(steps)}
    expected = []
    for one in steps:
        others = [returns[number] for number in returns if number // 5 == one.trajectory // 5 and number != one.trajectory]
        expected.append(returns[one.trajectory] - np.mean(others))
    assert result.advantages == pytest.approx(expected)
    assert_close(change, gradient(steps, expected), tolerance=1e-5)


def test_whitening_leaves_skipped_groups_alone(steps):
    still = [one._replace(return_to_go=0.7) if one.group == 1 else one for one in steps]
    settings = settings_of("rloo", group_size=5, trajectories_per_update=10, whiten_advantages=True)
    change, result = changes(settings, still)
    kept = [row for row, one in enumerate(steps) if one.group == 0]
    own = np.array(result.advantages)[kept]
    assert (own.mean(), own.std()) == (pytest.approx(0, abs=1e-9), pytest.approx(1))
    assert [value for row, value in enumerate(result.advantages) if row not in kept] == [0.0] * (len(steps) - len(kept))
    assert result.metrics["groups/skipped"] == 1
    assert_close(change, gradient([steps[row] for row in kept], own.tolist()), tolerance=1e-5)
