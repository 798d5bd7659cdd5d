"""Reading ALFWorld's game files, a person's downloaded ones included.

Only the PDDL problem and the sentence of the task are taken from a file. Its own domain and grammar are not: the
engine evaluates expressions of the grammar as Python, and a file may come from anywhere.
"""

import json
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from workbench.envs.household.game import NOWHERE, Game, Goal, Receptacle, Thing
from workbench.envs.household.game_file import FILE_NAME
from workbench.envs.household.names import PREDICATES, STATION
from workbench.errors import EnvError

MOST_BYTES = 20_000_000

_TASK = re.compile(r"Your task is to: ([A-Za-z0-9 ,'-]{1,200})\.")
_ROOM = re.compile(r"-((?:[a-z]+-)?\d+)$")
_NAME = re.compile(r"([a-z]+)_bar_[a-z0-9_]+")
_FACT = re.compile(r"\(([a-z]+)((?: [a-z0-9_?]+)*)\)")
_MARKED = {"isclean": "clean", "ishot": "heat", "iscool": "cool", "istoggled": "look"}

Facts = dict[str, list[tuple[str, ...]]]


class UnplayableError(EnvError):
    """A game file that is damaged, or of a kind that is not played here."""


@cache
def games_below(folder: str, task_types: tuple[str, ...], most: int) -> dict[str, Game]:
    """Games of the files below a folder, by task id; numbered in the order of their paths, unplayable ones left out.

    Args:
        folder: Searched for files named ``game.tw-pddl``.
        task_types: Which to keep.
        most: How many at most.

    Raises:
        EnvError: The folder is missing, or no file in it can be played.
    """
    root = Path(folder)
    if not root.is_dir():
        raise EnvError(f"household: games_dir {folder!r} is no folder; name one that holds {FILE_NAME} files")
    games: dict[str, Game] = {}
    reasons: list[str] = []
    for path in sorted(root.rglob(FILE_NAME)):
        try:
            game = read_game(path, task=f"-{len(games):03d}")
        except UnplayableError as error:
            reasons.append(f"{path.relative_to(root)}: {error}")
            continue
        if game.goal.task_type in task_types:
            games[game.task] = game
        if len(games) == most:
            break
    if not games:
        found = f"{len(reasons)} cannot be played ({reasons[0]})" if reasons else f"it holds no {FILE_NAME} of these task types"
        raise EnvError(f"household: games_dir {folder!r} gives no game: {found}")
    return games


def read_game(path: Path, *, task: str) -> Game:
    """The game of one file; its id is its task type followed by ``task``.

    Raises:
        UnplayableError: The file is damaged or too large, or the game is of a kind that is not played here.
    """
    problem, words = _content(path)
    goal_text = problem.partition("(:goal")[2]
    facts: Facts = defaultdict(list)
    for name, arguments in _FACT.findall(problem.partition("(:init")[2].partition("(:goal")[0]):
        facts[name].append(tuple(arguments.split()))
    places, place_of = _receptacles(facts)
    things = _things(facts, place_of)
    fits = frozenset((place.removesuffix("type"), thing.removesuffix("type")) for place, thing in _pairs(facts, "cancontain"))
    goal = _goal(goal_text)
    room = _ROOM.search(path.parent.parent.name)
    name = f"room-{room[1]}" if room and room[1].isdigit() else room[1] if room else path.parent.parent.name
    game = Game(f"{goal.task_type}{task}", name, places, things, fits, goal, words)
    _check_solvable(game)
    return game


def _content(path: Path) -> tuple[str, str]:
    """The PDDL problem in lower case with single spaces, and the task in words."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UnplayableError(f"it is larger than {MOST_BYTES} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
        problem, grammar = content["pddl_problem"], content["grammar"]
        text = " ".join(re.sub(r";[^\n]*", "", problem).lower().split())
        words = _TASK.search(grammar)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnplayableError(f"it is no game file: {type(error).__name__}") from None
    if words is None:
        raise UnplayableError("its grammar names no task in plain words")
    return re.sub(r"\s*([()])\s*", r"\1", text), words[1]


def _receptacles(facts: Facts) -> tuple[tuple[Receptacle, ...], dict[str, int]]:
    """The receptacles in the engine's order, and the index of each identifier."""
    kind_of = {name: kind.removesuffix("type") for name, kind in _pairs(facts, "receptacletype")}
    location = dict(_pairs(facts, "receptacleatlocation"))
    if not kind_of or set(location) != set(kind_of):
        raise UnplayableError("a receptacle lacks its kind or its location")
    if len(set(location.values())) < len(location):
        raise UnplayableError("two receptacles share a location")
    if {where for _, where in _pairs(facts, "atlocation")} & set(location.values()):
        raise UnplayableError("the game begins at a receptacle")
    if facts["opened"]:
        raise UnplayableError("a receptacle is open from the start")
    openable = {arguments[0] for arguments in facts["openable"] if arguments}
    names = _numbered(sorted(kind_of))
    rows = tuple(Receptacle(names[name], kind_of[name], name in openable) for name in sorted(kind_of))
    return rows, {name: index for index, name in enumerate(sorted(kind_of))}


