"""Replay: which trajectories are kept, and which come back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.small_play import assignments, collector
from workbench.trainers.replay import ReplayBuffer, Step


@pytest.fixture(scope="module")
def trajectories():
    played = collector().collect(assignments(count=6))
    return [replace(one, success=number % 2 == 0) for number, one in enumerate(played)]


def steps(number: int) -> list[Step]:
    """Three steps that say which trajectory they are of."""
    return [Step((number, place), (7, 8), place % 2, -0.5, 1.0, f"s{number}") for place in range(3)]


def own(trajectories) -> list[list[Step]]:
    return [steps(number) for number in range(len(trajectories))]


def numbers(sampled: list[Step]) -> list[int]:
    return [step.prompt_token_ids[0] for step in sampled if step.prompt_token_ids[1] == 0]


def test_only_successes_are_kept_whole(trajectories):
    buffer = ReplayBuffer(10)
    buffer.add(trajectories, own(trajectories))
    assert len(buffer) == 3
    sampled = buffer.sample(10, np.random.default_rng(0))
    assert sorted(numbers(sampled)) == [0, 2, 4]
    assert sorted(sampled) == sorted(steps(0) + steps(2) + steps(4))


def test_the_oldest_make_room(trajectories):
    buffer = ReplayBuffer(2)
    buffer.add(trajectories, own(trajectories))
    assert sorted(numbers(buffer.sample(9, np.random.default_rng(0)))) == [2, 4]


def test_a_capacity_of_zero_turns_replay_off(trajectories):
    buffer = ReplayBuffer(0)
    buffer.add(trajectories, own(trajectories))
    assert len(buffer) == 0
    assert buffer.sample(4, np.random.default_rng(0)) == []


def test_a_sample_has_different_trajectories_and_follows_its_generator(trajectories):
    buffer = ReplayBuffer(10)
    buffer.add([replace(one, success=True) for one in trajectories], own(trajectories))
    drawn = [tuple(numbers(buffer.sample(2, np.random.default_rng(seed)))) for seed in range(40)]
    assert all(len(set(pair)) == 2 for pair in drawn)
    assert {number for pair in drawn for number in pair} == set(range(6))
    assert drawn == [tuple(numbers(buffer.sample(2, np.random.default_rng(seed)))) for seed in range(40)]


def test_the_buffer_goes_on_from_its_state(trajectories):
    one, other = ReplayBuffer(4), ReplayBuffer(4)
    one.add(trajectories, own(trajectories))
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for buffer in (one, other):
        buffer.add(trajectories, own(trajectories))
    assert one.sample(4, np.random.default_rng(3)) == other.sample(4, np.random.default_rng(3))
    assert all(isinstance(step, Step) for step in other.sample(4, np.random.default_rng(3)))
