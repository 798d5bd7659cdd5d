"""GRPO: comparing within groups by hand, and one update against the gradient worked out turn by turn."""

import math

import numpy as np
import pytest

from tests.small_updates import assert_close, changes, gradient, settings_of
from tests.small_updates import played_steps as played
from workbench.trainers.groups import compare, trajectory_rows
from workbench.trainers.grpo import scaled, turn_weights
from workbench.trainers.replay import Step

GROUPS = {"group_size": 5, "trajectories_per_update": 10}
PLAIN = settings_of("grpo", **GROUPS, credit="trajectory")


def step(trajectory: int, return_to_go: float, group: int = 0) -> Step:
    return Step((1,), (2, 3), 0, -0.5, return_to_go, "", trajectory=trajectory, group=group)


BY_HAND = [step(0, 3.0), step(0, 1.0), step(1, 1.0), step(2, 5.0, 1), step(2, 4.0, 1), step(3, 5.0, 1)]
"""Group 0: returns 3 (two turns) and 1; group 1: both 5."""


@pytest.fixture(scope="module")
def steps():
    """Turns of two groups of five trajectories with different returns."""
    found = played(PLAIN)
    assert compare(found, credit="trajectory", leave_one_out=False).same == 0
    return found


def test_groups_by_hand():
    whole = compare(BY_HAND, credit="trajectory", leave_one_out=False)
    # The mean return is 2, so that every turn of the first earned 1 more and of the second 1 less. The other group tells nothing.
    assert whole.gains_N.tolist() == [1.0, 1.0, -1.0, 0.0, 0.0, 0.0]
    assert whole.deviations_N.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert whole.rows == [0, 1, 2]
    assert whole.metrics() == {"groups/played": 2.0, "groups/skipped": 1.0}
    # From the second turn on the first trajectory is alone: nothing to compare with.
    assert compare(BY_HAND, credit="turn", leave_one_out=False).gains_N.tolist() == [1.0, 0.0, -1.0, 0.0, 0.0, 0.0]


def test_scales_by_hand():
    found = compare([step(0, 4.0), step(1, 0.0), step(2, 1.0, 1), step(3, 0.0, 1)], credit="trajectory", leave_one_out=False)
    steps = [step(0, 4.0), step(1, 0.0), step(2, 1.0, 1), step(3, 0.0, 1)]
    assert scaled(found, steps, "none").tolist() == [2.0, -2.0, 0.5, -0.5]
    assert scaled(found, steps, "group").tolist() == [1.0, -1.0, 1.0, -1.0]
    # Returns 4, 0, 1, 0: mean 1.25, deviation sqrt((7.5625 + 1.5625 + 0.0625 + 1.5625) / 4) = sqrt(2.6875).
    assert scaled(found, steps, "batch") == pytest.approx(np.array([2.0, -2.0, 0.5, -0.5]) / math.sqrt(2.6875))


def test_weights_of_turns_by_hand():
    rows = [0, 1, 2, 4, 5]
    steps = [step(0, 0.0), step(0, 0.0), step(0, 0.0), step(1, 0.0), step(2, 0.0), step(2, 0.0)]
    # Two trajectories of 3 and 2 turns among the rows, five turns in all; each trajectory weighs 2.5 together.
    assert turn_weights(steps, rows, "grpo") == pytest.approx([5 / 6, 5 / 6, 5 / 6, 0.0, 1.25, 1.25])
    assert turn_weights(steps, rows, "dapo").tolist() == [1.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    assert turn_weights(steps, rows, "dr_grpo").tolist() == [2.5, 2.5, 2.5, 0.0, 2.5, 2.5]
    assert turn_weights(steps, [], "grpo").tolist() == [0.0] * 6


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
def test_an_update_is_the_gradient_of_group_advantages(steps, loss_type):
    change, result = changes(PLAIN.model_copy(update={"grpo": PLAIN.grpo.model_copy(update={"loss_type": loss_type})}), steps)
    returns = {one.trajectory: one.return_to_go for one in reversed(steps)}
    expected: dict[int, float] = {}
    for group in (0, 1):
        own = [returns[number] for number in range(5 * group, 5 * group + 5)]
        expected |= {number: (returns[number] - np.mean(own)) / np.std(own) for number in range(5 * group, 5 * group + 5)}
    assert result.advantages == pytest.approx([expected[one.trajectory] for one in steps])
    weights = turn_weights(steps, range(len(steps)), loss_type)
    assert_close(change, gradient(steps, (weights * result.advantages).tolist()), tolerance=1e-5)


def test_groups_that_tell_nothing_are_not_even_read(steps):
    still = [one._replace(return_to_go=0.7) if one.group == 1 else one for one in steps]
    change, result = changes(PLAIN, still)
    kept = [one for one in steps if one.group == 0]
    alone, _ = changes(PLAIN, kept)
    assert_close(change, alone)
    assert result.metrics["groups/skipped"] == 1
    assert [value for one, value in zip(still, result.advantages, strict=True) if one.group == 1] == [0.0] * (len(steps) - len(kept))


def test_where_no_group_tells_anything_no_step_is_taken(steps):
    change, result = changes(settings_of("grpo", **GROUPS, entropy_coef=1.0), [one._replace(return_to_go=0.7) for one in steps])
    assert float(change.abs().max()) == 0
    assert result.metrics["groups/skipped"] == 2
    assert result.metrics["policy/skipped_steps"] == 0, "nothing broke"
    assert math.isnan(result.metrics["loss/policy"])
    assert result.advantages == [0.0] * len(steps)


def test_further_iterations_are_clipped(steps):
    settings = PLAIN.model_copy(update={"grpo": PLAIN.grpo.model_copy(update={"num_iterations": 3})})
    _, once = changes(PLAIN, steps)
    _, result = changes(settings, steps)
    assert once.metrics["policy/clip_fraction"] == 0
    assert result.metrics["policy/clip_fraction"] > 0
    assert result.metrics["policy/kl"] > 1e-4


def test_rows_of_trajectories_need_not_stand_together():
    assert trajectory_rows([step(4, 0), step(2, 0), step(4, 0)]) == [[0, 2], [1]]
