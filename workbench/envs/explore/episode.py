"""One trajectory of AutoExplore: where the player is, what was read and done, and the way to the right file."""

from collections.abc import Callable

from workbench.envs.explore.shell import Result, Shell
from workbench.envs.explore.tasks import Task
from workbench.envs.explore.tree import File, Folder, parent_path

FIRST_LINE = 60
"""Characters of a shown file's first line in the compact observation."""


class Episode:
    """The changing part of the world.

    Args:
        task: What is asked of which repository.
        draw: Number that decides what is left out.
        hides: Tells by its path what is left out; nothing when None.
        every_command: Offer ls, head and tail too.
        identify_unread: Offer ``id`` for files that were not read.
    """

    def __init__(self, task: Task, draw: int, hides: Callable[[str], bool] | None, *, every_command: bool, identify_unread: bool) -> None:
        self.task = task
        self.draw = draw
        self.shell = Shell(task.repository.tree, hides)
        self.read: dict[str, File] = {}
        self.typed: list[str] = []
        self.done: list[str] = []
        self.last = Result("")
        self._every_command = every_command
        self._identify_unread = identify_unread
        self._offered: tuple[str, ...] | None = None

    @property
    def target(self) -> File:
        """The file that answers the question."""
        return self.task.repository.tree.files[self.task.question.target]

    def execute(self, command: str) -> Result:
        """Carry out a command; one that did nothing is not part of the shown history, as in the paper."""
        self.last = self.shell.execute(command)
        self.typed.append(command)
        if not self.last.problem:
            self.done.append(command)
        if self.last.read is not None and self.last.whole:
            self.read[self.last.read.path] = self.last.read
        self._offered = None
        return self.last

    def commands(self) -> tuple[str, ...]:
        """What can be done here: cd, then ls, cat, head and tail, then id, each in the order of the listing."""
        if self._offered is None:
            self._offered = self._list_commands()
        return self._offered

    def _list_commands(self) -> tuple[str, ...]:
        here = self.shell.folder
        folders, files = self.shell.entries(here)
        offered = list(here.moves) if folders is here.folders else [*here.moves[: bool(here.path)], *(inner.command for inner in folders)]
        unread = [file.commands for file in files if file.path not in self.read]
        offered += ["ls"] if self._every_command else []
        offered += [commands[0] for commands in unread]
        if self._every_command:
            offered += [text for commands in unread for text in commands[1:3]]
        offered += [file.commands[3] for file in files if self._identify_unread or file.path in self.read]
        return tuple(offered)

    def plan(self, *, read_first: bool) -> list[str]:
        """The shortest commands from here that name the right file; it is read before where that is asked for or needed."""
        target, tree = self.target, self.task.repository.tree
        home, here = tree.home(target).path, self.shell.folder.path
        ups = 0
        while not home.startswith(here):
            here, ups = parent_path(here), ups + 1
        downs: list[Folder] = []
        while home != here:
            downs.append(tree.folders[home])
            home = parent_path(home)
        cat, _, _, name = target.commands
        unread = target.path not in self.read and (read_first or not self._identify_unread)
        return [*["cd .."] * ups, *(folder.command for folder in reversed(downs)), *([cat] if unread else []), name]

    def best_first_commands(self) -> set[str]:
        """The first commands of the shortest solutions, with and without reading."""
        return {self.plan(read_first=True)[0], self.plan(read_first=False)[0]}

    def key(self) -> str:
        """Equal for equal futures: the order of reading does not matter."""
        read = " ".join(sorted(self.read))
        return f"{self.task.id} {self.draw} at /{self.shell.folder.path} read {read}"

    def in_full(self) -> str:
        """The paper's observation: place, listing, history, result, each under its heading."""
        here = self.shell.folder
        parts = {
            "Working directory": here.path,
            "Files": self.shell.listing(here),
            "Command history": ", then ".join(self.done) or "none",
            "Result": self._result(),
        }
        return "\n".join(f"# {heading}\n{text}" for heading, text in parts.items())

    def _result(self) -> str:
        if not self.typed:
            return "none"
        return self.last.text if self.last.problem else f"Success: {self.last.text}".rstrip()

    def in_few_words(self) -> str:
        """Place, listing, files read here, and the first line of what was shown last."""
        here = self.shell.folder
        lines = [f"At: {here.path or '/'}", f"Here: {self.shell.listing(here)}"]
        read = [file.name for file in here.files if file.path in self.read]
        if read:
            lines.append(f"Read: {' '.join(read)}")
        if self.last.problem:
            lines.append(self.last.text[:FIRST_LINE])
        elif self.last.read is not None:
            lines.append(f"Says: {self.last.read.first_line[:FIRST_LINE]}")
        return "\n".join(lines)
