"""Problems from JSONL files with the field names of the public data sets.

One object a line. A row that cannot be used is told with file, line and field, and nothing is loaded.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from workbench.envs.arithmetic.answers import LETTERS, final_answer, number
from workbench.envs.arithmetic.draft import answer_line
from workbench.envs.arithmetic.knowledge import with_choices
from workbench.errors import DataError, nearest
from workbench.solutions import Problem

Row = Mapping[str, Any]
LONGEST_TEXT = 100_000
"""Characters of one field."""

_CALCULATOR = re.compile(r"<<[^<>]*>>")


class _BadRow(Exception):
    """Field, what was expected, and what was found."""


class _Asked(NamedTuple):
    question: str
    solution: str
    answer: str
    choices: tuple[str, ...] = ()
    stage: str = "full"
    name: str = ""


def formats() -> tuple[str, ...]:
    """Names of the forms that are read."""
    return tuple(_READERS)


def read_problems(path: Path, form: str, *, split: str = "train", limit: int | None = None) -> tuple[Problem, ...]:
    """The problems of a file, in its order.

    Args:
        path: A JSONL file.
        form: ``gsm8k``, ``math``, ``svamp``, ``ecqa``, ``qasc``, ``openbookqa``, ``arc``, or ``plain`` (question, solution, answer).
        split: What the problems are for.
        limit: Only so many from the start.

    Raises:
        DataError: The file is missing or empty, or a row is malformed: file, line and field are named.
    """
    if form not in _READERS:
        raise DataError(f"{path}: unknown form {form!r}; {nearest(str(form), _READERS)}")
    problems: dict[str, Problem] = {}
    for line, row in _rows(path):
        if limit is not None and len(problems) >= limit:
            break
        try:
            asked = _READERS[form](row)
            name = f"{form}-{asked.name or f'{path.stem}-{line:06d}'}"
            if name in problems:
                raise _BadRow(f"its id {asked.name!r} was used on an earlier line; ids must differ")
        except _BadRow as error:
            raise DataError(f"{path}, line {line}: {error}") from None
        problems[name] = Problem(name, asked.question, asked.solution, asked.answer, form, asked.stage, split, asked.choices)
    if not problems:
        raise DataError(f"{path}: holds no problem; give a JSONL file with one object a line")
    return tuple(problems.values())


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; give a JSONL file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text (byte {error.start}); convert it") from None
    for place, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "nested too deeply")
            raise DataError(f"{path}, line {place}: is no JSON ({reason}); one object a line is expected") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {place}: expected an object with named fields, found {type(row).__name__}")
        yield place, row


def _text(row: Row, *path: str, empty: bool = False) -> str:
    """The text in a field, or in a field of a field."""
    value: Any = row
    for depth, key in enumerate(path):
        if not isinstance(value, Mapping) or key not in value:
            found = ", ".join(map(str, list(value)[:12])) if isinstance(value, Mapping) else type(value).__name__
            raise _BadRow(f"field {'.'.join(path[: depth + 1])!r} is missing; found: {found or 'nothing'}")
        value = value[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:g}" if isinstance(value, float) else str(value)
    if not isinstance(value, str) or not (empty or value.strip()):
        raise _BadRow(f"field {'.'.join(path)!r} has to be a text, found {_shown(value)}")
    if len(value) > LONGEST_TEXT:
        raise _BadRow(f"field {'.'.join(path)!r} is longer than {LONGEST_TEXT:,} characters")
    return value.strip()


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]}…"


def _gsm8k(row: Row) -> _Asked:
    worked = _CALCULATOR.sub("", _text(row, "answer"))
    steps, mark, answer = worked.rpartition("####")
    if not mark or number(answer) is None:
        raise _BadRow(f"field 'answer' has to end in '#### ' and a number, found {_shown(worked[-40:])}")
    return _Asked(_text(row, "question"), _worked(steps, answer.strip()), answer.strip())


def _math(row: Row) -> _Asked:
    solution = _text(row, "solution")
    answer = _text(row, "answer") if row.get("answer") else final_answer(solution) if "\\boxed" in solution else None
    if answer is None:
        raise _BadRow(f"field 'solution' has to hold its answer in \\boxed{{}}, found {_shown(solution[-60:])}")
    stage = str(row.get("level") or "full").strip().lower().replace(" ", "-")
    return _Asked(_text(row, "problem"), solution, answer, stage=stage)


def _svamp(row: Row) -> _Asked:
    body, answer = _text(row, "Body"), _text(row, "Answer")
    value = number(answer)
    if value is None:
        raise _BadRow(f"field 'Answer' has to be a number, found {_shown(answer)}")
    answer = str(value) if value.denominator == 1 else answer
    equation = re.sub(r"(\d)\.0\b", r"\1", _text(row, "Equation"))
    gap = " " if body.endswith((".", "!", "?", ",")) else ". "
    return _Asked(f"{body}{gap}{_text(row, 'Question')}", _worked(f"{equation} = {answer}", answer), answer, name=_name(row, "ID"))


def _ecqa(row: Row) -> _Asked:
    choices = tuple(_text(row, f"q_op{place}") for place in range(1, 6))
    answer = _text(row, "q_ans")
    if answer.casefold() not in [choice.casefold() for choice in choices]:
        raise _BadRow(f"field 'q_ans' has to be one of q_op1 to q_op5 ({', '.join(choices)}), found {_shown(answer)}")
    reasons = _text(row, "taskA_pos", empty=True) if "taskA_pos" in row else _text(row, "taskB")
    return _quiz(_text(row, "q_text"), choices, answer, reasons, _name(row, "q_no"))


def _qasc(row: Row) -> _Asked:
    question, choices, answer = _multiple_choice(row)
    facts = [_text(row, field) for field in ("fact1", "fact2", "combinedfact") if row.get(field)]
    return _quiz(question, choices, answer, "\n".join(facts), _name(row, "id"))


def _science(row: Row) -> _Asked:
    question, choices, answer = _multiple_choice(row)
    return _quiz(question, choices, answer, _text(row, "fact1") if row.get("fact1") else "", _name(row, "id"))


def _plain(row: Row) -> _Asked:
    answer = _text(row, "answer")
    choices = row.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise _BadRow(f"field 'choices' has to be a list of texts, found {_shown(choices)}")
    if choices and answer not in choices:
        raise _BadRow(f"field 'answer' has to be one of the choices ({', '.join(choices)}), found {_shown(answer)}")
    question, solution = _text(row, "question"), _text(row, "solution")
    shown = with_choices(question, tuple(choices)) if choices else question
    return _Asked(shown, _worked(solution, answer), answer, tuple(choices), name=_name(row, "id"))


def _multiple_choice(row: Row) -> tuple[str, tuple[str, ...], str]:
    """Question, choices and right choice, flat as on the hub or nested as the authors publish them."""
    question = row.get("question")
    if isinstance(question, Mapping):
        stem, where, holder = _text(row, "question", "stem"), "question.choices", question.get("choices")
    else:
        stem, where, holder = _text(row, "question_stem" if "question_stem" in row else "question"), "choices", row.get("choices")
    texts, labels = _choices(holder, where)
    key = _text(row, "answerKey")
    if key not in labels:
        raise _BadRow(f"field 'answerKey' has to be one of {', '.join(labels)}, found {_shown(key)}")
    return stem, texts, texts[labels.index(key)]


def _choices(holder: Any, where: str) -> tuple[tuple[str, ...], list[str]]:
    if isinstance(holder, Mapping):
        texts, labels = holder.get("text"), holder.get("label")
    elif isinstance(holder, list) and all(isinstance(choice, Mapping) for choice in holder):
        texts, labels = [choice.get("text") for choice in holder], [choice.get("label") for choice in holder]
    else:
        raise _BadRow(f"field {where!r} has to hold texts and labels, found {_shown(holder)}")
    if not (isinstance(texts, list) and isinstance(labels, list) and len(texts) == len(labels) and 2 <= len(texts) <= len(LETTERS)):
        raise _BadRow(f"field {where!r} has to hold 2 to {len(LETTERS)} texts and as many labels, found {_shown(holder)}")
    if not all(isinstance(value, str) and value.strip() for value in [*texts, *labels]):
        raise _BadRow(f"field {where!r} has to hold non-empty texts and labels, found {_shown(holder)}")
    return tuple(text.strip() for text in texts), [label.strip() for label in labels]


def _quiz(question: str, choices: tuple[str, ...], answer: str, reasons: str, name: str) -> _Asked:
    return _Asked(with_choices(question, choices), _worked(reasons, answer), answer, choices, name=name)


def _worked(steps: str, answer: str) -> str:
    """Steps one a line, and the line of the answer at the end, where it is not there yet."""
    lines = [line.strip() for line in steps.strip().split("\n") if line.strip()]
    if lines and final_answer(lines[-1]) is not None:
        return "\n".join(lines)
    return "\n".join((*lines, answer_line(answer)))


def _name(row: Row, field: str) -> str:
    return _text(row, field) if row.get(field) is not None else ""


_READERS: dict[str, Callable[[Row], _Asked]] = {
    "plain": _plain,
    "gsm8k": _gsm8k,
    "math": _math,
    "svamp": _svamp,
    "ecqa": _ecqa,
    "qasc": _qasc,
    "openbookqa": _science,
    "arc": _science,
}
