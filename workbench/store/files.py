"""Bytes on disk: whole files or none, whole lines or none, and one-line errors when the disk is full."""

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.errors import StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TAIL_BYTES = 65_536


def now() -> str:
    """The time as ISO 8601 text, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def parse_time(value: object) -> datetime | None:
    """Read what :func:`now` wrote; None for anything else."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses while ``folder`` is written into one line.

    Raises:
        StoreError: The disk is full, the folder is gone, or it may not be written.
    """
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(folder) from None
        message = f"{folder}: cannot be written: {error.strerror or error}; mend that, then `workbench resume {folder.name}`"
        raise StoreError(message) from None


def is_disk_full(error: BaseException) -> bool:
    """Whether ``error`` says that no space is left; libraries written in Rust (safetensors, tokenizers) say it in words only."""
    return (isinstance(error, OSError) and error.errno in _FULL) or f"(os error {errno.ENOSPC})" in str(error)


def disk_full(folder: Path) -> StoreError:
    """What to tell a person whose run in ``folder`` found no space."""
    return StoreError(f"{folder}: the disk is full; free space, then `workbench resume {folder.name}`")


def plain(value: Any) -> Any:
    """``value`` as JSON holds it: numpy numbers become Python's, NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def json_bytes(value: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """``value`` as UTF-8 JSON with a line end; characters that UTF-8 cannot hold become ``?``."""
    return (json.dumps(plain(value), ensure_ascii=False, indent=indent, allow_nan=False) + "\n").encode("utf-8", "replace")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in ``path``, or None when the file is missing, half written or something else."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, however little the system takes at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data`` at once; a reader sees the old content or the new.

    Args:
        path: The file.
        data: Its new content.
        durable: Wait until the disk has it, so that it also survives a power cut.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and deletions in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LineFile:
    """A JSON-lines file that grows by whole lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def append(self, value: Mapping[str, Any]) -> None:
        """Add one line in one write; when the disk refuses part of it, none of it stays."""
        descriptor = self._open()
        end = os.fstat(descriptor).st_size
        try:
            write_all(descriptor, json_bytes(value))
        except BaseException:
            os.ftruncate(descriptor, end)
            raise

    def size(self) -> int:
        """Bytes of whole lines, on disk when this returns."""
        if self._descriptor is None and not self.path.exists():
            return 0
        descriptor = self._open()
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size

    def truncate(self, size: int) -> None:
        """Forget everything after ``size`` bytes."""
        if self._descriptor is None and not self.path.exists():
            return
        descriptor = self._open()
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)

    def close(self) -> None:
        """Give the descriptor back; the next append opens the file again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            _cut_torn_line(descriptor)
            self._descriptor = descriptor
        return self._descriptor


def _cut_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    end = size
    while end > 0:
        start = max(0, end - _TAIL_BYTES)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)


def json_lines(data: bytes) -> list[dict[str, Any]]:
    """The objects in ``data``, one a line; torn lines and other values are left out."""
    values = []
    for line in data.split(b"\n"):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                values.append(value)
    return values


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Every object of a JSON-lines file; empty when there is no such file."""
    try:
        return json_lines(path.read_bytes())
    except OSError:
        return []


def tail_bytes(path: Path, limit: int = _TAIL_BYTES) -> bytes:
    """The last ``limit`` bytes of a file, from the start of a line on; empty when there is no such file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - limit)
            file.seek(start)
            data = file.read(limit)
    except OSError:
        return b""
    return data if start == 0 else data.partition(b"\n")[2]


def tail_lines(path: Path) -> list[dict[str, Any]]:
    """The last objects of a JSON-lines file, oldest first, without reading the rest."""
    return json_lines(tail_bytes(path))
