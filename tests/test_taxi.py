"""DangerousTaxi against Gymnasium's own Taxi, its texts, rewards and stages."""

import warnings

import numpy as np
import pytest
from gymnasium.envs.toy_text.taxi import TaxiEnv
from gymnasium.utils.env_checker import check_env

from tests.taxi_play import begin, play
from workbench.envs.taxi import STATEMENT, DangerousTaxi, grid_cells
from workbench.envs.taxi_world import COMMANDS, decode, taxi_world
from workbench.errors import EnvError


@pytest.fixture
def env() -> DangerousTaxi:
    return DangerousTaxi()


def place(env: DangerousTaxi, state: int) -> None:
    """Put the world into any of the 500 states, most of which no task begins in."""
    destination = "RGYB"[decode(state).destination]
    begin(env, next(task for task in env.tasks("full") if task.endswith(destination)))
    env._state = state


# The same world as Gymnasium's -----------------------------------------------------------------------------


def test_all_transitions_equal_gymnasiums(env):
    peer = TaxiEnv()
    for state in range(500):
        for action, command in enumerate(COMMANDS):
            peer.reset(seed=0)
            peer.s = state
            expected, _, delivered, _, _ = peer.step(action)
            legal = expected != state
            place(env, state)
            _, reward, terminated, truncated, info = env.step(command)
            assert env._state == expected
            assert terminated == (delivered or not legal)
            assert not truncated
            assert info["success"] == delivered
            assert (reward == -0.5) == (not legal)


def test_legal_moves_are_those_of_gymnasiums_mask():
    peer = TaxiEnv()
    for state in range(500):
        legal = [after != state for after in taxi_world().successors[state]]
        assert np.array_equal(peer.action_mask(state).astype(bool), legal)


def test_tasks_are_gymnasiums_start_states(env):
    peer = TaxiEnv()
    starts = {taxi_world().starts[task].waiting for task in env.tasks("full")}
    assert starts == set(np.flatnonzero(peer.initial_state_distrib))
    assert all(len(env.tasks(stage)) == 300 for stage in env.stages)
    for state in (0, 123, 499):
        assert tuple(decode(state)) == tuple(peer.decode(state))


def test_a_task_id_says_where_everything_is(env):
    begin(env, "r2c3-R-G")
    assert env._state == TaxiEnv().encode(2, 3, 0, 1)
    begin(env, "r2c3-R-G", stage="dropoff")
    assert env._state == TaxiEnv().encode(0, 0, 4, 1)


def test_gymnasiums_own_checker_passes():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Not able to test alternative render modes.*")  # built directly, without a spec
        check_env(DangerousTaxi(render_mode="ansi"))


# What is shown -------------------------------------------------------------------------------------------

GOLDEN = {
    ("waiting elsewhere", "r2c3-R-G"): (
        (),
        ["|P: | : :D|", "| : | : : |", "| : : :T: |", "| | : | : |", "| | : | : |"],
        "none",
    ),
    ("at the passenger", "r0c0-R-B"): (
        (),
        ["|O: | : : |", "| : | : : |", "| : : : : |", "| | : | : |", "| | : |D: |"],
        "none",
    ),
    ("empty on the destination", "r0c4-Y-G"): (
        (),
        ["| : | : :E|", "| : | : : |", "| : : : : |", "| | : | : |", "|P| : | : |"],
        "none",
    ),
    ("passenger aboard", "r0c0-R-B"): (
        ("pickup", "south", "east"),
        ["| : | : : |", "| :X| : : |", "| : : : : |", "| | : | : |", "| | : |D: |"],
        "east",
    ),
    ("aboard on the destination", "r0c0-R-Y"): (
        ("pickup", "south", "south", "south", "south"),
        ["| : | : : |", "| : | : : |", "| : : : : |", "| | : | : |", "|Z| : | : |"],
        "south",
    ),
    ("delivered", "r0c0-R-Y"): (
        ("pickup", "south", "south", "south", "south", "dropoff"),
        ["| : | : : |", "| : | : : |", "| : : : : |", "| | : | : |", "|S| : | : |"],
        "dropoff",
    ),
    ("crashed", "r0c0-R-Y"): (
        ("north",),
        ["|O: | : : |", "| : | : : |", "| : : : : |", "| | : | : |", "|D| : | : |"],
        "north",
    ),
}


