"""Household: the contract, the generator, rules and texts of the twin, the oracle."""

import random
from typing import Any

import pytest

from tests.household_search import distance, small_games
from workbench import check_text_env
from workbench.envs.catalog import make_env
from workbench.envs.household.game import Game, Goal, Receptacle, Thing
from workbench.envs.household.generator import GameSet, generated_games
from workbench.envs.household.names import ROOMS, TASK_TYPES, THINGS
from workbench.envs.household.planner import shortest_plan
from workbench.envs.household.twin import Twin
from workbench.envs.household.world import Household
from workbench.errors import EnvError

COMPACT: dict[str, Any] = {
    "observation": "compact",
    "commands": "useful",
    "known": True,
    "games": 36,
    "receptacles": (5, 8),
    "things": (4, 6),
}
TOMATO: dict[str, Any] = {"task_types": ["pick"], "goal": ["tomato", "microwave"], "games": 24}

KITCHEN = (
    ("cabinet 1", "cabinet", True),
    ("countertop 1", "countertop", False),
    ("fridge 1", "fridge", True),
    ("microwave 1", "microwave", True),
    ("sinkbasin 1", "sinkbasin", False),
)


def kitchen(goal: Goal, **things: int) -> Game:
    """A small kitchen; ``mug_2=1`` puts mug 2 on the countertop."""
    rows = []
    for name, start in things.items():
        kind = name.rpartition("_")[0]
        traits = frozenset({"toggle"}) if kind == "desklamp" else THINGS[kind].traits | {"take"}
        rows.append(Thing(name.replace("_", " "), kind, start, traits))
    fits = frozenset((place, kind) for kind in THINGS for place in THINGS[kind].fits)
    return Game("test-000", "kitchen-000", tuple(Receptacle(*row) for row in KITCHEN), tuple(rows), fits, goal)


def replies(twin: Twin, *commands: str) -> list[str]:
    said = []
    for command in commands:
        assert command in twin.commands(), command
        said.append(twin.act(command))
    return said


# The contract ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"games": 36}, COMPACT, TOMATO])
def test_the_contract_holds(options):
    check_text_env(lambda: Household(**options))


def test_it_is_known_by_name():
    env = make_env("household", games=12)
    assert env.name == "household"
    assert env.stages == ("pick", "prepare", "all")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"games": 0}, "games must be a whole number from 1"),
        ({"games": True}, "games must be a whole number from 1"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"task_types": ["clean", "cook"]}, "unknown task type 'cook'; did you mean"),
        ({"task_types": []}, "task_types must be 'all' or a list"),
        ({"task_types": ["pick", "pick"]}, "names one twice"),
        ({"receptacles": (9, 5)}, r"receptacles must be the fewest and the most.*found \(9, 5\)"),
        ({"things": 7}, "things must be the fewest and the most"),
        ({"goal": ("tomatoe", "microwave")}, "unknown thing 'tomatoe'; did you mean 'tomato'"),
        ({"goal": ("tomato", "bed")}, "admits a task 'pick' about tomato and bed"),
        ({"observation": "short"}, "unknown observation 'short'"),
        ({"commands": "few"}, "unknown commands 'few'"),
        ({"known": 1}, "known must be true or false"),
        ({"step_cost": float("nan")}, "step_cost must be a number of at least 0"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options, message):
    with pytest.raises(EnvError, match=message) as caught:
        Household(**options)
    assert "\n" not in str(caught.value)


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(EnvError, match=r"unknown task 'clean-00'; did you mean .*'clean-002'"):
        Household(games=12).reset(seed=0, options={"task": "clean-00"})


def test_a_task_of_a_later_stage_is_refused_in_an_earlier_one():
    with pytest.raises(EnvError, match="task 'two-005' is not of stage 'pick'"):
        Household(games=12).reset(seed=0, options={"task": "two-005", "stage": "pick"})


# Games ----------------------------------------------------------------------------------------------------


def test_equal_settings_give_the_same_games_and_another_seed_gives_others():
    first, again = GameSet(3, 12, TASK_TYPES, (6, 9), (4, 8), None), GameSet(3, 12, TASK_TYPES, (6, 9), (4, 8), None)
    prints = [game.fingerprint for game in generated_games(first).values()]
    assert generated_games(first) is generated_games(again)
    generated_games.cache_clear()
    assert [game.fingerprint for game in generated_games(again).values()] == prints
    assert not set(prints) & {game.fingerprint for game in generated_games(first._replace(seed=4)).values()}


