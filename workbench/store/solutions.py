"""Worked solutions of a run, and what every token of them was worth: written whole, read by the trainer, notebooks and pages alike.

::

    data/problems.jsonl                       every problem with its solution, by split
    solutions/round-01/samples.parquet        one row a solution that the policy wrote
    solutions/round-01/rewrites.parquet       one row a solution: what the teacher made of it
    solutions/round-01/scores.parquet         one row a solution: its tokens under policy and reward model, and the model's rewrite
    solutions/tokens/000040.parquet           one row a token: everything that made up the loss of update 40
    solutions/probes/000050.parquet           one row a token of the same few solutions, after update 50
    solutions/evaluations/000150.parquet      one row a solution of an evaluation
    solutions/reward_model.json               how good the reward model is

Names of files are here and nowhere else. Every file depends on the seed alone, so one that a killed run had begun to make is made again.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import DataError
from workbench.solutions import Problem, Response, Rewrite, Status
from workbench.store.files import json_bytes, read_json, write_whole, writing
from workbench.store.layout import RunPaths

PROBLEMS_FILE = "problems.jsonl"
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
TOKEN_SCHEMA = pa.schema(
    [
        ("round", pa.int32()),
        ("update", pa.int32()),
        ("sample", pa.int32()),
        ("problem_id", pa.string()),
        ("side", pa.string()),
        ("place", pa.int32()),
        ("token_id", pa.int32()),
        ("token", pa.string()),
        ("policy_prob", pa.float64()),
        ("old_policy_prob", pa.float64()),
        ("reward_model_prob", pa.float64()),
        ("reward", pa.float64()),
        ("is_edited", pa.bool_()),
        ("imitation_weight", pa.float64()),
        ("rl_contribution", pa.float64()),
        ("imitation_contribution", pa.float64()),
        ("contribution", pa.float64()),
    ]
)
"""``side`` is ``original`` or ``rewrite``; a right solution is its own rewrite and stands there once, as ``original``. The contributions
of an update's tokens sum to its ``loss/total``. ``is_edited`` is the true edit set (``original``) or what the rewrite put there
(``rewrite``)."""


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
        write_whole(paths.data / PROBLEMS_FILE, b"".join(json_bytes(asdict(problem)) for problem in problems))


def read_problems(paths: RunPaths) -> list[Problem]:
    """The problems of a run, in the order in which they were written.

    Raises:
        DataError: They are missing or damaged.
    """
    path = paths.data / PROBLEMS_FILE
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [Problem(**{**row, "choices": tuple(row["choices"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: the problems cannot be read ({_line(error)}); start a new run, or restore it from a copy") from None


def write_samples(paths: RunPaths, number: int, samples: Sequence[Response]) -> None:
    """What the policy wrote in round ``number``."""
    _write(paths, _round(paths, number) / "samples.parquet", _SAMPLES, _numbered(asdict(sample) for sample in samples))


def read_samples(paths: RunPaths, number: int) -> list[Response]:
    """The responses of a round, in order.

    Raises:
        DataError: They are missing or damaged.
    """
    return [
        Response(
            row["problem_id"],
            row["text"],
            tuple(row["token_ids"]),
            tuple(row["log_probs"]),
            finished=row["finished"],
            is_right=row["is_right"],
        )
        for row in _read(_round(paths, number) / "samples.parquet")
    ]


def write_rewrites(paths: RunPaths, number: int, rewrites: Sequence[Rewrite]) -> None:
    """What the teacher made of the responses of a round, one for each, in their order."""
    _write(paths, _round(paths, number) / "rewrites.parquet", _REWRITES, _numbered(asdict(rewrite) for rewrite in rewrites))


def read_rewrites(paths: RunPaths, number: int) -> list[Rewrite]:
    """The teacher's rewrites of a round, in the order of its responses.

    Raises:
        DataError: They are missing or damaged.
    """
    found = []
    for row in _read(_round(paths, number) / "rewrites.parquet"):
        spans = row["edited_spans"]
        row["edited_spans"] = None if spans is None else tuple((start, end) for start, end in spans)
        found.append(Rewrite(**{name: row[name] for name in row if name != "number"}))
    return found


def write_scores(paths: RunPaths, number: int, problem_ids: Sequence[str], scores: Sequence[Score]) -> None:
    """What policy and reward model make of the responses of a round, one for each, in their order."""
    rows = [{"problem_id": name, **asdict(score)} for name, score in zip(problem_ids, scores, strict=True)]
    _write(paths, _round(paths, number) / "scores.parquet", _SCORES, _numbered(rows))


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
        for row in _read(_round(paths, number) / "scores.parquet")
    ]


def write_tokens(paths: RunPaths, update: int, columns: Mapping[str, Sequence[Any]], *, kind: str = "tokens") -> None:
    """Every token of one update (``tokens``), or of the solutions that are followed (``probes``)."""
    with writing(paths.folder):
        folder = _folder(paths) / kind
        folder.mkdir(parents=True, exist_ok=True)
        _put(folder / f"{update:06d}.parquet", pa.table(dict(columns), schema=TOKEN_SCHEMA))


def read_tokens(paths: RunPaths, update: int, *, kind: str = "tokens") -> pa.Table:
    """What :func:`write_tokens` wrote.

    Raises:
        DataError: It is missing or damaged.
    """
    return _table(_folder(paths) / kind / f"{update:06d}.parquet")


def recorded_updates(paths: RunPaths, *, kind: str = "tokens") -> list[int]:
    """The updates whose tokens were written, ascending."""
    folder = _folder(paths) / kind
    return sorted(int(path.stem) for path in folder.glob("[0-9]*.parquet")) if folder.is_dir() else []


def forget_tokens(paths: RunPaths, after: int) -> None:
    """Delete what was written of updates that are about to be done again."""
    with writing(paths.folder):
        for kind in ("tokens", "probes", "evaluations"):
            for update in recorded_updates(paths, kind=kind):
                if update > after:
                    (_folder(paths) / kind / f"{update:06d}.parquet").unlink(missing_ok=True)


def write_evaluated(paths: RunPaths, update: int, responses: Sequence[Response]) -> None:
    """The solutions of an evaluation."""
    _write(paths, _folder(paths) / "evaluations" / f"{update:06d}.parquet", _SAMPLES, _numbered(asdict(one) for one in responses))


def write_quality(paths: RunPaths, values: Mapping[str, Any]) -> None:
    """How good the reward model is, with its calibration table."""
    with writing(paths.folder):
        _folder(paths).mkdir(exist_ok=True)
        write_whole(_folder(paths) / "reward_model.json", json_bytes(values, indent=2))


def read_quality(paths: RunPaths) -> dict[str, Any] | None:
    """What :func:`write_quality` wrote last, or None."""
    return read_json(_folder(paths) / "reward_model.json")


def _round(paths: RunPaths, number: int) -> Path:
    return _folder(paths) / f"round-{number:02d}"


def _numbered(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"number": number, **row} for number, row in enumerate(rows)]


def _write(paths: RunPaths, path: Path, schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> None:
    with writing(paths.folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, pa.Table.from_pylist(list(rows), schema=schema))


def _put(path: Path, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_whole(path, buffer.getvalue())


def _table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read ({_line(error)}); delete the run's solutions/ and resume to make it again") from None


def _read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _table(path).to_pylist()
    return rows


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:200]


def _folder(paths: RunPaths) -> Path:
    return paths.folder / "solutions"


def copy_rounds(parent: RunPaths, child: RunPaths) -> None:
    """Give ``child`` the answers, rewrites and scores of ``parent``, and how good its reward model is."""
    with writing(child.folder):
        for source in sorted(_folder(parent).glob("round-*/*.parquet")):
            target = _folder(child) / source.parent.name / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, source.read_bytes())
        if (quality := read_quality(parent)) is not None:
            write_quality(child, quality)


def has_answers(paths: RunPaths) -> bool:
    """Whether the policy of this run, or of its parent, has answered anything yet."""
    return any(_folder(paths).glob("round-*/samples.parquet"))
