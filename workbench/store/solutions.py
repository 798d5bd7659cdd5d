"""Worked solutions of a run, and what every token of them was worth: written whole, read by the trainer, notebooks and pages alike.

::

    data/problems.jsonl                       every problem with its solution, by split
    solutions/round-01/samples.parquet        one row a solution that the policy wrote
    solutions/round-01/rewrites.parquet       one row a solution: what the teacher made of it
    solutions/round-01/scores.parquet         one row a solution: its tokens under policy and reward model, and the model's rewrite
    solutions/evaluations/000150.parquet      one row a solution of an evaluation
    solutions/reward_model.json               how good the reward model is

Tokens are in tables of their own (``solution_tokens.py``). Every file depends on the seed alone, so one that a killed run had begun to make
is made again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from workbench.errors import DataError
from workbench.solutions import Problem, Response, Rewrite, Status
from workbench.store.files import json_bytes, read_json, write_whole, writing
from workbench.store.layout import RunPaths
from workbench.store.solution_tokens import EVALUATIONS, first_line, put_table, read_table, table_path
from workbench.store.solution_tokens import forget_tokens as forget_tokens
from workbench.store.solution_tokens import read_tokens as read_tokens
from workbench.store.solution_tokens import recorded_updates as recorded_updates
from workbench.store.solution_tokens import write_tokens as write_tokens

_QUALITY = "reward_model.json"
_IDS, _NUMBERS = pa.list_(pa.int32()), pa.list_(pa.float64())
_SAMPLES = pa.schema(
    [
        ("number", pa.int32()),
        ("problem_id", pa.string()),
        ("text", pa.string()),
        ("token_ids", _IDS),
        ("log_probs", _NUMBERS),
        ("finished", pa.bool_()),
        ("is_right", pa.bool_()),
    ]
)
_REWRITES = pa.schema(
    [
        ("number", pa.int32()),
        ("problem_id", pa.string()),
        ("original", pa.string()),
        ("first_wrong_step", pa.int32()),
        ("text", pa.string()),
        ("status", pa.string()),
        ("edited_spans", pa.list_(pa.list_(pa.int32()))),
    ]
)
_SCORES = pa.schema(
    [
        ("number", pa.int32()),
        ("problem_id", pa.string()),
        ("policy_log_probs", _NUMBERS),
        ("reward_model_log_probs", _NUMBERS),
        ("located_step", pa.int32()),
        ("rewrite", pa.string()),
        ("rewrite_token_ids", _IDS),
        ("status", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Score:
    """What policy and reward model make of one response."""

    policy_log_probs: tuple[float, ...]
    """Of each token under the policy that wrote it, at temperature 1 and without nucleus, nats."""
    reward_model_log_probs: tuple[float, ...]
    """Of each token where the reward model would rewrite the response, nats."""
    located_step: int | None
    rewrite: str
    """The reward model's own; the response itself where that was right."""
    rewrite_token_ids: tuple[int, ...]
    status: Status
    """``right``, ``repaired``, or ``not-verified``: the rewrite does not reach the right answer."""


def write_problems(paths: RunPaths, problems: Iterable[Problem]) -> None:
    """All problems of a run; ``split`` says what each is for."""
    with writing(paths.folder):
        paths.data.mkdir(exist_ok=True)
        write_whole(paths.problems, b"".join(json_bytes(asdict(problem)) for problem in problems))


