"""What a generator of problems draws."""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")


class Draft(NamedTuple):
    """A problem before it has a name and a split."""

    question: str
    steps: tuple[str, ...]
    """The worked steps, without the line of the answer."""
    answer: str
    choices: tuple[str, ...] = ()

    @property
    def solution(self) -> str:
        """Steps and answer, one a line."""
        return "\n".join((*self.steps, answer_line(self.answer)))


def answer_line(answer: str) -> str:
    """How a solution ends."""
    return f"answer {answer}"


def one_of(dice: np.random.Generator, among: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One element, all as likely or by weight; ``Generator.choice`` takes ten times as long for a single one."""
    if weights is None:
        return among[int(dice.integers(len(among)))]
    bounds = list(accumulate(weights))
    return among[min(bisect(bounds, float(dice.random()) * bounds[-1]), len(among) - 1)]
