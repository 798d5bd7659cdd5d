"""Household's observations, rewards, snapshots and teacher."""

import json
import random
import time
from typing import Any

import numpy as np
import pytest

from workbench.config import load_preset
from workbench.curriculum import make_curriculum
from workbench.data.splits import split_tasks
from workbench.data.teachers import HouseholdTeacher, make_teacher
from workbench.data.teachers.base import Mistake
from workbench.envs.catalog import make_env
from workbench.envs.household.world import Household
from workbench.errors import DataError, EnvError
from workbench.prompts import suggested_command

COMPACT: dict[str, Any] = {"observation": "compact", "commands": "useful", "games": 36, "receptacles": (5, 8), "things": (4, 6)}


@pytest.fixture
def compact() -> Household:
    return Household(**COMPACT)


def begin(env: Household, task: str) -> str:
    return env.reset(seed=0, options={"task": task})[0]


def wander(env: Household, dice: random.Random, turns: int) -> None:
    for _ in range(turns):
        if not env._over:
            env.step(dice.choice(env.admissible_commands()))


# What is shown --------------------------------------------------------------------------------------------


def test_the_papers_observation_is_the_room_and_the_path():
    env = Household(games=12)
    room = begin(env, "clean-002")
    assert room.startswith("You are in the middle of a room. Looking quickly around you, you see a ")
    assert env.task_statement().startswith("Your task is to: ")
    assert env.task_statement() not in room
    first, second = env.oracle()[:2]
    env.step(first)
    seen, *_ = env.step(second)
    assert seen.startswith(f"{room}\n> {first}\nYou arrive at ")
    assert f"\n> {second}\nYou " in seen


def test_the_compact_observation_hides_what_was_not_seen(compact):
    for task in compact.tasks("all"):
        begin(compact, task)
        game = compact.twin.game
        text = compact.observe()
        assert text.startswith("At: middle of the room.\nCarrying: nothing.\nUnseen: ")
        assert all(place.name in text for place in game.receptacles)
        assert not any(thing.name in text for thing in game.things)


def test_what_was_seen_stays_in_view(compact):
    begin(compact, "clean-002")
    twin, visited = compact.twin, set()
    for command in compact.oracle():
        compact.step(command)
        if twin.opened[twin.place]:
            visited.add(twin.place)
        text = compact.observe()
        unseen = text.partition("Unseen: ")[2]
        for place, receptacle in enumerate(twin.game.receptacles):
            assert (receptacle.name in unseen) == (place not in visited and place != twin.place)
            if place in visited:
                assert all(twin.game.things[thing].name in text for thing in twin.contents[place])
    assert f"clean {twin.game.goal.thing} " in text.splitlines()[0], "it lies here, clean"
    assert "Carrying: nothing." in text


def test_a_focused_observation_leaves_out_what_the_task_is_not_about():
    whole, focused = (Household(**{**COMPACT, "observation": kind, "games": 60}, known=True) for kind in ("compact", "focused"))
    left_out = 0
    for task in whole.tasks("all"):
        begin(whole, task), begin(focused, task)
        for command in whole.oracle():
            game = whole.twin.game
            wanted = {thing.name for thing in game.things if thing.kind in (game.goal.thing, game.goal.place)}
            shown = [{thing.name for thing in game.things if thing.name in env.observe()} for env in (whole, focused)]
            assert shown[1] == shown[0] & wanted, "of what can be seen, what the task is about; the lamp of a look is its place"
            left_out += len(shown[0] - wanted)
            assert all(place.name in focused.observe() for place in game.receptacles)
            assert focused.admissible_commands() == whole.admissible_commands() and focused.state_key() == whole.state_key()
            whole.step(command), focused.step(command)
    assert left_out > 100


