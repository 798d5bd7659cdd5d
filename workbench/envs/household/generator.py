"""Seeded games of ALFWorld's six task types: rooms first, then a task and things for each game."""

from functools import cache
from typing import NamedTuple

import numpy as np

from workbench.envs.household.game import Game, Goal, Receptacle, Thing
from workbench.envs.household.names import LAMP, OPENABLE, ROOMS, STATION, THINGS, WORDINGS
from workbench.errors import EnvError
from workbench.seeding import generator

GAMES_PER_ROOM = 3
MOST_OF_A_KIND = 3
"""Things of one kind in a room."""


class GameSet(NamedTuple):
    """Which games are generated; equal settings give equal games."""

    seed: int
    games: int
    task_types: tuple[str, ...]
    receptacles: tuple[int, int]
    """Fewest and most in a room."""
    things: tuple[int, int]
    """Fewest and most in a game, lamps included; the task may need one more than the most."""
    goal: tuple[str, str] | None
    """Kind of thing and kind of receptacle (or lamp) that every task is about; None for any."""


@cache
def generated_games(wanted: GameSet) -> dict[str, Game]:
    """The games by task id, made once in a process and shared from then on.

    Task types take turns. A room serves three games, which differ in task and things.

    Raises:
        EnvError: No room of the wanted size admits the wanted task.
    """
    rooms_begun: dict[str, int] = {}
    games: dict[str, Game] = {}
    for number in range(wanted.games):
        task_type = wanted.task_types[number % len(wanted.task_types)]
        dice = generator(wanted.seed, "household-game", number)
        kinds = [kind for kind, room in ROOMS.items() if task_type in room.tasks and _can_be_about(kind, wanted.goal)]
        if not kinds:
            raise _impossible(task_type, wanted)
        kind = kinds[int(dice.integers(len(kinds)))]
        place = rooms_begun[kind] = rooms_begun.get(kind, -1) + 1
        game = _game(f"{task_type}-{number:03d}", f"{kind}-{place // GAMES_PER_ROOM:03d}", task_type, wanted, dice)
        games[game.task] = game
    return games


def _can_be_about(room: str, goal: tuple[str, str] | None) -> bool:
    return goal is None or (room in THINGS[goal[0]].rooms and (goal[1] == LAMP or goal[1] in {*ROOMS[room].always, *ROOMS[room].further}))


def _impossible(task_type: str, wanted: GameSet) -> EnvError:
    about = f" about {wanted.goal[0]} and {wanted.goal[1]}" if wanted.goal else ""
    low, high = wanted.receptacles
    return EnvError(
        f"household: no room of {low} to {high} receptacles admits a task {task_type!r}{about}; "
        "allow more receptacles, or choose another goal or task type"
    )


def _game(task: str, room: str, task_type: str, wanted: GameSet, dice: np.random.Generator) -> Game:
    places = furnished_room(room, wanted)
    kinds = {place.kind for place in places}
    choices = _goals(room.partition("-")[0], task_type, kinds, wanted.goal)
    if not choices:
        raise _impossible(task_type, wanted)
    thing, place_kind = choices[int(dice.integers(len(choices)))]
    goal = Goal(task_type, thing, place_kind, int(dice.integers(len(WORDINGS[task_type]))))
    rows = _things(room.partition("-")[0], places, goal, wanted, dice)
    every = {kind for kind, _ in rows} - {LAMP}
    fits = frozenset((place, kind) for kind in every for place in THINGS[kind].fits & kinds)
    return Game(task, room, places, _numbered(rows), fits, goal)


def furnished_room(room: str, wanted: GameSet) -> tuple[Receptacle, ...]:
    """The receptacles of a room such as ``kitchen-004``, in the engine's order."""
    kind = ROOMS[room.partition("-")[0]]
    dice = generator(wanted.seed, "household-room", room)
    chosen = list(kind.always)
    if wanted.goal and wanted.goal[1] != LAMP and wanted.goal[1] not in chosen:
        chosen.append(wanted.goal[1])
    spare = [name for name, most in kind.further.items() for _ in range(most - chosen.count(name) * (name not in kind.always))]
    count = int(dice.integers(wanted.receptacles[0], wanted.receptacles[1] + 1))
    order = dice.permutation(len(spare))
    chosen += [spare[place] for place in order[: max(count - len(chosen), 0)]]
    rows = [(name, chosen[:place].count(name) + 1) for place, name in enumerate(chosen)]
    return tuple(Receptacle(f"{name} {number}", name, name in OPENABLE) for name, number in sorted(rows, key=_engine_order))


def _engine_order(row: tuple[str, int]) -> tuple[str, int]:
    # The engine sorts by identifiers such as sink_bar_00_bar_sinkbasin, and the first of a kind gets the highest number.
    name, number = row
    return name.removesuffix("basin") + "_", -number


def _goals(room: str, task_type: str, kinds: set[str], wanted: tuple[str, str] | None) -> list[tuple[str, str]]:
    """Pairs (kind of thing, kind of receptacle or lamp) that a task can be about in this room, in a fixed order."""
    if task_type in STATION and STATION[task_type] not in kinds:
        return []
    pairs = []
    for name, thing in THINGS.items():
        if room not in thing.rooms or (task_type in STATION and task_type not in thing.traits):
            continue
        homes = sorted(thing.fits & kinds)
        places = [LAMP] if task_type == "look" else homes
        # Elsewhere than its goal there must be a place to find it.
        pairs += [(name, place) for place in places if set(homes) - {place} and wanted in (None, (name, place))]
    return pairs


def _things(room: str, places: tuple[Receptacle, ...], goal: Goal, wanted: GameSet, dice: np.random.Generator) -> list[tuple[str, int]]:
    """Kind and receptacle of everything in the game."""
    kinds = {place.kind for place in places}
    count = int(dice.integers(wanted.things[0], wanted.things[1] + 1))
    needed = 2 if goal.task_type == "two" else 1
    copies = needed + int(dice.integers(2)) * (count > needed)
    rows = [(goal.thing, _home(goal.thing, places, goal.place, dice)) for _ in range(copies)]
    if goal.task_type == "look":
        tables = [index for index, place in enumerate(places) if place.kind in ("desk", "sidetable", "coffeetable", "dresser", "shelf")]
        rows.append((LAMP, tables[int(dice.integers(len(tables)))]))
    others = [name for name, thing in THINGS.items() if room in thing.rooms and thing.fits & kinds and name != goal.thing]
    while len(rows) < count and others:
        name = others[int(dice.integers(len(others)))]
        rows.append((name, _home(name, places, "", dice)))
        if sum(kind == name for kind, _ in rows) == MOST_OF_A_KIND:
            others.remove(name)
    return rows


def _home(name: str, places: tuple[Receptacle, ...], not_here: str, dice: np.random.Generator) -> int:
    homes = [index for index, place in enumerate(places) if place.kind in THINGS[name].fits and place.kind != not_here]
    return homes[int(dice.integers(len(homes)))]


def _numbered(rows: list[tuple[str, int]]) -> tuple[Thing, ...]:
    kinds = [kind for kind, _ in rows]
    numbered = [((kind, kinds[:place].count(kind) + 1), start) for place, (kind, start) in enumerate(rows)]
    return tuple(
        Thing(f"{name} {number}", name, start, thing_traits(name))
        for (name, number), start in sorted(numbered, key=lambda row: _engine_order(row[0]))
    )


def thing_traits(kind: str) -> frozenset[str]:
    """What can be done with a thing of this kind; lamps cannot be carried."""
    return frozenset({"toggle"}) if kind == LAMP else THINGS[kind].traits | {"take"}