def read_problems(paths: RunPaths) -> list[Problem]:
    """The problems of a run, in the order in which they were written.

    Raises:
        DataError: They are missing or damaged.
    """
    path = paths.problems
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [Problem(**{**row, "choices": tuple(row["choices"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: the problems cannot be read ({first_line(error)}); start a new run, or restore it from a copy") from None


def write_samples(paths: RunPaths, number: int, samples: Sequence[Response]) -> None:
    """What the policy wrote in round ``number``."""
    _write(paths, round_folder(paths, number) / "samples.parquet", _SAMPLES, _numbered(asdict(sample) for sample in samples))


def read_samples(paths: RunPaths, number: int) -> list[Response]:
    """The responses of a round, in order.

    Raises:
        DataError: They are missing or damaged.
    """
    return _responses(round_folder(paths, number) / "samples.parquet")


def write_rewrites(paths: RunPaths, number: int, rewrites: Sequence[Rewrite]) -> None:
    """What the teacher made of the responses of a round, one for each, in their order."""
    _write(paths, round_folder(paths, number) / "rewrites.parquet", _REWRITES, _numbered(asdict(rewrite) for rewrite in rewrites))


def read_rewrites(paths: RunPaths, number: int) -> list[Rewrite]:
    """The teacher's rewrites of a round, in the order of its responses.

    Raises:
        DataError: They are missing or damaged.
    """
    found = []
    for row in _read(round_folder(paths, number) / "rewrites.parquet", _REWRITES):
        spans = row["edited_spans"]
        row["edited_spans"] = None if spans is None else tuple((start, end) for start, end in spans)
        found.append(Rewrite(**{name: row[name] for name in row if name != "number"}))
    return found


def write_scores(paths: RunPaths, number: int, problem_ids: Sequence[str], scores: Sequence[Score]) -> None:
    """What policy and reward model make of the responses of a round, one for each, in their order."""
    rows = [{"problem_id": name, **asdict(score)} for name, score in zip(problem_ids, scores, strict=True)]
    _write(paths, round_folder(paths, number) / "scores.parquet", _SCORES, _numbered(rows))


def read_scores(paths: RunPaths, number: int) -> list[Score]:
    """The scores of a round, in the order of its responses.

    Raises:
        DataError: They are missing or damaged.
    """
    return [
        Score(
            tuple(row["policy_log_probs"]),
            tuple(row["reward_model_log_probs"]),
            row["located_step"],
            row["rewrite"],
            tuple(row["rewrite_token_ids"]),
            row["status"],
        )
        for row in _read(round_folder(paths, number) / "scores.parquet", _SCORES)
    ]


def write_evaluated(paths: RunPaths, update: int, responses: Sequence[Response]) -> None:
    """The solutions of an evaluation."""
    _write(paths, table_path(paths, update, EVALUATIONS), _SAMPLES, _numbered(asdict(one) for one in responses))


def read_evaluated(paths: RunPaths, update: int) -> list[Response]:
    """The solutions of the evaluation after an update, in the order of the problems.

    Raises:
        DataError: They are missing or damaged.
    """
    return _responses(table_path(paths, update, EVALUATIONS))


def write_quality(paths: RunPaths, values: Mapping[str, Any]) -> None:
    """How good the reward model is, with its calibration table."""
    with writing(paths.folder):
        paths.solutions.mkdir(exist_ok=True)
        write_whole(paths.solutions / _QUALITY, json_bytes(values, indent=2))


def read_quality(paths: RunPaths) -> dict[str, Any] | None:
    """What :func:`write_quality` wrote last, or None."""
    return read_json(paths.solutions / _QUALITY)


def round_folder(paths: RunPaths, number: int) -> Path:
    """What a round wrote: answers, rewrites, scores."""
    return paths.solutions / f"round-{number:02d}"


def _numbered(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"number": number, **row} for number, row in enumerate(rows)]


def _responses(path: Path) -> list[Response]:
    return [
        Response(
            row["problem_id"],
            row["text"],
            tuple(row["token_ids"]),
            tuple(row["log_probs"]),
            finished=row["finished"],
            is_right=row["is_right"],
        )
        for row in _read(path, _SAMPLES)
    ]


def _write(paths: RunPaths, path: Path, schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> None:
    with writing(paths.folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        put_table(path, pa.Table.from_pylist(list(rows), schema=schema))


def _read(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(path, schema).to_pylist()
    return rows


def copy_rounds(parent: RunPaths, child: RunPaths) -> None:
    """Give ``child`` the answers, rewrites and scores of ``parent``, and how good its reward model is."""
    with writing(child.folder):
        for source in sorted(parent.solutions.glob("round-*/*.parquet")):
            target = child.solutions / source.parent.name / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, source.read_bytes())
        if (quality := read_quality(parent)) is not None:
            write_quality(child, quality)


def has_answers(paths: RunPaths) -> bool:
    """Whether the policy of this run, or of its parent, has answered anything yet."""
    return any(paths.solutions.glob("round-*/samples.parquet"))
