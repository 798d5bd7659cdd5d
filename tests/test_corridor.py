"""Corridor: its rules, its teacher, its preset."""

import pytest

from workbench import check_text_env, load_preset
from workbench.data.teachers import CorridorTeacher, Mistake, make_teacher
from workbench.envs.catalog import make_env
from workbench.envs.corridor import Corridor
from workbench.errors import EnvError
from workbench.prompts import suggested_command
from workbench.seeding import generator


def begun(task: str, stage: str = "full") -> Corridor:
    env = Corridor()
    env.reset(seed=0, options={"task": task, "stage": stage})
    return env


@pytest.mark.parametrize("length", [4, 10])
def test_it_keeps_the_contract(length):
    check_text_env(lambda: make_env("corridor", length=length))


def test_every_pair_of_start_and_goal_is_a_task_and_near_ones_are_a_stage():
    env = Corridor(length=10)
    assert len(env.tasks("full")) == 90
    assert len(env.tasks("near")) == 2 * (9 + 8)
    assert set(env.tasks("near")) < set(env.tasks("full"))


def test_rewards_by_hand():
    env = begun("start-3-goal-5")
    assert env.oracle() == ["right", "right"]
    observation, reward, terminated, _, info = env.step("right")
    assert observation == "_ _ _ _ @ G _ _ _ _\nYou: 4 Goal: 5"
    assert (reward, terminated, info["success"]) == (-0.05, False, False)
    _, reward, terminated, _, info = env.step("right")
    assert reward == pytest.approx(0.95)
    assert (terminated, info["success"]) == (True, True)


@pytest.mark.parametrize(("task", "command"), [("start-0-goal-5", "left"), ("start-9-goal-5", "right")])
def test_both_ends_are_open(task, command):
    env = begun(task)
    _, reward, terminated, _, info = env.step(command)
    assert reward == pytest.approx(-1.05)
    assert (terminated, info["success"]) == (True, False)
    assert env.oracle() is None


@pytest.mark.parametrize(("options", "said"), [({"length": 3}, "from 4 to 60, found 3"), ({"length": 40}, "does not fit into horizon 20")])
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(EnvError, match=said):
        make_env("corridor", **options)


def test_the_teacher_names_the_oracles_command_last():
    env = begun("start-7-goal-2")
    teacher = make_teacher(env)
    assert isinstance(teacher, CorridorTeacher)
    env.step("right")
    for number in range(20):
        dice = generator(number, "words")
        for text in (teacher.reflect(env, dice), teacher.correct(env, Mistake("right", "left"), dice)):
            assert suggested_command(text, env.admissible_commands()) == "left"


def test_its_preset_plays_it():
    assert load_preset("corridor-quickstart").env.name == "corridor"
