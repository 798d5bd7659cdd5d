"""One household game: a furnished room, what lies where, and a task. It never changes; the twin plays it."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from workbench.envs.household.names import KNIVES, STATION, WORDINGS

MIDDLE = -1
"""The place where a game begins: at no receptacle."""

NOWHERE = -2
"""Where a thing is that lies in no receptacle; it is out of play."""


class Receptacle(NamedTuple):
    """A piece of furniture that things lie in or on."""

    name: str
    """Kind and number, such as ``cabinet 2``."""
    kind: str
    openable: bool


class Thing(NamedTuple):
    """A thing that can be carried, or a lamp."""

    name: str
    kind: str
    start: int
    """Index of the receptacle it lies in at the beginning, or ``NOWHERE``."""
    traits: frozenset[str]
    """Of ``clean``, ``heat``, ``cool``, ``slice``, ``vessel``, ``take`` and ``toggle``."""


class Goal(NamedTuple):
    """What has to be brought about."""

    task_type: str
    thing: str
    """Kind of the thing."""
    place: str
    """Kind of the receptacle it goes to; of the lamp in ``look``."""
    wording: int
    """Which of the wordings of its type."""


class Operation(NamedTuple):
    """A command taken apart; -1 where it names no thing or receptacle."""

    verb: str
    thing: int
    receptacle: int
    """In ``slice``, the knife."""


@dataclass(frozen=True, eq=False)
class Game:
    """Everything about one game.

    Receptacles and things stand in the order in which the engine lists them: by kind, the highest number first.
    """

    task: str
    """Such as ``clean-017``."""
    room: str
    """Games with the same name here are played in the same room."""
    receptacles: tuple[Receptacle, ...]
    things: tuple[Thing, ...]
    fits: frozenset[tuple[str, str]]
    """Pairs (kind of receptacle, kind of thing)."""
    goal: Goal
    words: str = ""
    """The task in words; the wording of its goal when empty."""

    @cached_property
    def statement(self) -> str:
        """The task as the engine words it."""
        goal = self.goal
        text = self.words or WORDINGS[goal.task_type][goal.wording].format(thing=goal.thing, place=goal.place)
        return f"Your task is to: {text}."

    @cached_property
    def description(self) -> str:
        """The room as the engine words it."""
        return description([place.name for place in self.receptacles])

    @cached_property
    def fingerprint(self) -> str:
        """Eight characters that change with anything in the game."""
        content = repr(
            (self.receptacles, [(*thing[:3], sorted(thing.traits)) for thing in self.things], sorted(self.fits), self.goal, self.words)
        )
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    @cached_property
    def goal_things(self) -> tuple[int, ...]:
        """Indices of the things that can serve the goal."""
        return tuple(index for index, thing in enumerate(self.things) if thing.kind == self.goal.thing and thing.start >= 0)

    @cached_property
    def goal_places(self) -> tuple[int, ...]:
        """Indices of the receptacles that can serve the goal; none in ``look``."""
        return tuple(index for index, place in enumerate(self.receptacles) if place.kind == self.goal.place)

    @cached_property
    def lamps(self) -> tuple[int, ...]:
        """Indices of the lamps that can serve the goal; none but in ``look``."""
        right = [thing.kind == self.goal.place and "toggle" in thing.traits and thing.start >= 0 for thing in self.things]
        return tuple(index for index, serves in enumerate(right) if serves)

    @cached_property
    def holders(self) -> tuple[tuple[bool, ...], ...]:
        """``holders[thing][receptacle]``: whether the thing may be put there."""
        return tuple(tuple((place.kind, thing.kind) in self.fits for place in self.receptacles) for thing in self.things)

    @cached_property
    def stations(self) -> dict[str, tuple[int, ...]]:
        """Receptacles that clean, heat and cool."""
        places = list(enumerate(self.receptacles))
        return {verb: tuple(index for index, place in places if place.kind == kind) for verb, kind in STATION.items()}

    @cached_property
    def ways(self) -> dict[int, tuple[str, ...]]:
        """The ``go to`` commands at every place, in alphabetical order."""
        names = sorted((place.name, index) for index, place in enumerate(self.receptacles))
        return {here: tuple(f"go to {name}" for name, index in names if index != here) for here in range(MIDDLE, len(names))}

    @cached_property
    def operations(self) -> dict[str, Operation]:
        """Every command that can ever be admissible in this game."""
        table = {verb: Operation(verb, -1, -1) for verb in ("help", "inventory", "look")}
        for here, place in enumerate(self.receptacles):
            table[f"go to {place.name}"] = Operation("go", -1, here)
            table[f"examine {place.name}"] = Operation("examine", -1, here)
            if place.openable:
                table[f"open {place.name}"] = Operation("open", -1, here)
                table[f"close {place.name}"] = Operation("close", -1, here)
        for index in range(len(self.things)):
            self._enter(table, index)
        return table

    def _enter(self, table: dict[str, Operation], index: int) -> None:
        thing = self.things[index]
        table[f"examine {thing.name}"] = Operation("examine", index, -1)
        if "toggle" in thing.traits:
            table[f"use {thing.name}"] = Operation("use", index, -1)
        if "take" in thing.traits:
            for here, place in enumerate(self.receptacles):
                table[f"take {thing.name} from {place.name}"] = Operation("take", index, here)
                if self.holders[index][here]:
                    table[f"move {thing.name} to {place.name}"] = Operation("move", index, here)
            for verb, places in self.stations.items():
                if verb in thing.traits:
                    table |= {f"{verb} {thing.name} with {self.receptacles[here].name}": Operation(verb, index, here) for here in places}
        if "slice" in thing.traits:
            knives = [number for number, other in enumerate(self.things) if other.kind in KNIVES]
            table |= {f"slice {thing.name} with {self.things[knife].name}": Operation("slice", index, knife) for knife in knives}


def description(names: list[str]) -> str:
    """What the engine says of a room with these receptacles."""
    return f"You are in the middle of a room. Looking quickly around you, you see {listed(names)}."


def listed(names: list[str]) -> str:
    """Names as the engine lists them: ``nothing``, or with articles and a comma before ``and``."""
    if not names:
        return "nothing"
    with_article = [f"a {name}" for name in names]
    return with_article[0] if len(names) == 1 else ", ".join(with_article[:-1]) + f", and {with_article[-1]}"
