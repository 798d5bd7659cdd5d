"""FrozenLake in words: the rules are Gymnasium's, the words are ours."""

import json

import gymnasium
import pytest
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv, generate_random_map

from workbench.config import DataConfig
from workbench.data.splits import split_tasks
from workbench.envs.checker import check_text_env
from workbench.envs.frozen_lake import COMMANDS, FrozenLake
from workbench.errors import EnvError
from workbench.seeding import generator


def at(task: str, stage: str = "full", **options) -> FrozenLake:
    env = FrozenLake(**options)
    env.reset(seed=0, options={"task": task, "stage": stage})
    return env


@pytest.mark.parametrize("options", [{}, {"size": 8, "maps": 20, "horizon": 40}])
def test_the_contract_holds(options):
    check_text_env(lambda: FrozenLake(**options))


def test_every_step_is_gymnasiums():
    """The same commands in Gymnasium's environment lead to the same fields, rewards and ends."""
    dice = generator(0, "lakes")
    for task in FrozenLake().tasks("full")[:40]:
        env, lake = at(task), FrozenLakeEnv(desc=generate_random_map(4, seed=int(task.removeprefix("lake-"))), is_slippery=False)
        lake.reset(seed=0)
        over = False
        while not over:
            action = int(dice.integers(4))
            field, reward, ended, _, _ = lake.step(action)
            _, mine, terminated, truncated, info = env.step(COMMANDS[action])
            assert (info["state_key"], mine, terminated) == (f"{task}/{field}", float(reward), ended)
            assert info["success"] == (reward == 1)
            over = terminated or truncated


def test_the_start_in_words():
    rows = generate_random_map(4, seed=0)
    text = at("lake-0").observe().split("\n")
    assert [line.replace(" ", "") for line in text[:4]] == ["@" + rows[0][1:], *rows[1:]]
    assert text[4] == "The goal lies 3 down and 3 right of you."


def test_the_near_stage_begins_halfway():
    for task in FrozenLake().tasks("near")[:50]:
        whole, rest = at(task).oracle(), at(task, "near").oracle()
        assert whole is not None
        assert rest == whole[len(whole) // 2 :]


def test_no_map_is_there_twice_and_none_is_in_two_splits():
    env = FrozenLake(size=3, maps=400)
    maps = {task: tuple(generate_random_map(3, seed=int(task.removeprefix("lake-")))) for task in env.tasks("full")}
    assert len(set(maps.values())) == len(maps) < 400
    splits = split_tasks(env, DataConfig(), seed=0)["full"]
    assert not {maps[task] for task in splits["train"]} & {maps[task] for task in splits["test"]}


def test_a_hole_leaves_no_way():
    task = next(task for task in FrozenLake().tasks("full") if at(task).observe().split("\n")[0].startswith("@ H"))
    env = at(task)
    _, reward, terminated, _, info = env.step("right")
    assert (reward, terminated, info["success"], env.oracle()) == (0.0, True, False, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"size": 1}, "size must be 2 to 16"), ({"maps": 0}, "found 4 and 0"), ({"horizon": 0}, "horizon must be a whole number")],
)
def test_what_is_out_of_range_is_refused(options, message):
    with pytest.raises(EnvError, match=message):
        FrozenLake(**options)


def test_an_unknown_task_is_refused():
    with pytest.raises(EnvError, match="unknown task 'lake-x'"):
        at("lake-x")


def test_a_trajectory_is_continued_from_its_commands():
    """It defines no snapshot() of its own: the seed and the commands are kept, as JSON, and played again."""
    env = FrozenLake()
    env.reset(seed=7, options={"stage": "near"})
    env.step("left")
    saved = json.loads(json.dumps(env.snapshot()))
    here = (env.observe(), env.state_key(), env.turns_taken, env.task)
    env.step("up")
    other = FrozenLake()
    for one in (env, other):
        observation, info = one.restore(saved)
        assert (observation, info["state_key"], one.turns_taken, one.task) == here


def test_it_is_the_readmes_short_example():
    env = gymnasium.make("workbench/FrozenLake-v0", size=5)
    observation, _ = env.reset(seed=1)
    assert len(observation.split("\n")) == 6
