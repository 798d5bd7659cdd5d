"""DangerousTaxi's oracle, state keys, snapshots, refusals and speed."""

import json
import time

import numpy as np
import pytest
from gymnasium.envs.toy_text.taxi import TaxiEnv

from tests.taxi_play import begin, play
from workbench.envs.taxi import DangerousTaxi
from workbench.envs.taxi_world import COMMANDS, taxi_world
from workbench.errors import EnvError

ORACLE_MILLISECONDS = 1.0
SLOWEST_TURNS_PER_SECOND = 10_000  # a fifth of the target, so that a busy machine does not fail the test


@pytest.fixture
def env() -> DangerousTaxi:
    return DangerousTaxi()


# The oracle ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "mean", "shortest", "longest"), [("full", 13.07, 6, 18), ("pickup", 5.57, 1, 9), ("dropoff", 7.5, 5, 9)])
def test_shortest_solutions(env, stage, mean, shortest, longest):
    lengths = []
    for task in env.tasks(stage):
        begin(env, task, stage)
        plan = env.oracle()
        play(env, *plan)
        assert env.success
        assert env.oracle() == []
        lengths.append(len(plan))
    assert np.mean(lengths) == pytest.approx(mean, abs=0.005)
    assert (min(lengths), max(lengths)) == (shortest, longest)


def test_every_oracle_command_is_one_step_closer_and_none_is_closer(env):
    """Bellman's equation over all states proves that the routes are shortest."""
    world = taxi_world()
    for routes in (world.to_pickup, world.to_delivery):
        for state, route in enumerate(routes):
            nearest = min(len(routes[after]) for after in world.successors[state])
            assert not route or len(route) == 1 + nearest


def test_ties_are_broken_in_the_order_of_the_commands():
    world = taxi_world()
    for state, route in enumerate(world.to_delivery):
        if route:
            best = [
                command
                for command, after in zip(COMMANDS, world.successors[state], strict=True)
                if len(world.to_delivery[after]) == len(route) - 1
            ]
            assert route[0] == best[0]


def test_the_oracle_is_fast(env):
    begin(env, "r2c3-R-G")
    begun = time.process_time()
    for _ in range(100):
        env.oracle()
    assert (time.process_time() - begun) * 1000 / 100 < ORACLE_MILLISECONDS


# State keys, snapshots, refusals ---------------------------------------------------------------------------


def test_the_state_key_tells_states_and_bonus_apart_but_not_the_last_command(env):
    begin(env, "r2c2-R-G")
    start = env.state_key()
    play(env, "west", "east")
    assert env.state_key() == start
    begin(env, "r0c0-R-G")
    fresh = env.state_key()
    play(env, "pickup", "dropoff")
    assert env.state_key() == fresh.removesuffix("+") != fresh
    begin(env, "r0c0-R-G", "pickup")
    assert env.state_key() != fresh  # the pickup ends this one
    keys = set()
    for task in env.tasks("full"):
        begin(env, task)
        keys.add(env.state_key())
    assert len(keys) == 300


def test_a_snapshot_is_json_and_complete(env):
    begin(env, "r0c0-R-B")
    play(env, "pickup", "south")
    saved = json.loads(json.dumps(env.snapshot()))
    assert saved == {
        "task": "r0c0-R-B",
        "stage": "full",
        "state": TaxiEnv().encode(1, 0, 4, 3),
        "bonus_left": False,
        "last_command": "south",
        "turns_taken": 2,
        "success": False,
        "over": False,
    }
    other = DangerousTaxi()
    observation, info = other.restore(saved)
    assert (observation, info) == (env.observe(), env._info())
    assert other.step("south") == env.step("south")


GOOD = {
    "task": "r0c0-R-B",
    "stage": "full",
    "state": 36,
    "bonus_left": False,
    "last_command": "south",
    "turns_taken": 2,
    "success": False,
    "over": False,
}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"task": "r9c9-R-B"}, "it is of task"),
        ({"stage": "park"}, "stage 'park'"),
        ({"state": 500}, "state 500 does not belong"),
        ({"state": -1}, "state -1 does not belong"),
        ({"state": 118}, "state 118 does not belong"),
        ({"state": True}, "state is True"),
        ({"state": 119 - 4}, "state 115 cannot come up"),
        ({"bonus_left": True, "state": 119}, "bonus_left"),
        ({"bonus_left": 1}, "bonus_left is 1"),
        ({"last_command": "fly"}, "last_command 'fly'"),
        ({"last_command": None}, "last_command None after 2"),
        ({"turns_taken": -2}, "after -2 turns"),
        ({"turns_taken": 20}, "over False"),
        ({"success": True}, "success True"),
        ({"extra": 1}, "unknown entry 'extra'"),
    ],
)
def test_a_snapshot_that_cannot_be_is_refused_and_nothing_changes(env, changes, problem):
    good = {**GOOD, "state": int(TaxiEnv().encode(1, 0, 4, 3))}
    env.restore(good)
    before = env.snapshot()
    with pytest.raises(EnvError, match=problem):
        env.restore({**good, **changes})
    assert env.snapshot() == before


def test_snapshots_of_the_wrong_shape_are_refused(env):
    with pytest.raises(EnvError, match="call reset"):
        env.snapshot()
    with pytest.raises(EnvError, match="expected a dictionary, found list"):
        env.restore([])
    with pytest.raises(EnvError, match="'stage' is missing"):
        env.restore({"task": "r0c0-R-B"})


def test_unknown_tasks_are_refused_with_the_nearest(env):
    with pytest.raises(EnvError, match="did you mean 'r2c3-R-G'"):
        begin(env, "r2c3-R_G")
    with pytest.raises(EnvError, match="a task looks like 'r2c3-R-G'"):
        begin(env, "zzzzzzzzzz")
    with pytest.raises(EnvError, match="the trajectory is over"):
        env.step("south")
    with pytest.raises(EnvError, match="unknown task 5"):
        env.reset(options={"task": 5})
    with pytest.raises(EnvError, match="unknown stage 'fall'; did you mean 'full'"):
        env.tasks("fall")


def test_reset_and_random_play_are_fast(env):
    dice = np.random.default_rng(0)
    choices = dice.integers(6, size=20_000)
    env.reset(seed=0)
    over, begun = False, time.process_time()
    for choice in choices:
        if over:
            env.reset()
        _, _, terminated, truncated, _ = env.step(COMMANDS[choice])
        over = terminated or truncated
    assert len(choices) / (time.process_time() - begun) > SLOWEST_TURNS_PER_SECOND
