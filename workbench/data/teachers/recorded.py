"""Answers that an outside model gave before: the same data again, without asking anybody."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.data.answers import Query, read_answers
from workbench.errors import DataError


class RecordedSource:
    """Replays a file of answers; a question is known by its text, whoever was asked.

    Args:
        path: The file, as a teacher behind an endpoint left it.

    Raises:
        DataError: The file is missing or holds no answers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        answers = read_answers(path)
        self.by_request = {answer.request: answer for answer in answers}
        self.models = sorted({answer.model for answer in answers})
        self.replayed = 0

    def ask(self, queries: Sequence[Query]) -> list[str]:
        """The recorded answer to each query.

        Raises:
            DataError: Some queries were never answered.
        """
        missing = [query for query in queries if query.request not in self.by_request]
        if missing:
            raise DataError(
                f"{self.path}: no answer is recorded for {len(missing)} of {len(queries)} requests (the first: {missing[0].kind} of "
                f"number {missing[0].number}); use the seed and the settings it was recorded with, or data.teacher.kind=endpoint"
            )
        self.replayed += len(queries)
        return [self.by_request[query.request].text for query in queries]

    def facts(self) -> dict[str, Any]:
        """Where the answers came from; nothing is spent."""
        return {"teacher": "recorded", "model": ", ".join(self.models), "recording": self.path.name, "answers_replayed": self.replayed}