def test_every_game_keeps_its_promises():
    games = small_games(1, 300, receptacles=(5, 20), things=(3, 20))
    assert {game.goal.task_type for game in games} == set(TASK_TYPES)
    assert {game.room.partition("-")[0] for game in games} == set(ROOMS)
    assert len({game.fingerprint for game in games}) == len(games)
    for game in games:
        assert game.task.startswith(game.goal.task_type)
        assert game.goal.task_type in ROOMS[game.room.partition("-")[0]].tasks
        assert 5 <= len(game.receptacles) <= 20
        assert len({place.name for place in game.receptacles}) == len(game.receptacles)
        assert len({thing.name for thing in game.things}) == len(game.things) >= 3
        for thing in game.things:
            assert "toggle" in thing.traits or game.receptacles[thing.start].kind in THINGS[thing.kind].fits
        assert not Twin(game).won()


def test_games_of_one_room_share_its_furniture_and_no_other_rooms_name():
    rooms: dict[str, set[tuple[Receptacle, ...]]] = {}
    for game in small_games(1, 120):
        rooms.setdefault(game.room, set()).add(game.receptacles)
    assert all(len(furniture) == 1 for furniture in rooms.values())
    assert 30 < len(rooms) < 60


def test_stages_grow_by_task_type_and_otherwise_by_size():
    mixed = Household(games=60, task_types=["pick", "clean", "two"])
    assert mixed.stages == ("pick", "prepare", "all")
    assert [len(mixed.tasks(stage)) for stage in mixed.stages] == [20, 40, 60]
    single = Household(**TOMATO)
    assert single.stages == ("small", "all")
    sizes = {task: len(single._games[task].receptacles) for task in single.tasks("all")}
    assert max(sizes[task] for task in single.tasks("small")) < max(sizes.values())
    assert Household(games=6, task_types=["clean", "heat"]).stages == ("all",)


def test_the_goal_option_fixes_what_tasks_are_about():
    env = Household(**TOMATO)
    assert {game.goal[:3] for game in env._games.values()} == {("pick", "tomato", "microwave")}


# Rules and texts; each was seen in the real engine ------------------------------------------------------------


def test_a_walk_through_the_rules():
    twin = Twin(kitchen(Goal("clean", "mug", "cabinet", 0), apple_1=1, mug_2=0, mug_1=1))
    assert twin.game.statement == "Your task is to: put a clean mug in cabinet."
    assert replies(twin, "go to cabinet 1", "open cabinet 1", "take mug 2 from cabinet 1", "inventory") == [
        "You arrive at cabinet 1. The cabinet 1 is closed.",
        "You open the cabinet 1. The cabinet 1 is open. In it, you see a mug 2.",
        "You pick up the mug 2 from the cabinet 1.",
        "You are carrying: a mug 2.",
    ]
    assert replies(twin, "close cabinet 1", "go to countertop 1", "examine mug 2", "look") == [
        "You close the cabinet 1.",
        "You arrive at countertop 1. On the countertop 1, you see a apple 1, and a mug 1.",
        "This is a normal mug 2. In it, you see nothing.",
        "You are facing the countertop 1. Next to it, you see nothing.",
    ]
    assert replies(twin, "go to sinkbasin 1", "clean mug 2 with sinkbasin 1", "go to cabinet 1", "open cabinet 1") == [
        "You arrive at sinkbasin 1. On the sinkbasin 1, you see nothing.",
        "You clean the mug 2 using the sinkbasin 1.",
        "You arrive at cabinet 1. The cabinet 1 is closed.",
        "You open the cabinet 1. The cabinet 1 is open. In it, you see nothing.",
    ]
    assert not twin.won()
    assert replies(twin, "move mug 2 to cabinet 1", "inventory") == [
        "You move the mug 2 to the cabinet 1.",
        "You are not carrying anything.",
    ]
    assert twin.won()


def test_conditions_are_told_and_heat_undoes_cold():
    twin = Twin(kitchen(Goal("heat", "tomato", "fridge", 0), tomato_1=1, knife_1=1))
    replies(twin, "go to countertop 1", "take tomato 1 from countertop 1")
    assert replies(twin, "examine tomato 1") == ["There's nothing special about tomato 1."]
    assert replies(twin, "go to fridge 1", "cool tomato 1 with fridge 1", "examine tomato 1")[-1] == "This is a cold tomato 1."
    assert replies(twin, "go to microwave 1", "heat tomato 1 with microwave 1", "examine tomato 1")[-1] == "This is a hot tomato 1."
    said = replies(twin, "go to sinkbasin 1", "clean tomato 1 with sinkbasin 1", "examine tomato 1", "move tomato 1 to sinkbasin 1")
    assert said[2] == "This is a hot and clean tomato 1."
    replies(twin, "go to countertop 1", "take knife 1 from countertop 1", "go to sinkbasin 1")
    assert replies(twin, "slice tomato 1 with knife 1") == ["You sliced the tomato 1 with the knife 1."]


