"""Which lines of a solution are right, and every right way to go on: what the teacher that is a program knows of a task."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Protocol

from workbench.envs.arithmetic.answers import final_answer, number
from workbench.envs.arithmetic.draft import answer_line
from workbench.envs.arithmetic.expressions import Reduction, State, after_step, calculation_of, state_of, usual_way, ways
from workbench.errors import DataError
from workbench.solutions import Problem, steps

MOST_ENDINGS = 5_000
"""Ways to go on that are compared; chains of up to five operations have fewer."""


class Derivation(Protocol):
    """What may be written in a solution of one problem."""

    def right_lines(self, lines: Sequence[str]) -> int:
        """How many lines from the start are right and in place; empty lines among them are."""

    def endings(self, lines: Sequence[str], wrong: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Every way to go on from right lines to the answer, the usual one first; ``wrong`` are the lines to be replaced."""


@dataclass(frozen=True, slots=True)
class Calculation:
    """Operations in any order that leaves the value as it is, then the answer."""

    start: State

    def right_lines(self, lines: Sequence[str]) -> int:
        """The longest beginning that some order of operations explains."""
        states: frozenset[State] = frozenset([self.start])
        for place, line in enumerate(lines):
            if not line.strip():
                continue
            states = self._after(states, line)
            if not states:
                return place
        return len(lines)

    def endings(self, lines: Sequence[str], wrong: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Every order; operands of sums and products also the other way round where ``wrong`` has them so."""
        seen = set()
        written = "".join("".join(wrong).split())
        # In a fixed order, so that ties between endings are always broken the same way; the usual order comes first.
        for state in sorted(self._states(lines)):
            if state == _DONE:
                yield ()
                continue
            for way in islice(ways(state), MOST_ENDINGS):
                last = answer_line(str(way[-1].value) if way else state[0])
                for texts in product(*(_spellings(reduction, written) for reduction in way)):
                    if texts not in seen:
                        seen.add(texts)
                        yield (*texts, last)

    def _states(self, lines: Sequence[str]) -> frozenset[State]:
        states: frozenset[State] = frozenset([self.start])
        for line in lines:
            if line.strip():
                states = self._after(states, line)
        return states

    def _after(self, states: frozenset[State], line: str) -> frozenset[State]:
        stated = final_answer(line)
        if stated is None:
            return after_step(states, line)
        value = number(stated)
        return frozenset([_DONE]) if any(len(state) == 1 and value == number(state[0]) for state in states) else frozenset()


@dataclass(frozen=True, slots=True)
class Recital:
    """The lines of the reference solution, in their order; case, spaces and full stops do not count."""

    reference: tuple[str, ...]

    def right_lines(self, lines: Sequence[str]) -> int:
        """Those that repeat the reference."""
        said = 0
        for place, line in enumerate(lines):
            if not line.strip():
                continue
            if said == len(self.reference) or _plain(line) != _plain(self.reference[said]):
                return place
            said += 1
        return len(lines)

    def endings(self, lines: Sequence[str], wrong: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """The rest of the reference."""
        yield self.reference[self._said(lines) :]

    def _said(self, lines: Sequence[str]) -> int:
        return sum(1 for line in lines if line.strip())


_DONE: State = ()


def derivation_of(problem: Problem) -> Derivation:
    """What may be written in a solution of ``problem``.

    Raises:
        DataError: It is of a task whose steps no program here can check, or its reference solution is not one of this workbench.
    """
    reference = steps(problem.solution)
    if problem.task == "knowledge":
        return Recital(tuple(reference))
    if problem.task not in ("arithmetic", "word-problems"):
        raise DataError(
            f"problem {problem.problem_id!r}: no program can check the steps of task {problem.task!r}; use a teacher behind an endpoint"
        )
    start = _start(problem, reference)
    way = usual_way(start) if start is not None else None
    if start is None or not way or number(problem.answer) != way[-1].value:
        raise DataError(
            f"problem {problem.problem_id!r}: its reference solution does not lead to its answer {problem.answer!r} by steps such as "
            "'4*2=8'; use a teacher behind an endpoint"
        )
    return Calculation(start)


def _start(problem: Problem, reference: Sequence[str]) -> State | None:
    if problem.task == "arithmetic":
        try:
            return state_of(problem.question.removeprefix("What is").rstrip("? "))
        except ValueError:
            pass
    return calculation_of(reference[:-1])


def _spellings(reduction: Reduction, written: str) -> tuple[str, ...]:
    turned = reduction._replace(left=reduction.right, right=reduction.left)
    operands = f"{turned.left}{turned.operator}{turned.right}"
    if reduction.operator in "+*" and turned.left != turned.right and operands in written:
        return (reduction.step, turned.step)
    return (reduction.step,)


def _plain(line: str) -> str:
    return " ".join(line.casefold().split()).rstrip(".")
