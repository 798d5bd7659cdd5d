"""The six commands of AutoExplore, carried out on a tree in memory: no process, no working directory, no copy."""

import shlex
from collections.abc import Callable
from typing import NamedTuple

from workbench.envs.explore.tree import File, Folder, Tree, names_of

COMMANDS = ("cd", "cat", "head", "tail", "ls", "id")
LONGEST_COMMAND = 4096


class Result(NamedTuple):
    """What a command gave."""

    text: str
    """One or more lines; after ``Error: `` or ``Warning: `` where the command did nothing."""
    problem: str = ""
    """``error`` for a command that failed, ``warning`` for one that is not known, else empty."""
    read: File | None = None
    """The file that was shown."""
    whole: bool = False
    """True where it was shown by ``cat``, and not its beginning or end alone."""
    identified: File | None = None
    """The file that was named as the answer."""


class Shell:
    """A place in a tree.

    Args:
        tree: The repository.
        hides: Tells by its path what is treated as if it did not exist; nothing when None.
    """

    def __init__(self, tree: Tree, hides: Callable[[str], bool] | None = None) -> None:
        self.tree = tree
        self.folder = tree.root
        self._hides = hides

    def entries(self, folder: Folder) -> tuple[tuple[Folder, ...], tuple[File, ...]]:
        """Folders and files that can be seen in ``folder``."""
        if self._hides is None:
            return folder.folders, folder.files
        folders = tuple(inner for inner in folder.folders if not self._hides(inner.path))
        return folders, tuple(file for file in folder.files if not self._hides(file.path))

    def listing(self, folder: Folder) -> str:
        """Names of what can be seen in ``folder``, on one line."""
        return folder.listing if self._hides is None else names_of(*self.entries(folder))

    def execute(self, command: str) -> Result:
        """Carry out any text; whatever cannot be carried out changes nothing and says why."""
        try:
            words = _words(command) if len(command) <= LONGEST_COMMAND else []
        except ValueError:
            return _error("a quote is not closed")
        if not words or words[0] not in COMMANDS:
            return Result(f"Warning: unknown command; the commands are {', '.join(COMMANDS)}", problem="warning")
        verb, arguments = words[0], words[1:]
        if verb == "ls" and not arguments:
            arguments = ["."]
        if len(arguments) != 1:
            return _error(f"{verb} takes one name, found {len(arguments)}")
        found = self._find(arguments[0])
        if isinstance(found, str):
            return _error(found)
        return self._enter(verb, found) if isinstance(found, Folder) else _look(verb, found)

    def _enter(self, verb: str, folder: Folder) -> Result:
        if verb == "cd":
            self.folder = folder
            return Result("")
        return Result(self.listing(folder)) if verb == "ls" else _error(f"{verb} takes a file, found a folder")

    def _find(self, path: str) -> Folder | File | str:
        """What ``path`` names, seen from here, or why it names nothing; names are compared with the shown ones, letter by letter."""
        if path.startswith("/"):
            return "paths start at the present folder, not at /"
        here: Folder | File = self.folder
        for name in path.split("/"):
            if isinstance(here, File):
                return "a file has nothing below it"
            if name == ".." and not here.path:
                return "the path leaves the repository"
            following = self._child(here, name)
            if following is None:
                return "no such file or folder"
            here = following
        return here

    def _child(self, folder: Folder, name: str) -> Folder | File | None:
        if name in ("", "."):
            return folder
        if name == "..":
            return self.tree.parent(folder)
        path = folder.path + name
        found = self.tree.folders.get(path + "/") or self.tree.files.get(path)
        return None if found is None or (self._hides is not None and self._hides(found.path)) else found


def _words(command: str) -> list[str]:
    # Parsing quotes takes longer than all the rest of a step, and few commands have any.
    return shlex.split(command) if any(mark in command for mark in "'\"\\") else command.split()


def _look(verb: str, file: File) -> Result:
    if verb == "cd":
        return _error("cd takes a folder, found a file")
    if verb == "id":
        return Result("", identified=file)
    if verb == "ls":
        return Result(shlex.quote(file.name))
    text = file.shown if verb == "cat" else file.head() if verb == "head" else file.tail()
    return Result(text, read=file, whole=verb == "cat")


def _error(reason: str) -> Result:
    return Result(f"Error: {reason}", problem="error")
