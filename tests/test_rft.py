"""RFT: one update against the gradient of the likelihood of what succeeded."""

import math

import pytest

from tests.small_updates import assert_close, changes, gradient, played_steps, settings_of

PLAIN = settings_of("rft")


@pytest.fixture(scope="module")
def steps():
    """Turns of ten trajectories, some of which succeeded."""
    found = played_steps(PLAIN)
    assert 0 < sum(step.success for step in found) < len(found)
    return found


def test_an_update_is_the_gradient_of_the_likelihood_of_successes(steps):
    change, result = changes(PLAIN, steps)
    assert result.advantages == [float(step.success) for step in steps]
    kept = [step for step in steps if step.success]
    assert_close(change, gradient(kept, [1.0] * len(kept)), tolerance=1e-5)
    assert result.metrics["rft/turns"] == len(kept)


def test_what_succeeded_before_is_learned_along(steps):
    kept = [step for step in steps if step.success]
    change, result = changes(PLAIN, [step for step in steps if not step.success], kept)
    assert_close(change, changes(PLAIN, steps)[0], tolerance=1e-5)
    assert set(result.advantages) == {0.0}


def test_without_a_success_nothing_is_learned(steps):
    change, result = changes(PLAIN, [step for step in steps if not step.success])
    assert float(change.abs().max()) == 0
    assert math.isnan(result.metrics["loss/policy"])
