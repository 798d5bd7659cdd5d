"""A shortest solution from any state of a game, by listing the few orders in which it can be done.

Every receptacle is one command away from every other, so that a plan costs its visits, the doors to be opened
and the deeds. A plan visits: a place to put down a thing that is in the way, the place of the wanted thing, the
station that prepares it, the goal. The cheapest combination is a shortest solution; a test compares it with
breadth-first search.
"""

from collections.abc import Iterator
from typing import NamedTuple

from workbench.envs.household.game import Game
from workbench.envs.household.twin import CLEAN, COOL, HELD, HOT, LIT, Twin

_MARKS = {"clean": CLEAN, "heat": HOT, "cool": COOL}


class Deed(NamedTuple):
    """One thing done at one place: ``take``, ``move``, ``clean``, ``heat``, ``cool``, ``use``, or ``go`` alone."""

    verb: str
    thing: int
    place: int


def shortest_plan(twin: Twin) -> list[str]:
    """Commands that solve the task from here, as few as possible; empty when it is solved.

    Among equals the first in the order of the game's things and receptacles.
    """
    if twin.won():
        return []
    task_type = twin.game.goal.task_type
    ways = {"look": _look, "two": _two}.get(task_type, _prepare)(twin)
    return _commands(twin, min(ways, key=lambda deeds: _cost(twin, deeds)))


def _cost(twin: Twin, deeds: list[Deed]) -> int:
    here, cost, opened = twin.place, 0, twin.opened
    unlocked = set()
    for verb, _, place in deeds:
        if place != here:
            here = place
            cost += 1
        if verb in ("take", "move") and not opened[place] and place not in unlocked:
            unlocked.add(place)
            cost += 1
        cost += verb != "go"
    return cost


def _commands(twin: Twin, deeds: list[Deed]) -> list[str]:
    game, here, plan = twin.game, twin.place, []
    unlocked = set()
    for verb, thing, place in deeds:
        name = game.receptacles[place].name
        if place != here:
            here = place
            plan.append(f"go to {name}")
        if verb in ("take", "move") and not twin.opened[place] and place not in unlocked:
            unlocked.add(place)
            plan.append(f"open {name}")
        if verb != "go":
            plan.append(_deed(game, verb, thing, name))
    return plan


def _deed(game: Game, verb: str, thing: int, place: str) -> str:
    name = game.things[thing].name
    if verb == "use":
        return f"use {name}"
    return f"{verb} {name} {'from' if verb == 'take' else 'to' if verb == 'move' else 'with'} {place}"


def _prepare(twin: Twin) -> Iterator[list[Deed]]:
    """Pick, clean, heat and cool: every thing, station and goal."""
    game, task_type = twin.game, twin.game.goal.task_type
    mark = _MARKS.get(task_type, 0)
    for thing in game.goal_things:
        ready = not mark or twin.marks[thing] & mark
        stations = [None] if ready else [Deed(task_type, thing, station) for station in game.stations[task_type]]
        for place in game.goal_places:
            if not game.holders[thing][place]:
                continue
            for start in _fetches(twin, thing, place):
                for station in stations:
                    yield [*start, *([station] if station else []), Deed("move", thing, place)]


def _look(twin: Twin) -> Iterator[list[Deed]]:
    """Every thing under every lamp."""
    game = twin.game
    for thing in game.goal_things:
        for lamp in game.lamps:
            place = twin.where[lamp]
            last = Deed("go" if twin.marks[lamp] & LIT else "use", lamp, place)
            for start in _fetches(twin, thing, place):
                yield [*start, last]


def _two(twin: Twin) -> Iterator[list[Deed]]:
    """Every receptacle, with every one or two things that it still lacks, in every order."""
    game = twin.game
    for place in game.goal_places:
        outside = [thing for thing in game.goal_things if twin.where[thing] != place and game.holders[thing][place]]
        there = sum(twin.where[thing] == place for thing in game.goal_things)
        for first in outside:
            for start in _fetches(twin, first, place):
                brought = [*start, Deed("move", first, place)]
                if there:
                    yield brought
                    continue
                for second in outside:
                    # A carried second thing would have been put down on the way to the first.
                    if second not in (first, twin.held):
                        yield [*brought, Deed("take", second, twin.where[second]), Deed("move", second, place)]


def _fetches(twin: Twin, thing: int, goal: int) -> Iterator[list[Deed]]:
    """Ways to get hold of a thing; whatever else is carried has to be put down first."""
    if twin.held == thing:
        yield []
        return
    take = Deed("take", thing, twin.where[thing])
    if twin.held == HELD:
        yield [take]
        return
    fits = twin.game.holders[twin.held]
    elsewhere = [place for place, here in enumerate(fits) if here and twin.opened[place]] or [
        place for place, here in enumerate(fits) if here
    ]
    for place in dict.fromkeys((twin.place, take.place, goal, elsewhere[0])):
        if place >= 0 and fits[place]:
            yield [Deed("move", twin.held, place), take]