def test_a_cold_thing_that_was_heated_is_cold_no_more():
    for last in ("cool", "heat"):
        twin = Twin(kitchen(Goal("cool", "tomato", "sinkbasin", 0), tomato_1=1))
        replies(twin, "go to countertop 1", "take tomato 1 from countertop 1")
        for verb in ("heat", "cool", last):
            place = {"heat": "microwave 1", "cool": "fridge 1"}[verb]
            if twin.game.receptacles[twin.place].name != place:
                replies(twin, f"go to {place}")
            replies(twin, f"{verb} tomato 1 with {place}")
        replies(twin, "go to sinkbasin 1", "move tomato 1 to sinkbasin 1")
        assert twin.won() == (last == "cool")


def test_admissible_commands_come_in_the_engines_order():
    twin = Twin(kitchen(Goal("pick", "knife", "sinkbasin", 0), knife_1=2, egg_1=2))
    assert twin.commands()[-3:] == ("help", "inventory", "look")
    replies(twin, "go to fridge 1")
    ways = ("go to cabinet 1", "go to countertop 1", "go to microwave 1", "go to sinkbasin 1")
    assert twin.commands() == ("examine fridge 1", *ways, "help", "inventory", "look", "open fridge 1")
    assert twin.commands(useful=True) == (*ways, "open fridge 1")
    replies(twin, "open fridge 1", "take knife 1 from fridge 1", "close fridge 1")
    assert "slice egg 1 with knife 1" in twin.commands(), "the engine slices through a closed door"
    assert not any(command.startswith(("take", "move")) for command in twin.commands())


def test_a_lamp_lights_what_is_held_beside_it():
    twin = Twin(kitchen(Goal("look", "book", "desklamp", 0), book_1=0, desklamp_1=1))
    replies(twin, "go to countertop 1")
    assert replies(twin, "use desklamp 1") == ["You turn on the desklamp 1."]
    assert "take desklamp 1 from countertop 1" not in twin.commands()
    replies(twin, "go to cabinet 1", "open cabinet 1", "take book 1 from cabinet 1")
    assert not twin.won()
    replies(twin, "go to countertop 1")
    assert twin.won()


def test_commands_are_sorted_known_operations_wherever_play_leads():
    dice = random.Random(0)
    for game in small_games(2):
        twin = Twin(game)
        for _ in range(40):
            commands = twin.commands()
            assert list(commands) == sorted(commands)
            assert set(twin.commands(useful=True)) <= set(commands) <= set(game.operations)
            twin.act(dice.choice(commands))


# The oracle -----------------------------------------------------------------------------------------------


def test_the_oracle_is_as_short_as_search_from_anywhere():
    dice = random.Random(1)
    lengths, hands_full = set(), 0
    for game in small_games(5, 60, receptacles=(5, 6), things=(3, 4)):
        twin = Twin(game)
        for _ in range(dice.randrange(12)):
            deeds = [command for command in twin.commands(useful=True) if not command.startswith("go ")]
            if not twin.won():
                twin.act(dice.choice(deeds if deeds and dice.random() < 0.6 else twin.commands(useful=True)))
        plan = shortest_plan(twin)
        if len(plan) < 9:  # longer ones take seconds
            assert distance(twin, len(plan)) == len(plan), (game.task, twin.state, plan)
            lengths.add(len(plan))
            hands_full += plan[:1] != [] and plan[0].startswith("move") and len(plan) > 3
    assert len(lengths) > 5
    assert hands_full


def test_the_oracle_solves_every_game_after_any_wandering():
    dice = random.Random(2)
    for game in small_games(6, 150):
        twin = Twin(game)
        for _ in range(dice.randrange(60)):
            if not twin.won():
                twin.act(dice.choice(twin.commands()))
        for command in shortest_plan(twin):
            assert not twin.won()
            assert command in twin.commands()
            twin.act(command)
        assert twin.won()


def test_a_full_hand_is_emptied_where_it_costs_least():
    twin = Twin(kitchen(Goal("pick", "egg", "fridge", 0), mug_1=1, egg_1=1))
    replies(twin, "go to countertop 1", "take mug 1 from countertop 1")
    assert shortest_plan(twin) == [
        "move mug 1 to countertop 1",
        "take egg 1 from countertop 1",
        "go to fridge 1",
        "open fridge 1",
        "move egg 1 to fridge 1",
    ]