def _things(facts: Facts, place_of: dict[str, int]) -> tuple[Thing, ...]:
    kind_of = {name: kind.removesuffix("type") for name, kind in _pairs(facts, "objecttype")}
    lies_in = dict(_pairs(facts, "inreceptacle"))
    if len(lies_in) < len(facts["inreceptacle"]) or set(lies_in.values()) - set(place_of):
        raise UnplayableError("a thing lies in two places, or in no receptacle")
    traits = {trait: {arguments[0] for arguments in facts[predicate.lower()] if arguments} for trait, predicate in PREDICATES.items()}
    names = _numbered(sorted(kind_of))
    return tuple(
        Thing(
            names[name],
            kind_of[name],
            place_of[lies_in[name]] if name in lies_in else NOWHERE,
            frozenset(trait for trait, having in traits.items() if name in having),
        )
        for name in sorted(kind_of)
    )


def _pairs(facts: Facts, predicate: str) -> list[tuple[str, str]]:
    if any(len(arguments) != 2 for arguments in facts[predicate]):
        raise UnplayableError(f"a fact {predicate} has not two arguments")
    return [(arguments[0], arguments[1]) for arguments in facts[predicate]]


def _numbered(identifiers: list[str]) -> dict[str, str]:
    """Names as the engine makes them: the first identifier of a kind gets the highest number."""
    stems = {}
    for identifier in identifiers:
        match = _NAME.fullmatch(identifier)
        if match is None:
            raise UnplayableError(f"{identifier[:40]!r} is no identifier of ALFWorld's")
        stems[identifier] = match[1] + ("basin" if "basin" in identifier else "")
    every = list(stems.values())
    return {identifier: f"{stem} {every[place:].count(stem)}" for place, (identifier, stem) in enumerate(stems.items())}


def _goal(text: str) -> Goal:
    things = re.findall(r"\(objecttype\?? ?(\?[a-z0-9]+) ([a-z]+)type\)", text)
    places = re.findall(r"\(receptacletype \?[a-z0-9]+ ([a-z]+)type\)", text)
    if "inreceptacleobject" in text or "issliced" in text or not things:
        raise UnplayableError("its goal needs a thing inside another, a sliced one, or none")
    kinds = [task_type for mark, task_type in _MARKED.items() if f"({mark} " in text]
    task_type = kinds[0] if kinds else "two" if text.count("(inreceptacle ") == 2 else "pick"
    if task_type == "look":
        lamps = [kind for _, kind in things if kind.endswith("lamp")]
        held = [kind for _, kind in things if not kind.endswith("lamp")]
        if len(lamps) != 1 or len(held) != 1:
            raise UnplayableError("its goal is not one thing under one lamp")
        return Goal("look", held[0], lamps[0], 0)
    if len({kind for _, kind in things}) != 1 or len(set(places)) != 1:
        raise UnplayableError("its goal is about several kinds of things")
    return Goal(task_type, things[0][1], places[0], 0)


def _check_solvable(game: Game) -> None:
    goal = game.goal
    able = [thing for thing in game.goal_things if "take" in game.things[thing].traits]
    if goal.task_type in STATION:
        able = [thing for thing in able if goal.task_type in game.things[thing].traits and game.stations[goal.task_type]]
    if goal.task_type == "look":
        reachable = bool(able and game.lamps)
    else:
        needed = 2 if goal.task_type == "two" else 1
        reachable = len(able) >= needed and any(game.holders[thing][place] for thing in able for place in game.goal_places)
    if not reachable or len(able) != len(game.goal_things):
        raise UnplayableError("the things that its goal needs are not there")
