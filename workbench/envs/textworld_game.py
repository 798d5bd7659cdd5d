"""TextWorld games as a ``TextEnv``; TextWorld itself is imported only when a game is begun.

workbench play workbench.envs.textworld_game:TextWorldGames --set env.options.games=[first.z8,second.z8]
"""

import hashlib
import importlib
import re
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any, ClassVar

from workbench.envs.text_env import Outcome, TextEnv
from workbench.errors import EnvError, nearest

INSTALL = "pip install textworld (Linux or macOS)"
_ASKED = ("admissible_commands", "description", "facts", "inventory", "lost", "objective", "policy_commands", "score", "won")
_PROMPT_LINE = re.compile(r"\n>\s[^\n]*\Z")
"""What the interpreter prints below its answer: the sign for typing, and the room with score and moves."""


class TextWorldGames(TextEnv):
    """Games that TextWorld has made (``tw-make``), each a task by the name of its file.

    Rewards are what the score of the game rises by; it is solved when it is won, and over when it is won or lost. The oracle is TextWorld's
    own plan: from the start the game's walkthrough, after a detour a way back onto it, which need not be a shortest one.
    """

    name: ClassVar[str] = "textworld"

    def __init__(self, *, games: Sequence[str] | str, horizon: int = 50, render_mode: str | None = None) -> None:
        """Find the games.

        Args:
            games: A folder with ``.z8`` files, or the files; each has its ``.json`` beside it, as TextWorld writes them.
            horizon: Turns after which a trajectory is truncated.
            render_mode: As in every ``TextEnv``.

        Raises:
            EnvError: TextWorld is not installed, or a game is missing or not one of TextWorld's.
        """
        super().__init__(horizon=horizon, render_mode=render_mode)
        if util.find_spec("textworld") is None:
            raise EnvError(f"{self.name}: TextWorld is not installed; {INSTALL}")
        self._games = _found(games)
        self._engine: Any = None
        self._loaded = ""
        self._state: Any = None
        self._answer = ""
        self._points: list[str] = []

    def tasks(self, stage: str) -> Sequence[str]:
        """The games by name."""
        return tuple(self._games)

    def _begin(self, task: str, stage: str) -> None:
        if task not in self._games:
            raise EnvError(f"{self.name}: unknown task {task!r}; {nearest(str(task), list(self._games)[:5])}")
        if task != self._loaded:
            self.close()
            self._engine = _started(self._games[task])
            self._loaded = task
        self._state, self._answer, self._points = self._engine.reset(), "", []

    def _act(self, command: str) -> Outcome:
        before = int(self._state["score"] or 0)
        self._state, score, _ = self._engine.step(command)
        self._answer = _tidy(self._state["feedback"])
        if score != before:
            self._points.append(f"{score}:{command}")
        self.success = bool(self._state["won"])
        return Outcome(float(score - before), terminated=self.success or bool(self._state["lost"]))

    def observe(self) -> str:
        """What the last command brought, the room and what is carried; none of it twice."""
        parts: list[str] = []
        for text in (self._answer, _tidy(self._state["description"]), _tidy(self._state["inventory"])):
            if text and not any(text in earlier for earlier in parts):
                parts.append(text)
        return "\n".join(parts)

    def admissible_commands(self) -> tuple[str, ...]:
        """TextWorld's own list, sorted."""
        return tuple(self._state["admissible_commands"]) if self._state else ()

    def state_key(self) -> str:
        """The game, a digest of the facts of its world, and what has brought points, which are given only once."""
        facts = "\n".join(sorted(map(str, self._state["facts"])))
        return "/".join([self.task, hashlib.sha256(facts.encode()).hexdigest()[:16], *self._points])

    def task_statement(self) -> str:
        """The objective of the game."""
        return _tidy(self._state["objective"])

    def oracle(self) -> list[str] | None:
        """TextWorld's plan from here; None where it has none."""
        if self.success:
            return []
        return list(self._state["policy_commands"] or ()) or None if self._state else None

    def close(self) -> None:
        """End the interpreter."""
        if self._engine is not None:
            self._engine.close()
        self._engine, self._loaded, self._state = None, "", None


def _found(games: Sequence[str] | str) -> dict[str, Path]:
    name = TextWorldGames.name
    files = sorted(Path(games).glob("*.z8")) if isinstance(games, str) else [Path(game) for game in games]
    if not files:
        raise EnvError(f"{name}: no .z8 file in {games!r}; give a folder that holds some, or a list of files; tw-make makes games")
    for file in files:
        if file.suffix != ".z8" or not file.is_file():
            raise EnvError(f"{name}: {str(file)!r} is no .z8 file; give a folder that holds some, or a list of files")
        if not file.with_suffix(".json").is_file():
            raise EnvError(f"{name}: {str(file)!r} has no .json beside it; what can be done is known only of games that TextWorld has made")
    found = {file.stem: file for file in files}
    if len(found) < len(files):
        raise EnvError(f"{name}: two games have one name; found {sorted(file.stem for file in files)}")
    return found


def _started(file: Path) -> Any:
    try:
        textworld = importlib.import_module("textworld")
        return textworld.start(str(file), textworld.EnvInfos(**dict.fromkeys(_ASKED, True)))
    # A file may be anything, and so may what the engine raises about it.
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise EnvError(f"{TextWorldGames.name}: {str(file)!r} cannot be played: {reason}; {INSTALL}") from error


def _tidy(text: str | None) -> str:
    lines = _PROMPT_LINE.sub("", text or "").split("\n")
    return "\n".join(line.strip() for line in lines if line.strip())
