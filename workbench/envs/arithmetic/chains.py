"""Chains of arithmetic such as ``What is 3+4*2?``, worked one operation a line."""

from typing import NamedTuple

import numpy as np

from workbench.envs.arithmetic.draft import Draft, one_of
from workbench.envs.arithmetic.expressions import State, usual_way


class Size(NamedTuple):
    """How hard a stage is."""

    operations: tuple[int, ...]
    """Numbers of operations, all as likely."""
    operands: range
    """Of sums and differences."""
    factors: range
    """Second factors; the first is at most ``largest_factor``."""
    largest_factor: int
    largest: int
    """No value on the way is larger."""
    brackets: float
    """Chance that two neighbours stand in brackets."""
    held_out: range
    """Numbers that stand in questions of the split ``held-out`` and in no other question of the stage."""


SIZES = {
    "easy": Size((2, 3), range(2, 10), range(2, 4), 9, 30, 0.0, range(7, 8)),
    "short": Size((2,), range(2, 50), range(2, 6), 12, 99, 0.0, range(30, 35)),
    "medium": Size((3,), range(2, 50), range(2, 10), 12, 150, 0.0, range(30, 35)),
    "long": Size((3, 4, 5), range(2, 50), range(2, 10), 20, 200, 0.5, range(30, 35)),
}
_OPERATORS = ("+", "-", "*")
_WEIGHTS = (0.4, 0.35, 0.25)


def draw_chain(dice: np.random.Generator, stage: str, *, held_out: bool) -> Draft | None:
    """One chain, or None when what was drawn is too large, negative on the way, or of the wrong split."""
    size = SIZES[stage]
    state = _drawn(dice, size, held_out=held_out)
    if held_out != any(int(token) in size.held_out for token in state if token.isdigit()):
        return None
    way = usual_way(state)
    if way is None or any(step.value > size.largest for step in way):
        return None
    if any(step.operator == "*" and step.left > size.largest_factor for step in way):
        return None
    return Draft(f"What is {''.join(state)}?", tuple(step.step for step in way), str(way[-1].value))


def _drawn(dice: np.random.Generator, size: Size, *, held_out: bool) -> State:
    operands = [number for number in size.operands if held_out or number not in size.held_out]
    operators = [one_of(dice, _OPERATORS, _WEIGHTS) for _ in range(one_of(dice, size.operations))]
    tokens = [str(one_of(dice, operands))]
    for place, operator in enumerate(operators):
        if operator == "*":
            # The first factor may have been drawn as an operand of a sum; most of those would be too large.
            if place == 0 or operators[place - 1] != "*":
                tokens[-1] = str(one_of(dice, range(2, size.largest_factor + 1)))
            tokens += [operator, str(one_of(dice, size.factors))]
        else:
            tokens += [operator, str(one_of(dice, operands))]
    if float(dice.random()) < size.brackets:
        sums = [place for place, token in enumerate(tokens) if token in ("+", "-") and "*" in tokens[max(place - 2, 0) : place + 3]]
        if sums:
            chosen = one_of(dice, sums)
            tokens = [*tokens[: chosen - 1], "(", *tokens[chosen - 1 : chosen + 2], ")", *tokens[chosen + 2 :]]
    return tuple(tokens)
