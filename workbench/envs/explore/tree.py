"""A repository as an immutable tree in memory: nothing outside it exists, so nothing outside it can be reached."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

KINDS: dict[str, frozenset[str]] = {
    "code": frozenset({".py", ".c", ".cpp", ".cxx", ".cc", ".h", ".hpp", ".hxx", ".cs", ".java", ".go", ".ipynb"}),
    "data": frozenset({".csv", ".tsv"}),
    "text": frozenset({".txt", ".md", ".rst", ".json", ".yaml", ".yml"}),
    "shell": frozenset({".sh", ".bash", ".zsh"}),
}
"""The suffixes that a file may be identified by (Reflect-RL's code, section 6.1 of our notes), by kind."""

SHOWN_LINES = {"code": 1000, "data": 5, "text": 100, "shell": 10}
SHOWN_CHARACTERS = 2000
"""The paper shows 500 tokens of a file; a token is about four characters."""
EDGE_LINES = 10
"""What ``head`` and ``tail`` show."""
CUT = "\n[the rest is not shown]"


def kind_of(name: str) -> str | None:
    """``code``, ``data``, ``text`` or ``shell`` by the suffix; None for any other file."""
    suffix = PurePosixPath(name).suffix.lower()
    return next((kind for kind, suffixes in KINDS.items() if suffix in suffixes), None)


def one_line(name: str) -> str:
    """``name`` with every character that cannot be shown on one line written as an escape; different names stay different."""
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(char if char.isprintable() and char != "\\" else _escape(char) for char in name)


def _escape(char: str) -> str:
    code = ord(char)
    if char == "\\":
        return "\\\\"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str) -> str:
    """``text`` without control characters other than line ends; tabs become four spaces."""
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    if text.replace("\n", "").isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


@dataclass(frozen=True, eq=False)
class File:
    """A readable file of a known kind.

    Attributes:
        name: Shown name, on one line.
        path: Shown path from the root, such as ``shop/billing/fees.py``.
        text: Its beginning, as much as was kept; the whole of a short file.
        ending: Its last part where ``text`` is not the whole, else empty.
    """

    name: str
    path: str
    text: str
    ending: str = ""

    @property
    def depth(self) -> int:
        """Folders between the root and the file."""
        return self.path.count("/")

    @cached_property
    def commands(self) -> tuple[str, str, str, str]:
        """``cat``, ``head``, ``tail`` and ``id`` of this file from its own folder."""
        quoted = shlex.quote(self.name)
        return f"cat {quoted}", f"head {quoted}", f"tail {quoted}", f"id {quoted}"

    @cached_property
    def shown(self) -> str:
        """What ``cat`` shows: the lines that the kind allows, at most 2,000 characters, then a notice where something is missing."""
        lines = SHOWN_LINES[kind_of(self.name) or "shell"]
        return _cut(self.text, lines, whole=not self.ending)

    @cached_property
    def first_line(self) -> str:
        """The first line with a word in it; empty where there is none."""
        lines = printable(self.text[:SHOWN_CHARACTERS]).split("\n")
        return next((line.strip() for line in lines if any(map(str.isalnum, line))), "")

    def head(self) -> str:
        """The first ten lines, at most 2,000 characters."""
        return _cut(self.text, EDGE_LINES, whole=not self.ending)

    def tail(self) -> str:
        """The last ten lines, at most 2,000 characters."""
        end = (self.ending or self.text)[-4 * SHOWN_CHARACTERS :]
        return "\n".join(printable(end).rstrip("\n").split("\n")[-EDGE_LINES:])[-SHOWN_CHARACTERS:]


def _cut(text: str, lines: int, *, whole: bool) -> str:
    # Only what can be shown is looked at: a line may be megabytes long.
    part = printable(text[: 4 * SHOWN_CHARACTERS])
    kept = "\n".join(part.split("\n", lines)[:lines])[:SHOWN_CHARACTERS]
    complete = whole and len(text) <= 4 * SHOWN_CHARACTERS and kept.rstrip("\n") == part.rstrip("\n")
    return kept.rstrip("\n") + ("" if complete else CUT)


