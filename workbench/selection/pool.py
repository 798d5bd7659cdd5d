"""Pools of prompts from files, without their labels: only the named columns are taken."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import DataError, nearest

LINES = (".jsonl", ".ndjson", ".json")
_READ = ("prompt", "id", "task", "stage")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns that are read; None takes the usual one where there is one."""

    prompt: str = "prompt"
    id: str | None = None
    task: str | None = None
    stage: str | None = None

    def wanted(self, known: Iterable[str], source: object) -> dict[str, str]:
        """Which of the ``known`` columns to read, by what they are.

        Raises:
            DataError: A column that was named, or the prompt's, is not there.
        """
        known = list(known)
        found = {}
        usual = (("prompt", self.prompt, None), ("id", self.id, "id"), ("task", self.task, "task"), ("stage", self.stage, "stage"))
        for what, named, usually in usual:
            if named is not None and named not in known:
                raise DataError(f"{source}: there is no column {named!r} for the {what}; {nearest(named, known)}")
            if (name := named or usually) in known:
                found[what] = str(name)
        return found


@dataclass(frozen=True, slots=True)
class Pool:
    """Prompts to choose from.

    Args:
        prompts: Texts, (N,).
        ids: Their names, all different; places as text where the file gives none, (N,).
        tasks: What each prompt asks for; None where the file does not say, (N,).
        source: The file; None for rows from memory.
        columns: What was read from it.
        stages: Where in a curriculum each prompt is from, for coverage reports alone: no design sees them, (N,).
    """

    prompts: tuple[str, ...]
    ids: tuple[str, ...]
    tasks: tuple[str, ...] | None = None
    source: Path | None = None
    columns: Columns = Columns()
    stages: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything a design may see of this pool; labels play no part."""
        digest = hashlib.sha256()
        for row in zip(self.ids, self.prompts, self.tasks or [""] * len(self), strict=True):
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def check_unchanged(self) -> None:
        """Read the file again and compare.

        Raises:
            DataError: Its prompts, ids or tasks are not what they were.
        """
        if self.source is not None and read_pool(self.source, self.columns).fingerprint != self.fingerprint:
            raise DataError(f"{self.source}: its prompts changed while they were looked at; leave the file alone and run again")


def read_pool(source: Path, columns: Columns = Columns()) -> Pool:
    """The prompts of a JSON-lines file, a Parquet file, or a folder saved by ``datasets``.

    From Parquet files and ``datasets`` folders no other column is read; of JSON lines, which have to be read whole, none is kept.

    Raises:
        DataError: The file cannot be read, lacks a column, holds what is no prompt, or holds nothing.
    """
    if source.is_dir():
        return _pool_of_table(_dataset_columns(source, columns), source, columns)
    if not source.exists():
        raise DataError(f"{source}: there is no such file; name a pool of prompts (.jsonl, .parquet, or a folder saved by datasets)")
    if source.suffix == ".parquet":
        return _pool_of_table(_parquet_columns(source, columns), source, columns)
    if source.suffix in LINES:
        return _pool_of_rows(_json_rows(source), source, columns)
    raise DataError(f"{source}: a pool ends in .jsonl or .parquet or is a folder saved by datasets, found {source.suffix or 'no ending'!r}")


def pool_from_rows(rows: Iterable[Mapping[str, Any]], columns: Columns = Columns()) -> Pool:
    """A pool from memory; of every row only the named columns are asked for.

    Raises:
        DataError: As :func:`read_pool`.
    """
    return _pool_of_rows(enumerate(rows, start=1), None, columns)


def _pool_of_rows(rows: Iterable[tuple[int, Mapping[str, Any]]], source: Path | None, columns: Columns) -> Pool:
    found: dict[str, str] | None = None
    values: dict[str, list[Any]] = {what: [] for what in _READ}
    for number, row in rows:
        if found is None:
            found = columns.wanted(row.keys(), source or "the rows")
        for what, name in found.items():
            if name not in row:
                raise DataError(f"{source or 'the rows'}: row {number} has no {name!r}, unlike the first; add it there")
            values[what].append(row[name])
    return _pool(values, source, columns)


def _pool_of_table(table: Mapping[str, list[Any]], source: Path, columns: Columns) -> Pool:
    return _pool({what: table.get(what, []) for what in _READ}, source, columns)


def _pool(values: Mapping[str, list[Any]], source: Path | None, columns: Columns) -> Pool:
    where = source or "the rows"
    prompts = values["prompt"]
    if not prompts:
        raise DataError(f"{where}: the pool is empty; name one with at least one prompt")
    for place, prompt in enumerate(prompts):
        if not isinstance(prompt, str) or not prompt.strip():
            raise DataError(f"{where}: the prompt of row {place + 1} has to be text, found {_brief(prompt)}; mend it or leave it out")
    ids = [str(name) for name in values["id"]] or [str(place) for place in range(len(prompts))]
    if len(set(ids)) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise DataError(f"{where}: two rows have the id {twice!r}; give every prompt its own")
    tasks, stages = (tuple(str(name) for name in values[what]) or None for what in ("task", "stage"))
    return Pool(tuple(prompts), tuple(ids), tasks, source, columns, stages)


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _json_rows(source: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    try:
        with source.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DataError(f"{source}: line {number} has to be a JSON object, found {_brief(row)}")
                yield number, row
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{source}: line {number} is no JSON object ({error}); one object a line is wanted") from None


def _parquet_columns(source: Path, columns: Columns) -> dict[str, list[Any]]:
    try:
        with pq.ParquetFile(source) as file:
            names = columns.wanted(file.schema_arrow.names, source)
            table = file.read(columns=list(names.values()))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{source}: cannot be read as Parquet ({' '.join(str(error).split())[:200]})") from None
    return {what: table.column(name).to_pylist() for what, name in names.items()}


def _dataset_columns(source: Path, columns: Columns) -> dict[str, list[Any]]:
    from datasets import DatasetDict, load_from_disk

    try:
        dataset = load_from_disk(source)
    except Exception as error:  # a folder of unknown origin: many kinds of errors, one meaning
        raise DataError(f"{source}: not a folder saved by datasets ({' '.join(str(error).split())[:200]})") from None
    if isinstance(dataset, DatasetDict):
        raise DataError(
            f"{source}: holds several splits ({', '.join(dataset)}); name the folder of one, e.g. {source / next(iter(dataset))}"
        )
    names = columns.wanted(dataset.column_names, source)
    narrowed = dataset.select_columns(list(names.values()))
    return {what: list(narrowed[name]) for what, name in names.items()}
