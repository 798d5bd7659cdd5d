"""Word problems from templates: somebody has things, and their number changes one event at a time."""

from typing import NamedTuple

import numpy as np

from workbench.envs.arithmetic.draft import Draft, one_of

OPERATIONS = {"short": (1, 2), "long": (3, 4)}
LARGEST = 150
"""Nobody has more on the way."""
HELD_OUT = range(30, 35)
"""Numbers that stand in stories of the split ``held-out`` and in no other."""


class _Cast(NamedTuple):
    names: tuple[str, ...]
    things: tuple[str, ...]


_CAST = _Cast(
    ("Ann", "Ben", "Cara", "Dan", "Eve", "Finn", "Gita", "Hugo", "Iris", "Jon", "Kim", "Leo"),
    ("apples", "marbles", "shells", "cards", "pens", "coins", "books", "nuts", "beads", "stones"),
)
_HELD_OUT_CAST = _Cast(("Mona", "Nils", "Olga", "Paul"), ("stamps", "buttons", "cones"))

_EVENTS = {
    "+": ("{name} finds {number} more.", "{name} buys {number} more.", "A friend gives {name} {number} more."),
    "-": ("{name} loses {number}.", "{name} gives {number} away.", "{name} sells {number}."),
    "*": ("{name} swaps each of them for {number} others.", "Overnight each of them turns into {number}."),
    "/": ("{name} divides them equally among {number} boxes and keeps one box.",),
}
_WEIGHTS = (0.35, 0.3, 0.2, 0.15)


def draw_story(dice: np.random.Generator, stage: str, *, held_out: bool) -> Draft | None:
    """One word problem, or None when what was drawn does not work out or is of the wrong split.

    Held-out problems have names and things of their own, and one of their numbers is held out, too.
    """
    cast = _HELD_OUT_CAST if held_out else _CAST
    name, things = one_of(dice, cast.names), one_of(dice, cast.things)
    amount = int(dice.integers(3, 60))
    numbers, steps = [amount], []
    sentences = [f"{name} has {amount} {things}."]
    for _ in range(one_of(dice, OPERATIONS[stage])):
        operator = one_of(dice, tuple(_EVENTS), _WEIGHTS)
        number = int(dice.integers(2, 50 if operator in "+-" else 6))
        value = _changed(amount, operator, number)
        if value is None:
            return None
        sentences.append(one_of(dice, _EVENTS[operator]).format(name=name, number=number))
        steps.append(f"{amount}{operator}{number}={value}")
        numbers.append(number)
        amount = value
    if held_out != any(number in HELD_OUT for number in numbers):
        return None
    sentences.append(f"How many {things} does {name} have now?")
    return Draft(" ".join(sentences), tuple(steps), str(amount))


def _changed(amount: int, operator: str, number: int) -> int | None:
    if operator == "/":
        return amount // number if amount % number == 0 and amount > number else None
    value = {"+": amount + number, "-": amount - number, "*": amount * number}[operator]
    return value if 0 < value <= LARGEST else None
