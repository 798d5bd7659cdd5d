"""Reads a folder or an archive into memory, once; nothing is extracted, followed or run.

Links, devices and whatever else is no plain file are passed over, as are names and files that the paper's filter drops:
hidden ones, tests and licences, unknown suffixes, text that is not UTF-8, shorter than ten characters or less than 90 % ASCII
(Reflect-RL's code, ``filter_repo``; here a name has to be equal, where the original looked for parts of names and so dropped
``pricing`` for its ``ci``).
"""

import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from workbench.envs.explore.tree import is_name, kind_of
from workbench.errors import EnvError

Contents = dict[tuple[str, ...], tuple[str, str]]
"""Beginning and ending of every file by the names on its way."""

HEAD_BYTES = 16_384
TAIL_BYTES = 4_096
MOST_FILES = 200_000
MOST_BYTES = 1 << 28
"""Kept in memory, all files together."""
MOST_ENTRIES = 2_000_000
MOST_ARCHIVED_BYTES = 1 << 32
"""Said by an archive of its members, all together: one that says more is not unpacked."""
DEEPEST = 40
LONGEST_NAME = 255
SHORTEST_TEXT = 10
ASCII_SHARE = 0.9

# The last line is of other people's code, which lies in a folder but is no part of it.
_DROPPED = frozenset(
    {"license", "licence", "copying", "makefile", "artwork", "requirements", "ci", "test", "tests", "examples", "out", "conf.py"}
    | {"site-packages", "dist-packages", "node_modules"}
)