@dataclass(frozen=True, eq=False)
class Folder:
    """A folder with its entries, each sorted by name.

    Attributes:
        name: Shown name, empty for the root.
        path: Path from the root with a slash at its end, empty for the root.
        folders: Folders in it.
        files: Files in it.
    """

    name: str
    path: str
    folders: tuple["Folder", ...]
    files: tuple[File, ...]

    @cached_property
    def command(self) -> str:
        """``cd`` into this folder from the one above."""
        return f"cd {shlex.quote(self.name)}"

    @cached_property
    def moves(self) -> tuple[str, ...]:
        """Every ``cd`` from here."""
        up = ("cd ..",) if self.path else ()
        return up + tuple(folder.command for folder in self.folders)

    @cached_property
    def listing(self) -> str:
        """Names of the entries, folders first and with a slash."""
        return names_of(self.folders, self.files)


def names_of(folders: Iterable[Folder], files: Iterable[File]) -> str:
    """The entries of a listing on one line; names are quoted as in a command."""
    return " ".join([*(f"{shlex.quote(folder.name)}/" for folder in folders), *(shlex.quote(file.name) for file in files)])


@dataclass(frozen=True, eq=False)
class Tree:
    """A repository.

    Attributes:
        root: The top folder.
        folders: Every folder by its path, which ends in a slash; the root's is empty.
        files: Every file by its path.
    """

    root: Folder
    folders: Mapping[str, Folder]
    files: Mapping[str, File]

    def parent(self, folder: Folder) -> Folder:
        """The folder above; the root's is the root."""
        return self.folders[parent_path(folder.path)]

    def home(self, file: File) -> Folder:
        """The folder that a file lies in."""
        return self.folders[file.path[: len(file.path) - len(file.name)]]


def parent_path(path: str) -> str:
    """Path of the folder above a folder's ``path``."""
    head, slash, _ = path.rstrip("/").rpartition("/")
    return head + slash


def is_name(name: str) -> bool:
    """True for what can be the name of one entry: not empty, and neither a way up nor a way through."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def build_tree(contents: Mapping[tuple[str, ...], tuple[str, str]], *, commands_per_file: int = 2, limit: int = 252) -> Tree:
    """The tree of some files.

    A folder keeps no more entries than can be offered as commands: its first 100 folders by name, then the first files
    by name that still fit. What does not fit, and what has no proper name, is not part of the tree, so no task is about it.

    Args:
        contents: Beginning and ending of every file's text by the names on its way, folders first.
        commands_per_file: Commands that are offered for one file.
        limit: Commands that can be offered in one folder.
    """
    below: dict[tuple[str, ...], dict[str, set[str]]] = {(): {"folders": set(), "files": set()}}
    for names in contents:
        if not names or not all(map(is_name, names)):
            continue
        for depth in range(1, len(names)):
            below.setdefault(names[: depth - 1], {"folders": set(), "files": set()})["folders"].add(names[depth - 1])
        below.setdefault(names[:-1], {"folders": set(), "files": set()})["files"].add(names[-1])
    folders: dict[str, Folder] = {}
    files: dict[str, File] = {}

    def build(way: tuple[str, ...], path: str) -> Folder:
        # A name cannot be both; the folder wins, as it holds more.
        inner = sorted(below[way]["folders"])[:100]
        leaves = sorted(below[way]["files"] - below[way]["folders"])[: max((limit - 2 - len(inner)) // commands_per_file, 0)]
        here = Folder(
            name=one_line(way[-1]) if way else "",
            path=path,
            folders=tuple(build((*way, name), f"{path}{one_line(name)}/") for name in inner),
            files=tuple(File(one_line(name), path + one_line(name), *contents[(*way, name)]) for name in leaves),
        )
        folders[path] = here
        files.update((file.path, file) for file in here.files)
        return here

    root = build((), "")
    return Tree(root, folders, dict(sorted(files.items())))