def test_a_focused_observation_says_that_a_wrong_thing_is_of_no_use():
    env, dice = Household(**{**COMPACT, "observation": "focused", "games": 60}, known=True), random.Random(0)
    said = {True: 0, False: 0}
    for task in env.tasks("all"):
        begin(env, task)
        for _ in range(20):
            wander(env, dice, 1)
            held = env.twin.held
            if held >= 0 and not env._over:
                right = env.twin.game.things[held].kind == env.twin.game.goal.thing
                said[right] += 1
                assert (", of no use." in env.observe()) == (not right)
    assert min(said.values()) > 20


def test_known_shows_what_has_no_door_from_the_start():
    env = Household(**COMPACT, known=True)
    for task in env.tasks("all"):
        text = begin(env, task)
        twin = env.twin
        for thing in twin.game.things:
            assert (thing.name in text) == (not twin.game.receptacles[thing.start].openable)


def test_equal_state_keys_have_equal_observations_and_futures(compact):
    dice = random.Random(0)
    met: dict[str, tuple[str, tuple[str, ...], int]] = {}
    repeated = 0
    for _ in range(150):
        begin(compact, "heat-003")
        for _ in range(12):
            wander(compact, dice, 1)
            if compact._over:
                break
            now = compact.observe(), compact.admissible_commands(), len(compact.oracle())
            repeated += compact.state_key() in met
            assert met.setdefault(compact.state_key(), now) == now
    assert repeated > 100


def test_only_the_solution_is_rewarded_less_the_cost_of_steps():
    for cost in (0.0, 0.02):
        env = Household(games=12, step_cost=cost)
        begin(env, "two-005")
        rewards = [env.step(command)[1] for command in env.oracle()]
        assert rewards == pytest.approx([-cost] * (len(rewards) - 1) + [1 - cost])
        assert env.success


# Snapshots ------------------------------------------------------------------------------------------------


def test_a_snapshot_continues_in_another_copy(compact):
    dice = random.Random(3)
    other = Household(**COMPACT)
    for task in compact.tasks("all")[:12]:
        begin(compact, task)
        wander(compact, dice, 8)
        saved = json.loads(json.dumps(compact.snapshot()))
        before = compact.observe(), compact.state_key(), compact.turns_taken, compact.admissible_commands()
        wander(compact, dice, 5)
        for env in (other, compact):
            env.restore(saved)
            assert (env.observe(), env.state_key(), env.turns_taken, env.admissible_commands()) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "clean-999"}, "it is of task 'clean-999'"),
        ({"stage": "prepare", "task": "two-005"}, "it is of task 'two-005' and stage 'prepare'"),
        ({"stage": "pik"}, "and stage 'pik'"),
        ({"game": "00000000"}, "in another world"),
        ({"commands": ["fly"]}, "command 0, 'fly', is not admissible"),
        ({"commands": ["look"] * 31}, "31 commands, but the horizon is 30"),
        ({"commands": "look"}, "commands is 'look'"),
        ({"task": ["x" * 500]}, r"task is \['x{58}; take"),
        ({"commands": [["look"]]}, "is not admissible"),
        ({"more": 1}, "unknown entry 'more'"),
    ],
)
def test_a_wrong_snapshot_is_refused_and_changes_nothing(change, message):
    env = Household(games=12)
    begin(env, "clean-002")
    env.step("look")
    saved, before = env.snapshot(), (env.observe(), env.state_key(), env.turns_taken)
    with pytest.raises(EnvError, match=message):
        env.restore({**saved, **change})
    assert (env.observe(), env.state_key(), env.turns_taken) == before
    with pytest.raises(EnvError, match="'stage' is missing"):
        env.restore({"task": saved["task"]})


def test_nothing_follows_the_solution_in_a_snapshot():
    env = Household(games=12)
    begin(env, "pick-000")
    plan = env.oracle()
    for command in plan:
        env.step(command)
    saved = env.snapshot()
    with pytest.raises(EnvError, match="comes after the end"):
        env.restore({**saved, "commands": [*plan, "look"]})
    env.restore(saved)
    assert env.success
    with pytest.raises(EnvError, match="the trajectory is over"):
        env.step("look")


