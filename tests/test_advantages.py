"""From rewards to advantages, worked by hand."""

import json

import numpy as np
import pytest

from workbench.trainers import advantages
from workbench.trainers.advantages import StateBaseline, generalized_advantages, returns_to_go, whiten


def test_returns_by_hand():
    assert returns_to_go([-0.05, 1.0, -0.5]) == pytest.approx([0.45, 0.5, -0.5])
    # 1 + 0.9 * (0 + 0.9 * 2) = 2.62
    assert returns_to_go([1.0, 0.0, 2.0], gamma=0.9) == pytest.approx([2.62, 1.8, 2.0])
    assert returns_to_go([]) == []


def test_generalised_advantages_by_hand():
    # Errors: 0 + 0.9 * 2 - 1 = 0.8; 1 + 0.9 * 0.5 - 2 = -0.55; 2 - 0.5 = 1.5. Each is carried back by 0.9 * 0.5 = 0.45.
    found = generalized_advantages([0.0, 1.0, 2.0], [1.0, 2.0, 0.5], gamma=0.9, lam=0.5)
    assert found == pytest.approx([0.8 + 0.45 * (-0.55 + 0.45 * 1.5), -0.55 + 0.45 * 1.5, 1.5])
    assert generalized_advantages([], [], gamma=1.0, lam=1.0) == []


def test_the_ends_of_lambda():
    rewards, values = [0.5, -1.0, 2.0], [0.3, 0.2, 0.1]
    # 1: the return less the value; 0: one step and the next value.
    whole = [value - own for value, own in zip(returns_to_go(rewards, gamma=0.9), values, strict=True)]
    assert generalized_advantages(rewards, values, gamma=0.9, lam=1.0) == pytest.approx(whole)
    assert generalized_advantages(rewards, values, gamma=0.9, lam=0.0) == pytest.approx([0.5 + 0.18 - 0.3, -1.0 + 0.09 - 0.2, 1.9])


def test_whitening_by_hand():
    # Mean 3, population deviation sqrt((4 + 0 + 4) / 3) = 1.632993.
    assert whiten(np.array([1.0, 3.0, 5.0])) == pytest.approx([-1.224745, 0.0, 1.224745], abs=1e-6)


def test_whitening_by_a_reference():
    # The reference has mean 2 and deviation 1; a value beside it is measured with the same rule.
    assert whiten(np.array([1.0, 3.0, 7.0]), reference_N=np.array([1.0, 3.0])) == pytest.approx([-1.0, 1.0, 5.0])


def test_a_constant_reference_blows_nothing_up():
    assert whiten(np.array([0.9, 0.9])).tolist() == [0.0, 0.0]
    # Every fresh trajectory earned 1, a replayed one 0.9: that is a tenth of a reward unit, not ten million deviations.
    assert whiten(np.array([1.0, 1.0, 0.9]), reference_N=np.array([1.0, 1.0])) == pytest.approx([0.0, 0.0, -0.1])


def test_the_baseline_over_two_updates_by_hand():
    baseline = StateBaseline()
    first = np.array([1.0, 3.0, 5.0])
    # Nothing is known yet: every state is worth the mean return, 3.
    assert baseline.values(["a", "a", "b"], first).tolist() == [3.0, 3.0, 3.0]
    baseline.update(["a", "a", "b"], first)
    second = np.array([4.0, 0.0])
    # a: (1 + 3) / 2 = 2; b: 5; c is new: the mean of this batch, 2.
    assert baseline.values(["a", "b", "c"], second).tolist() == [2.0, 5.0, 2.0]
    baseline.update(["a", "c"], second)
    # a has been met three times: 2 + (4 - 2) / 3.
    assert baseline.values(["a", "b", "c"], np.array([])) == pytest.approx([2 + 2 / 3, 5.0, 0.0])


def test_old_visits_fade_after_ten():
    baseline = StateBaseline(decay=0.9)
    for _ in range(20):
        baseline.update(["a"], np.array([0.0]))
    baseline.update(["a"], np.array([1.0]))
    # The plain mean would be 1/21; the exponential one moves by a tenth.
    assert baseline.values(["a"], np.array([0.0])) == pytest.approx([0.1])


def test_the_states_met_longest_ago_are_forgotten_first(monkeypatch):
    monkeypatch.setattr(advantages, "STATES_KEPT", 3)
    baseline = StateBaseline()
    baseline.update(["a", "b", "c"], np.array([1.0, 2.0, 3.0]))
    baseline.update(["a", "d"], np.array([1.0, 4.0]))
    assert baseline.values(["a", "b", "c", "d"], np.array([9.0])).tolist() == [1.0, 9.0, 3.0, 4.0]
    assert set(baseline.state_dict()["visits"]) == set(baseline.state_dict()["means"]) == {"a", "c", "d"}


def test_the_baseline_goes_on_from_its_state():
    one, other = StateBaseline(), StateBaseline()
    one.update(["a", "b"], np.array([1.0, 1 / 3]))
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for baseline in (one, other):
        baseline.update(["b", "c"], np.array([0.1, 0.2]))
    assert one.state_dict() == other.state_dict()
    assert list(one.state_dict()["means"]) == list(other.state_dict()["means"]), "the order decides who is forgotten"
