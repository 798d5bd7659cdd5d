"""What outside models have answered: a file that grows by one line per answer, so that nothing is asked or paid for twice."""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from workbench.config import EndpointConfig
from workbench.errors import DataError
from workbench.store.files import LineFile, read_lines, writing

ANSWERS_FILE = "answers.jsonl"


@dataclass(frozen=True, slots=True)
class Query:
    """One question to a teacher."""

    number: int
    """Of the example or trajectory that it is for."""
    kind: str
    """``reflection``, ``correction``, ``analysis`` or ``choice``."""
    attempt: int
    """0 for the first time; later ones replace an answer that was refused."""
    messages: tuple[Mapping[str, str], ...]

    @property
    def request(self) -> str:
        """Hash of everything asked, whoever answers."""
        return _digest([self.number, self.kind, self.attempt, [dict(message) for message in self.messages]])

    def key(self, config: EndpointConfig) -> str:
        """Hash of the question and of the model and settings that shape its answer."""
        return _digest([self.request, config.model, config.temperature, config.max_tokens])


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the file."""

    key: str
    request: str
    number: int
    kind: str
    attempt: int
    model: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    tries: int


def read_answers(path: Path) -> list[Answer]:
    """Every whole and valid line of an answers file.

    Raises:
        DataError: There is no such file, or none of its lines is an answer.
    """
    if not path.is_file():
        raise DataError(f"{path}: there are no recorded answers; give an {ANSWERS_FILE} that a teacher behind an endpoint left")
    lines = read_lines(path)
    answers = [answer for answer in map(_answer, lines) if answer is not None]
    if lines and not answers:
        raise DataError(f"{path}: none of its {len(lines)} lines is a recorded answer; give an {ANSWERS_FILE}")
    return answers


class AnswerFile:
    """The answers of one data folder, held by one process while the ``with`` block lasts.

    A line that a killed process left half written is dropped when the file is opened.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ANSWERS_FILE
        self.known: dict[str, Answer] = {}
        self._file = LineFile(self.path)
        self._lock = threading.Lock()
        self._folder: int | None = None

    def __enter__(self) -> "AnswerFile":
        """Take the file and read it.

        Raises:
            DataError: Another process writes it.
        """
        with writing(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._release()
                raise DataError(f"{self.path}: another process is writing these answers; wait for it or stop it") from None
            self._file.size()  # opens the file, which cuts a half-written line
        if self.path.exists():
            self.known = {answer.key: answer for answer in map(_answer, read_lines(self.path)) if answer is not None}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        self._release()

    def add(self, answer: Answer) -> None:
        """Keep one answer; it is on disk when this returns. Threads may call it."""
        with self._lock, writing(self.path.parent):
            self._file.append(asdict(answer))
            self._file.size()
            self.known[answer.key] = answer

    def _release(self) -> None:
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None


def _answer(line: Mapping[str, Any]) -> Answer | None:
    kinds = {"int": int, "str": str, "bool": bool}
    values: dict[str, Any] = {field.name: line.get(field.name) for field in fields(Answer)}
    types = {field.name: kinds[str(getattr(field.type, "__name__", field.type))] for field in fields(Answer)}
    if any(type(values[name]) is not wanted for name, wanted in types.items()):
        return None
    return Answer(**values)


def _digest(value: Sequence[object]) -> str:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