def test_before_the_first_reset_there_is_nothing_to_save():
    with pytest.raises(EnvError, match="nothing to save yet"):
        Household(games=12).snapshot()


# Splits, teacher, presets ---------------------------------------------------------------------------------


def test_held_out_games_are_in_rooms_that_training_never_saw():
    config = load_preset("household-quickstart")
    env = make_env("household", **config.env.options)
    splits = split_tasks(env, config.data, seed=0)["all"]
    rooms = {split: {env.task_group(task) for task in splits[split]} for split in ("train", "validation", "test")}
    assert not rooms["test"] & (rooms["train"] | rooms["validation"])
    assert len(splits["test"]) > 60
    types = {task.partition("-")[0] for task in splits["test"]}
    assert types == set(config.env.options["task_types"])


@pytest.mark.parametrize("name", ["household-smoke", "household-quickstart", "household-tomato"])
def test_presets_can_be_played_within_their_horizon(name):
    config = load_preset(name)
    env = make_env(config.env.name, **config.env.options)
    assert isinstance(env, Household)
    make_curriculum(config.curriculum, env.stages, config.rl.max_steps)
    for task in env.tasks(env.stages[-1]):
        begin(env, task)
        assert 2 <= len(env.oracle()) <= env.horizon


def test_the_teacher_advises_what_the_oracle_does_and_ends_with_it(compact):
    teacher, dice, generator = make_teacher(compact), random.Random(4), np.random.default_rng(0)
    assert isinstance(teacher, HouseholdTeacher)
    said = set()
    for task in compact.tasks("all"):
        begin(compact, task)
        wander(compact, dice, dice.randrange(10))
        while not compact._over:
            text, best = teacher.reflect(compact, generator), compact.oracle()[0]
            assert text.endswith(f"{best}.")
            assert text[0].isupper()
            assert len(text.split()) <= 22
            assert suggested_command(text, compact.admissible_commands()) == best
            wrong = teacher.correct(compact, Mistake("go to nowhere 1", best), generator)
            assert wrong.endswith(f"{best}.")
            assert "nowhere 1" in wrong or "detour" in wrong
            if not best.startswith("go "):
                early = teacher.correct(compact, Mistake(f"go to {' '.join(best.split()[-2:])}", best), generator)
                assert early.endswith(f"{best}.") and ("for later." in early or "too early." in early)
            said.add(text)
            compact.step(best)
    assert len(said) > 100


def test_the_teacher_does_not_tell_where_unseen_things_are(compact):
    teacher, generator = HouseholdTeacher(), np.random.default_rng(0)
    for task in compact.tasks("all"):
        begin(compact, task)
        text = teacher.reflect(compact, generator).lower()
        assert any(hint in text for hint in ("still need", "found yet", "look for")), text


def test_the_teacher_knows_its_own_world_only():
    env = make_env("taxi")
    env.reset(seed=0)
    with pytest.raises(DataError, match="cannot teach environment 'taxi'"):
        HouseholdTeacher().reflect(env, np.random.default_rng(0))


@pytest.mark.slow
def test_a_turn_takes_less_than_50_microseconds_and_a_plan_less_than_a_millisecond():
    env, dice = Household(), random.Random(0)
    tasks, turns, plans, planning = env.tasks("all"), 0, 0, 0.0
    start = time.process_time()
    while turns < 20_000:
        _, info = env.reset(options={"task": tasks[turns % len(tasks)]})
        over = False
        while not over:
            commands = info["admissible_commands"]
            _, _, terminated, truncated, info = env.step(commands[dice.randrange(len(commands))])
            over = terminated or truncated
            turns += 1
    seconds = time.process_time() - start
    for task in tasks:
        env.reset(options={"task": task})
        wander(env, dice, 10)
        start = time.process_time()
        env.oracle()
        planning += time.process_time() - start
        plans += 1
    assert turns / seconds >= 20_000
    assert planning / plans < 0.001
