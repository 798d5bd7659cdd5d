"""Parquet parts of a run: each appears whole, and every row is seen exactly once.

``part-000007.parquet`` is the seventh flush; ``part-000001-000040.parquet`` holds the first forty, merged. A
part that lies within the range of another is superseded: it is not read, and somebody may be about to delete
it. So one rename puts a merged part in the place of its pieces.
"""

import io
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.store.files import sync_folder, write_whole
from workbench.store.schema import SCHEMA, WORDS

_NAME = re.compile(r"part-(\d{6,})(?:-(\d{6,}))?\.parquet")
_MAGIC = b"PAR1"
_COUNTS = b"workbench.rows_per_part"
_ROW_GROUP = 16_384  # small enough that opening one turn of a large part reads little
_REPEATED = [
    *(field.name for field in SCHEMA if field.type == pa.string()),
    *(f"{field.name}.list.element" for field in SCHEMA if field.type == WORDS),
]
_MERGED_ROWS = 250_000
"""A merged part of so many rows is left as it is."""
_MANY = 8
"""Fewer parts than this are not merged."""
_SHARE = 0.5
"""A part with more than this share of the rows of all that follow it waits: so each row is rewritten few times."""


class Part(NamedTuple):
    """A file of rows that stands for the flushes ``first`` to ``last``."""

    path: Path
    first: int
    last: int


def visible_parts(folder: Path) -> list[Part]:
    """The parts that together hold every row once, in order.

    A listing that runs while a merge puts its file in place may miss both the new name and an old one; two
    equal listings in a row cannot.
    """
    listing = _listing(folder)
    while (again := _listing(folder)) != listing:
        listing = again
    visible: list[Part] = []
    for part in sorted(listing, key=lambda part: (part.first, -part.last)):
        if not visible or part.last > visible[-1].last:
            visible.append(part)
    return visible


def readable_files(folder: Path) -> list[str]:
    """Paths of the visible parts that are whole Parquet files."""
    return [str(part.path) for part in visible_parts(folder) if _is_whole(part.path)]


def _listing(folder: Path) -> set[Part]:
    found = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match and entry.is_file(follow_symlinks=False):
                    found.add(Part(folder / entry.name, int(match[1]), int(match[2] or match[1])))
    except FileNotFoundError:
        return set()
    return found


def _is_whole(path: Path) -> bool:
    """False for a file that is cut short or is something else; a file that has just gone is for the reader to miss."""
    try:
        with path.open("rb") as file:
            if file.read(4) != _MAGIC:
                return False
            file.seek(-4, os.SEEK_END)
            return file.read(4) == _MAGIC
    except FileNotFoundError:
        return True
    except OSError:
        return False


def write_part(folder: Path, number: int, table: pa.Table) -> None:
    """Write one flush."""
    write_whole(folder / f"part-{number:06d}.parquet", _encoded(table))


def merge_parts(folder: Path, before: int | None) -> None:
    """Merge the parts numbered up to ``before`` (all when None), where it is worth the writing."""
    batch: list[Part] = []
    rows: list[int] = []
    parts = [part for part in visible_parts(folder) if before is None or part.last <= before]
    for part in parts:
        count = pq.read_metadata(part.path).num_rows
        if count < _MERGED_ROWS:
            batch.append(part)
            rows.append(count)
        if count >= _MERGED_ROWS or sum(rows) >= _MERGED_ROWS:
            _merge(folder, batch, rows)
            batch, rows = [], []
    _merge(folder, batch, rows)


def _merge(folder: Path, batch: Sequence[Part], rows: Sequence[int]) -> None:
    start = 0
    while start < len(batch) and rows[start] > _SHARE * sum(rows[start + 1 :]):
        start += 1
    batch = batch[start:]
    if len(batch) >= _MANY:
        counts = [count for part in batch for count in _rows_per_part(part)]
        table = pa.concat_tables([pq.read_table(part.path) for part in batch])
        _write_merged(folder, table, counts)
        for part in batch:
            part.path.unlink(missing_ok=True)
        sync_folder(folder)


def cut_parts(folder: Path, last: int) -> None:
    """Keep the flushes up to ``last`` and nothing else: later ones, superseded and half-written files go.

    The caller holds the run, so no other process writes here.
    """
    visible = visible_parts(folder)
    keep = {part.path for part in visible if part.last <= last}
    for part in visible:
        if part.first <= last < part.last:
            keep.add(_keep_beginning(folder, part, last))
    for path in sorted(folder.iterdir()):
        if path not in keep and (_NAME.fullmatch(path.name) or path.name.startswith(".part-")):
            path.unlink(missing_ok=True)
    sync_folder(folder)


def _keep_beginning(folder: Path, part: Part, last: int) -> Path:
    """Write the flushes of ``part`` up to ``last`` beside it; they stay hidden until ``part`` is deleted."""
    counts = [count for count in _rows_per_part(part) if count[0] <= last]
    table = pq.read_table(part.path).slice(0, sum(rows for _, rows in counts))
    return _write_merged(folder, table, counts)


def _rows_per_part(part: Part) -> list[tuple[int, int]]:
    metadata = pq.read_metadata(part.path)
    stored = (metadata.metadata or {}).get(_COUNTS)
    if stored is None:
        return [(part.last, metadata.num_rows)]
    return [(int(number), int(rows)) for number, rows in json.loads(stored)]


def _write_merged(folder: Path, table: pa.Table, counts: Sequence[tuple[int, int]]) -> Path:
    path = folder / f"part-{counts[0][0]:06d}-{counts[-1][0]:06d}.parquet"
    write_whole(path, _encoded(table.replace_schema_metadata({_COUNTS: json.dumps(counts)})))
    return path


def _encoded(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=1,
        row_group_size=_ROW_GROUP,
        use_dictionary=_REPEATED,  # numbers rarely repeat: looking for repetition costs more than it saves
        write_statistics=["trajectory_id"],  # lets one trajectory be found without reading the others
    )
    return buffer.getvalue()
