"""The tutor that asks an outside model, now or from a recording."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from workbench.config import TeacherConfig
from workbench.data.answers import Query
from workbench.data.teachers.base import Lesson
from workbench.data.teachers.refusals import refusal
from workbench.instructions import clean_answer, correction_messages, reflection_messages

PAPER_WORDS = 50
"""Longest reflection that the paper asks for."""


class Source(Protocol):
    """Where answers come from."""

    def ask(self, queries: Sequence[Query]) -> list[str]:
        """The raw answer to each query, in order.

        Raises:
            WorkbenchError: Some have none; those that were given are kept.
        """

    def facts(self) -> dict[str, Any]:
        """Model, tokens and money, for the data card."""


class OutsideTutor:
    """Asks for every reflection, refuses the unusable ones and asks again.

    The last try is made without the spoiler, since what was not told cannot be betrayed.

    Args:
        source: An endpoint or a recording.
        config: Whether the best command is told, and how often an answer is asked for again.
        max_words: Longest reflection that is asked for.
    """

    def __init__(self, source: Source, config: TeacherConfig, *, max_words: int = PAPER_WORDS) -> None:
        self.source = source
        self.config = config
        self.max_words = max_words
        self.refused: Counter[str] = Counter()
        self.left_out = 0

    def explain(self, lessons: Sequence[Lesson]) -> list[str | None]:
        """A reflection for each lesson, in order; None where every try was refused."""
        texts: dict[int, str] = {}
        waiting = list(range(len(lessons)))
        for attempt in range(self.config.max_rewrites + 1):
            told = [self._told(lessons[place], attempt) for place in waiting]
            queries = [self._query(lessons[place], attempt, spoiler) for place, spoiler in zip(waiting, told, strict=True)]
            refused = []
            for place, spoiler, answer in zip(waiting, told, self.source.ask(queries), strict=True):
                text = clean_answer(answer)
                problem = refusal(text, lessons[place], told=spoiler)
                if problem is None:
                    texts[place] = text
                else:
                    self.refused[problem] += 1
                    refused.append(place)
            waiting = refused
            if not waiting:
                break
        self.left_out += len(waiting)
        return [texts.get(place) for place in range(len(lessons))]

    def facts(self) -> dict[str, Any]:
        """The source's facts, and how many answers were refused why."""
        return {
            **self.source.facts(),
            "spoiler": self.config.spoiler,
            "refused_answers": {reason: self.refused[reason] for reason in ("betrays", "contradicts", "empty")},
            "examples_left_out": self.left_out,
        }

    def _told(self, lesson: Lesson, attempt: int) -> str | None:
        last_resort = attempt > 0 and attempt == self.config.max_rewrites
        return lesson.best if self.config.spoiler and not last_resort else None

    def _query(self, lesson: Lesson, attempt: int, told: str | None) -> Query:
        statement, seen = lesson.task_statement, lesson.observation
        if lesson.mistake is not None:
            messages = correction_messages(statement, seen, mistake=lesson.mistake, told=told, max_words=self.max_words)
            return Query(lesson.number, "correction", attempt, tuple(messages))
        messages = reflection_messages(statement, seen, first=lesson.first, told=told, max_words=self.max_words)
        return Query(lesson.number, "reflection", attempt, tuple(messages))
