"""The teacher behind an endpoint: it names the first wrong line of a response, then writes what follows the right ones.

Every answer is kept before it is used (``data/answers.py``), so that a work that was broken off goes on where it was and nothing is paid
for twice. What a teacher says is never trusted: a rewrite counts only when its answer is right, and a response that was not located
stays so.
"""

import zlib
from collections.abc import Sequence

from workbench.data.answers import Query
from workbench.data.teachers.outside import Source
from workbench.envs.arithmetic.answers import is_right
from workbench.solution_prompts import Messages, clean_lines, locate_messages, named_step, rewrite_messages, without_labels
from workbench.solutions import Problem, Rewrite, Status, steps

Case = tuple[Problem, str]
Key = tuple[str, str]
"""Problem and response."""
Written = tuple[str, Status]


class AskingTeacher:
    """Rewrites responses to any problem with the help of an outside model.

    Args:
        source: An endpoint or a recording.
        attempts: How often each of the two questions is asked until its answer can be used.
    """

    def __init__(self, source: Source, *, attempts: int = 2) -> None:
        self.source = source
        self.attempts = attempts

    def rewrite_all(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Rewrite]:
        """The rewrite of each response, in order; equal responses to one problem are asked about once.

        Raises:
            RunStopped: A stop was asked for.
            EndpointError: The endpoint refuses, or some requests failed at every try; what was answered is kept.
        """
        cases = list(zip(problems, responses, strict=True))
        wrong = {_key(case): case for case in cases if not is_right(*case)}
        located = self._located(list(wrong.values()))
        found = [case for case in wrong.values() if located[_key(case)] is not None]
        rewritten = self._rewritten(found, [located[_key(case)] or 0 for case in found])
        return [self._rewrite(case, located, rewritten) for case in cases]

    def _rewrite(self, case: Case, located: dict[Key, int | None], rewritten: dict[Key, Written]) -> Rewrite:
        problem, response = case
        key = _key(case)
        if key not in located:
            return Rewrite(problem.problem_id, response, None, response, "right")
        if located[key] is None:
            return Rewrite(problem.problem_id, response, None, "", "not-located")
        text, status = rewritten[key]
        return Rewrite(problem.problem_id, response, located[key], text, status)

    def _located(self, cases: Sequence[Case]) -> dict[Key, int | None]:
        found: dict[Key, int | None] = {_key(case): None for case in cases}
        for attempt in range(self.attempts):
            waiting = [case for case in cases if found[_key(case)] is None]
            asked = [_query(case, "locate", attempt, locate_messages(*case)) for case in waiting]
            for case, answer in zip(waiting, self.source.ask(asked), strict=True):
                found[_key(case)] = named_step(clean_lines(answer), len(steps(case[1])))
        return found

    def _rewritten(self, cases: Sequence[Case], located: Sequence[int]) -> dict[Key, Written]:
        found: dict[Key, Written] = {_key(case): ("", "failed") for case in cases}
        for attempt in range(self.attempts):
            waiting = [(case, step) for case, step in zip(cases, located, strict=True) if found[_key(case)][1] != "repaired"]
            asked = [_query(case, "rewrite", attempt, rewrite_messages(*case, step)) for case, step in waiting]
            for (case, step), answer in zip(waiting, self.source.ask(asked), strict=True):
                found[_key(case)] = _joined(case, step, without_labels(clean_lines(answer)))
        return found


def _joined(case: Case, step: int, answer: str) -> Written:
    """The right lines of the response and what the teacher wrote; its own repetition of the right lines is left out."""
    problem, response = case
    right, lines = steps(response)[:step], answer.split("\n") if answer.strip() else []
    if right and [line.strip() for line in lines[:step]] == [line.strip() for line in right]:
        lines = lines[step:]
    if not lines:
        return "", "failed"
    text = "\n".join((*right, *lines))
    return text, "repaired" if is_right(problem, text) else "not-verified"


def _query(case: Case, kind: str, attempt: int, messages: Messages) -> Query:
    # Not the place in a list: a work that goes on with more responses finds its answers again.
    return Query(zlib.crc32(case[0].problem_id.encode()), kind, attempt, tuple(messages))


def _key(case: Case) -> Key:
    return case[0].problem_id, case[1]
