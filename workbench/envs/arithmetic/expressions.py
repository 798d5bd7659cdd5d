"""Calculations step by step: which operation may come next, what it gives, and every way to the end.

A state is a calculation as a tuple of whole numbers, operators and brackets. A step such as ``4*2=8`` replaces one operation by its
value. Any order that leaves the value as it is may be taken (``1+2+3`` may begin with ``2+3``, ``9-2-3`` may not), as long as no value is
negative.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

State = tuple[str, ...]

_TOKEN = re.compile(r"\d{1,9}|[-+*/()]")
_STEP = re.compile(r"(\d{1,9})([-+*/])(\d{1,9})=(\d{1,18})")
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
# Signs of multiplication, division and subtraction as people and models write them.
_SIGNS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-"})


class Reduction(NamedTuple):
    """One operation that may be carried out now."""

    left: int
    operator: str
    right: int
    value: int
    after: State
    rank: tuple[int, int, int]
    """The usual order goes by the smallest: innermost brackets, then products, then from the left."""

    @property
    def step(self) -> str:
        """As it is written down."""
        return f"{self.left}{self.operator}{self.right}={self.value}"


def state_of(expression: str) -> State:
    """The calculation as a state.

    Raises:
        ValueError: It holds something else than whole numbers, ``+ - * /`` and brackets.
    """
    text = "".join(expression.translate(_SIGNS).split())
    tokens = tuple(_TOKEN.findall(text))
    if not tokens or "".join(tokens) != text:
        raise ValueError(f"{expression!r} is not a calculation with whole numbers, + - * / and brackets")
    return tokens


def reductions(state: State) -> list[Reduction]:
    """Every operation that may come next, in the usual order."""
    found, depth = [], 0
    for place, token in enumerate(state):
        depth += (token == "(") - (token == ")")
        if token not in _PRECEDENCE or not 0 < place < len(state) - 1:
            continue
        left, right = state[place - 1], state[place + 1]
        before = state[place - 2] if place > 1 else "("
        behind = state[place + 2] if place + 2 < len(state) else ")"
        if not (left.isdigit() and right.isdigit() and _may_come_first(before, token, behind)):
            continue
        value = _value(int(left), token, int(right))
        if value is not None:
            after = _unwrapped((*state[: place - 1], str(value), *state[place + 2 :]))
            found.append(Reduction(int(left), token, int(right), value, after, (-depth, -_PRECEDENCE[token], place)))
    return sorted(found, key=lambda reduction: reduction.rank)


def after_step(states: Iterable[State], line: str) -> frozenset[State]:
    """Where a written step leads from any of ``states``; empty when it is wrong. ``2+8=10`` is as good as ``8+2=10``."""
    match = _STEP.fullmatch("".join(line.translate(_SIGNS).split()))
    if match is None:
        return frozenset()
    left, operator, right, value = int(match[1]), match[2], int(match[3]), int(match[4])
    pairs = {(left, right), (right, left)} if operator in "+*" else {(left, right)}
    return frozenset(
        reduction.after
        for state in states
        for reduction in reductions(state)
        if reduction.operator == operator and (reduction.left, reduction.right) in pairs and reduction.value == value
    )


def holds(line: str) -> bool | None:
    """Whether a written step such as ``4*2=8`` is true by itself; None where the line is no step.

    >>> holds("4*2=8"), holds("4 \u00d7 2 = 9"), holds("answer 8")
    (True, False, None)
    """
    match = _STEP.fullmatch("".join(line.translate(_SIGNS).split()))
    return None if match is None else _value(int(match[1]), match[2], int(match[3])) == int(match[4])


def ways(state: State) -> Iterator[tuple[Reduction, ...]]:
    """Every order of operations from ``state`` to a single number; the usual one comes first."""
    possible = reductions(state)
    if not possible:
        if len(state) == 1:
            yield ()
        return
    for reduction in possible:
        for rest in ways(reduction.after):
            yield (reduction, *rest)


def usual_way(state: State) -> tuple[Reduction, ...] | None:
    """The usual order of operations; None when a value on the way is negative or no whole number."""
    return next(ways(state), None)


def calculation_of(steps: Iterable[str]) -> State | None:
    """The calculation that worked steps carry out, bracketed so that it has their order; None when a line is no step.

    An operand that equals the result of an earlier step which nothing has used yet stands for that step.

    >>> "".join(calculation_of(["12+7=19", "3*4=12", "19-12=7"]))
    '((12+7)-(3*4))'
    """
    unused: list[tuple[int, State]] = []
    for line in steps:
        match = _STEP.fullmatch("".join(line.translate(_SIGNS).split()))
        if match is None:
            return None
        right = _taken(unused, int(match[3]))
        left = _taken(unused, int(match[1]))
        unused.append((int(match[4]), ("(", *left, match[2], *right, ")")))
    return unused[0][1] if len(unused) == 1 else None


def _taken(unused: list[tuple[int, State]], number: int) -> State:
    for place in range(len(unused) - 1, -1, -1):
        if unused[place][0] == number:
            return unused.pop(place)[1]
    return (str(number),)


def _may_come_first(before: str, operator: str, behind: str) -> bool:
    own = _PRECEDENCE[operator]
    if _PRECEDENCE.get(behind, 0) > own or _PRECEDENCE.get(before, 0) > own:
        return False
    # a+(b-c) is a+b-c and a*(b/c) is a*b/c, but a-(b+c) is not a-b+c.
    return _PRECEDENCE.get(before, 0) < own or before in "+*"


def _value(left: int, operator: str, right: int) -> int | None:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right if left >= right else None
    if operator == "*":
        return left * right
    return left // right if right and left % right == 0 else None


def _unwrapped(state: State) -> State:
    """Without brackets around a single number."""
    for place in range(1, len(state) - 1):
        if state[place - 1] == "(" and state[place + 1] == ")" and state[place].isdigit():
            return _unwrapped((*state[: place - 1], state[place], *state[place + 2 :]))
    return state