@pytest.mark.parametrize(("what", "task"), GOLDEN)
def test_the_observation_is_golden(env, what, task):
    commands, rows, last = GOLDEN[what, task]
    begin(env, task)
    play(env, *commands)
    assert env.observe().split("\n") == ["+---------+", *rows, "+---------+", f"Last command: {last}"]
    assert env.render() == env.observe()


def test_states_in_play_look_different():
    """Nothing hides anything: as many maps as states that can come up before the end."""
    states = [state for state in range(500) if decode(state).passenger != decode(state).destination]
    assert len({taxi_world().maps[state] for state in states}) == len(states) == 400


def test_grid_cells_are_the_map_of_the_text(env):
    cells = grid_cells(begin(env, "r2c3-R-G"))
    assert [len(row) for row in cells] == [11] * 7
    assert (cells[1][1], cells[3][7], cells[1][9]) == ("P", "T", "D")
    assert (cells[1][4], cells[1][2]) == ("|", ":")
    for text in ("", "Chain: ! _ @", "+---------+\n" * 3, "| | | | | |" * 7):
        with pytest.raises(EnvError, match="does not begin with a taxi map"):
            grid_cells(text)


def test_the_statement_is_one_paragraph_that_explains_every_symbol(env):
    statements = set()
    for stage in env.stages:
        begin(env, "r2c3-R-G", stage)
        statements.add(env.task_statement())
    assert statements == {STATEMENT}
    assert "\n" not in STATEMENT
    for symbol in "TPDOXEZS|":
        assert f" {symbol} " in STATEMENT


# Rewards and stages ---------------------------------------------------------------------------------------


def test_rewards_of_a_delivery(env):
    begin(env, "r0c0-R-Y")
    rewards = play(env, "pickup", "south", "south", "south", "south", "dropoff")
    assert rewards == pytest.approx([0.95, -0.05, -0.05, -0.05, -0.05, 0.95])
    assert env.success


def test_only_the_first_pickup_earns_the_bonus_and_a_wrong_landmark_is_legal(env):
    begin(env, "r0c0-R-B")
    rewards = play(env, "pickup", "dropoff", "pickup", "south", "south", "south", "south", "dropoff", "pickup")
    assert rewards == pytest.approx([0.95] + [-0.05] * 8)
    assert not env.success


@pytest.mark.parametrize("stage", ["pickup", "dropoff", "full"])
@pytest.mark.parametrize("command", ["north", "west"])
def test_the_first_command_can_be_fatal(env, stage, command):
    begin(env, "r0c0-R-Y", stage)
    observation, reward, terminated, truncated, info = env.step(command)
    assert (reward, terminated, truncated, info["success"]) == (-0.5, True, False, False)
    assert observation.endswith(f"Last command: {command}")
    with pytest.raises(EnvError, match="the trajectory is over"):
        env.step("south")


def test_illegal_pickup_and_dropoff_are_fatal(env):
    begin(env, "r2c3-R-G")
    assert play(env, "pickup") == [-0.5]
    begin(env, "r2c3-R-G")
    assert play(env, "dropoff") == [-0.5]
    begin(env, "r2c3-R-G", "dropoff")
    assert play(env, "south", "dropoff") == pytest.approx([-0.05, -0.5])


def test_stage_pickup_ends_with_the_passenger_aboard(env):
    begin(env, "r1c0-R-Y", "pickup")
    play(env, "north")
    _, reward, terminated, _, info = env.step("pickup")
    assert (reward, terminated, info["success"]) == (pytest.approx(0.95), True, True)


def test_stage_dropoff_starts_at_the_landmark_and_never_pays_a_pickup(env):
    observation = begin(env, "r2c3-R-Y", "dropoff")
    assert observation.split("\n")[1].startswith("|X")
    rewards = play(env, "dropoff", "pickup", "south", "south", "south", "south", "dropoff")
    assert rewards == pytest.approx([-0.05] * 6 + [0.95])
    assert env.success


def test_the_horizon_truncates():
    env = DangerousTaxi(horizon=3)
    begin(env, "r2c2-R-G")
    results = [env.step(command)[2:4] for command in ("west", "east", "west")]
    assert results == [(False, False), (False, False), (False, True)]
    with pytest.raises(EnvError, match="over"):
        env.step("east")


def test_a_success_on_the_last_turn_is_no_truncation():
    env = DangerousTaxi(horizon=1)
    begin(env, "r0c0-R-Y", "pickup")
    _, _, terminated, truncated, info = env.step("pickup")
    assert (terminated, truncated, info["success"]) == (True, False, True)