# RuntimeError and its NotImplementedError are zipfile's words for a password and for a method it lacks.
_DAMAGE = (
    *(OSError, ValueError, RuntimeError, EOFError, OverflowError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
)


def read_source(path: Path) -> Contents:
    """The usable files of a folder, or of a zip or tar archive.

    Raises:
        EnvError: There is no such folder or archive, it is damaged, or it holds too much.
    """
    try:
        if path.is_dir():
            found = _collect(_folder_files(path))
        elif not path.is_file():
            raise EnvError(f"explore: source {str(path)!r} is no folder and no archive; give a folder, a zip or a tar file")
        elif zipfile.is_zipfile(path):
            found = _read_zip(path)
        elif tarfile.is_tarfile(path):
            found = _read_tar(path)
        else:
            raise EnvError(f"explore: source {str(path)!r} is a file but no zip or tar archive; give a folder, a zip or a tar file")
    except _DAMAGE as error:
        raise EnvError(
            f"explore: source {str(path)!r} cannot be read: {str(error).partition(chr(10))[0] or type(error).__name__}"
        ) from None
    if not found:
        raise EnvError(f"explore: source {str(path)!r} holds no readable code, text, data or shell file; give another folder")
    return found


def usable_name(name: str, *, is_file: bool) -> bool:
    """True for a name that may be part of a tree."""
    if not is_name(name) or len(name) > LONGEST_NAME or name[0] in "._" or name.lower() in _DROPPED:
        return False
    return not is_file or (kind_of(name) is not None and name.lower().rpartition(".")[0] not in _DROPPED)


def _usable_way(names: tuple[str, ...]) -> bool:
    folders = all(usable_name(name, is_file=False) for name in names[:-1])
    return 0 < len(names) <= DEEPEST and folders and usable_name(names[-1], is_file=True)


def _collect(files: Iterator[tuple[tuple[str, ...], bytes, bytes]]) -> Contents:
    found: Contents = {}
    kept = 0
    for names, head, tail in files:
        texts = _texts(head, tail)
        if texts is None:
            continue
        # An archive may name a file twice; the first counts.
        found.setdefault(names, texts)
        kept += len(head) + len(tail)
        if kept > MOST_BYTES or len(found) > MOST_FILES:
            raise EnvError(f"explore: the source holds more than {MOST_FILES:,} files or {MOST_BYTES >> 20} MiB; give a folder inside it")
    return found


def _texts(head: bytes, tail: bytes) -> tuple[str, str] | None:
    """Both parts as text; None where the paper's filter drops the file."""
    if b"\0" in head or b"\0" in tail:
        return None
    try:
        # Up to three bytes at a cut may belong to a character that lies across it.
        text = head.decode("utf-8-sig") if not tail else _whole(head)
    except UnicodeDecodeError:
        return None
    if len(text) < SHORTEST_TEXT or sum(map(str.isascii, text)) < ASCII_SHARE * len(text):
        return None
    return text, tail.decode("utf-8", errors="replace")


def _whole(head: bytes) -> str:
    for cut in range(4):
        try:
            return head[: len(head) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            if cut == 3:
                raise
    raise AssertionError  # the loop returns or raises


def _folder_files(root: Path) -> Iterator[tuple[tuple[str, ...], bytes, bytes]]:
    waiting: list[tuple[tuple[str, ...], str]] = [((), os.fspath(root))]
    seen = 0
    while waiting:
        way, folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            if not way:
                raise
            continue  # a folder that may not be looked into is as if empty
        seen += len(entries)
        if seen > MOST_ENTRIES:
            raise EnvError(f"explore: the source holds more than {MOST_ENTRIES:,} entries; give a folder inside it")
        for entry in entries:
            names = (*way, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if len(names) < DEEPEST and usable_name(entry.name, is_file=False):
                    waiting.append((names, entry.path))
            elif entry.is_file(follow_symlinks=False) and usable_name(entry.name, is_file=True):
                ends = _file_ends(entry.path)
                if ends is not None:
                    yield names, *ends


def _file_ends(path: str) -> tuple[bytes, bytes] | None:
    # Between looking and opening, a file may be replaced by a link or a pipe.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return None
        head = file.read(HEAD_BYTES)
        if status.st_size <= HEAD_BYTES:
            return head, b""
        file.seek(max(status.st_size - TAIL_BYTES, HEAD_BYTES))
        return head, file.read(TAIL_BYTES)


def _read_zip(path: Path) -> Contents:
    def members() -> Iterator[tuple[tuple[str, ...], bytes, bytes]]:
        with zipfile.ZipFile(path) as archive:
            _check_size(sum(info.file_size for info in archive.infolist()), len(archive.infolist()))
            for info in archive.infolist():
                names = _way(info.filename)
                if not info.is_dir() and _usable_way(names) and not stat.S_ISLNK(info.external_attr >> 16):
                    with archive.open(info) as file:
                        yield names, *_stream_ends(file)

    return _collect(members())


def _read_tar(path: Path) -> Contents:
    def members() -> Iterator[tuple[tuple[str, ...], bytes, bytes]]:
        size = count = 0
        with tarfile.open(path) as archive:
            for member in archive:
                size, count = size + member.size, count + 1
                _check_size(size, count)
                names = _way(member.name)
                file = archive.extractfile(member) if member.isreg() and _usable_way(names) else None
                if file is not None:
                    yield names, *_stream_ends(file)

    return _collect(members())


def _check_size(size: int, entries: int) -> None:
    if size > MOST_ARCHIVED_BYTES or entries > MOST_ENTRIES:
        raise EnvError(
            f"explore: the archive unpacks to more than {MOST_ARCHIVED_BYTES >> 30} GiB or {MOST_ENTRIES:,} entries; give a smaller one"
        )


def _way(name: str) -> tuple[str, ...]:
    """Names on the way to a member; an absolute one begins with an empty name, which no tree takes."""
    return tuple(name.removeprefix("./").split("/"))


def _stream_ends(file: IO[bytes]) -> tuple[bytes, bytes]:
    head = file.read(HEAD_BYTES)
    tail = b""
    # Read on in small parts: what an archive says of a size need not be true.
    read = len(head)
    while part := file.read(1 << 16):
        tail = (tail + part)[-TAIL_BYTES:]
        read += len(part)
        _check_size(read, 1)
    return head, tail
