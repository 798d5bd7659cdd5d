"""Instructions of many tasks in varied words, with answers by program: the pool of the second study.

A task is a list of forms and a way to draw what is put into them; its answer follows by rule or from a table. The same question comes
in many wordings, so that a pool holds near-copies, as collected instructions do.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from workbench.errors import DataError

Dice = np.random.Generator
_LEADS = ("", "Please: ", "Quick question. ", "Tell me. ")
_ENDS = ("", " Thanks.", " Be short.")

COLOURS = {
    "red": "tomato cherry brick blood ruby lobster",
    "yellow": "banana lemon sun canary butter corn",
    "green": "grass frog leaf cucumber pea lime",
    "blue": "sky sea jeans sapphire",
    "white": "snow milk salt swan paper",
    "black": "coal raven tar night",
    "orange": "carrot pumpkin fox",
    "brown": "chocolate bear coffee wood",
    "grey": "mouse elephant stone ash",
}
KINDS = {
    "animal": "cat dog horse cow sheep goat lion tiger wolf rabbit",
    "fruit": "apple pear plum grape mango peach fig melon",
    "tool": "hammer saw drill wrench pliers chisel spade",
    "vehicle": "car bus truck tram ferry bicycle rocket",
    "metal": "iron copper gold silver zinc lead tin",
    "instrument": "piano violin flute drum guitar harp",
}
OPPOSITES = (
    "hot cold|big small|fast slow|up down|open shut|old new|rich poor|wet dry|hard soft|early late|full empty|high low|long short|"
    "loud quiet|light dark|near far|thick thin|win lose|buy sell|push pull|begin end|true false|inside outside|always never"
)
CAPITALS = (
    "France Paris|Spain Madrid|Italy Rome|Greece Athens|Norway Oslo|Sweden Stockholm|Poland Warsaw|Austria Vienna|Hungary Budapest|"
    "Portugal Lisbon|Ireland Dublin|Denmark Copenhagen|Japan Tokyo|China Beijing|Egypt Cairo|Kenya Nairobi|Peru Lima|Cuba Havana|"
    "Chile Santiago|Canada Ottawa|Finland Helsinki|Belgium Brussels|Russia Moscow|Germany Berlin"
)
PLURALS = (
    "man men|woman women|child children|foot feet|tooth teeth|goose geese|mouse mice|ox oxen|leaf leaves|knife knives|wolf wolves|"
    "city cities|baby babies|box boxes|bus buses|cat cats|dog dogs|tree trees|lamp lamps|road roads|fish fish|sheep sheep"
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
NAMES = ("Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Ida")
WORDS = ("lamp", "river", "stone", "cloud", "table", "bread", "garden", "window", "paper", "bridge", "candle", "forest")


MOST_MISSES = 200
"""Draws in a row that give nothing new, after which a task is taken to be used up."""


class Instruction(NamedTuple):
    """A prompt with its answer."""

    task: str
    prompt: str
    answer: str


class Filled(NamedTuple):
    """What a task drew: the blanks of its forms, and the answer."""

    blanks: dict[str, str]
    answer: str


class Task(NamedTuple):
    """One kind of question."""

    forms: tuple[str, ...]
    draw: Callable[[Dice], Filled]


def _one(options: Sequence[str], dice: Dice) -> str:
    return options[int(dice.integers(len(options)))]


def _table(pairs: str) -> Callable[[Dice], Filled]:
    facts = [pair.split(" ") for pair in pairs.split("|")]

    def draw(dice: Dice) -> Filled:
        thing, answer = facts[int(dice.integers(len(facts)))]
        return Filled({"x": thing}, answer)

    return draw


def _of(groups: dict[str, str]) -> Callable[[Dice], Filled]:
    return _table("|".join(f"{thing} {group}" for group, things in groups.items() for thing in things.split(" ")))


def _following(names: Sequence[str], step: int) -> Callable[[Dice], Filled]:
    return _table("|".join(f"{name} {names[(place + step) % len(names)]}" for place, name in enumerate(names)))


def _sum(dice: Dice) -> Filled:
    one, other = (int(value) for value in dice.integers(0, 6, size=2))
    return Filled({"x": str(one), "y": str(other)}, str(one + other))


def _sort(dice: Dice) -> Filled:
    digits = [int(value) for value in dice.permutation(10)[:2]]
    return Filled({"x": " ".join(map(str, digits))}, " ".join(map(str, sorted(digits))))


def _last(dice: Dice) -> Filled:
    words = [WORDS[int(place)] for place in dice.permutation(len(WORDS))[:3]]
    return Filled({"x": " ".join(words)}, words[-1])


def _look_up(dice: Dice) -> Filled:
    names = [NAMES[int(place)] for place in dice.permutation(len(NAMES))[:2]]
    counts = [str(int(value)) for value in dice.integers(0, 10, size=2)]
    asked = int(dice.integers(2))
    listed = ", ".join(f"{name} has {count}" for name, count in zip(names, counts, strict=True))
    return Filled({"x": listed, "y": names[asked]}, counts[asked])


TASKS: dict[str, Task] = {
    "sum": Task(("What is {x} plus {y}?", "Add {x} and {y}.", "{x} + {y} = ?", "The sum of {x} and {y}?"), _sum),
    "sort": Task(("Sort {x}.", "Put in order: {x}", "Smallest first: {x}"), _sort),
    "last": Task(("What is the last word of {x}?", "The final word in {x}?", "Which word ends {x}?"), _last),
    "look-up": Task(("{x}. How many has {y}?", "If {x}, what has {y}?", "{x}. The count of {y}?"), _look_up),
    "colour": Task(("What colour is {x}?", "The usual colour of {x}?", "Name the colour: {x}"), _of(COLOURS)),
    "kind": Task(("What kind of thing is {x}?", "Is {x} an animal, a fruit, a tool or what?", "Classify: {x}"), _of(KINDS)),
    "opposite": Task(("What is the opposite of {x}?", "The contrary of {x}?", "{x} and its opposite?"), _table(OPPOSITES)),
    "capital": Task(("What is the capital of {x}?", "Name the capital: {x}", "Which city governs {x}?"), _table(CAPITALS)),
    "plural": Task(("What is the plural of {x}?", "One {x}, many ...?", "More than one {x}?"), _table(PLURALS)),
    "day-after": Task(("Which day follows {x}?", "The day after {x}?", "{x}, and tomorrow?"), _following(DAYS, 1)),
    "day-before": Task(("Which day precedes {x}?", "The day before {x}?", "{x}, and yesterday?"), _following(DAYS, -1)),
    "month-after": Task(("Which month follows {x}?", "The month after {x}?", "{x}, and then?"), _following(MONTHS, 1)),
}


def shares_of(pool: str, dice: Dice) -> dict[str, float]:
    """How large a part of the pool each task is: equal (``balanced``), or as 1 / rank in an order drawn by lot (``long-tailed``).

    Raises:
        DataError: There is no such pool.
    """
    names = list(TASKS)
    if pool == "balanced":
        return dict.fromkeys(names, 1 / len(names))
    if pool != "long-tailed":
        raise DataError(f"unknown pool {pool!r}; known: balanced, long-tailed")
    weights = {names[int(place)]: 1 / rank for rank, place in enumerate(dice.permutation(len(names)), start=1)}
    total = sum(weights.values())
    return {name: weights[name] / total for name in names}


def draw_instructions(counts: dict[str, int], dice: Dice, taken: set[str]) -> list[Instruction]:
    """So many different prompts of each task, or as many as it has, in an order by lot.

    Args:
        counts: How many of each task.
        dice: Draws everything.
        taken: Prompts to keep away from; gets the new ones.
    """
    found = []
    for task, count in counts.items():
        misses = 0
        while count and misses < MOST_MISSES:
            one = _draw(task, dice)
            if one.prompt in taken:
                misses += 1
                continue
            taken.add(one.prompt)
            found.append(one)
            count, misses = count - 1, 0
    return [found[int(place)] for place in dice.permutation(len(found))]


def _draw(task: str, dice: Dice) -> Instruction:
    filled = TASKS[task].draw(dice)
    text = _one(_LEADS, dice) + _one(TASKS[task].forms, dice).format(**filled.blanks) + _one(_ENDS, dice)
    return Instruction(task, text, filled.answer)


def vocabulary() -> list[str]:
    """Every word that a table holds, sorted: words alone, without what goes with what."""
    texts = [OPPOSITES, CAPITALS, PLURALS, *COLOURS, *COLOURS.values(), *KINDS, *KINDS.values(), *DAYS, *MONTHS, *WORDS, *NAMES]
    return sorted({word for text in texts for word in text.replace("|", " ").split()})
