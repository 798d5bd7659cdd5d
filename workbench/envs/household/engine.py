"""The real engine (alfworld and textworld, an optional extra) behind the twin's interface; imported only when asked for."""

import importlib
import os
import sys
import tempfile
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

from workbench.envs.household.game import Game
from workbench.envs.household.game_file import game_file
from workbench.errors import EnvError

INSTALL = "pip install 'text-agent-workbench[alfworld]' (Linux on x86-64, Python 3.11 or 3.12, with a C++ compiler)"


def engine_is_installed() -> bool:
    """Whether the real engine can be imported; nothing is imported to find out."""
    return all(util.find_spec(name) is not None for name in ("alfworld", "textworld", "fast_downward"))


@cache
def engine_texts() -> tuple[str, str]:
    """PDDL domain and text grammar from the installed alfworld package.

    Raises:
        EnvError: It is not installed.
    """
    spec = util.find_spec("alfworld")
    if spec is None or not spec.submodule_search_locations:
        raise EnvError(f"household: the real engine is not installed; {INSTALL}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    domain, grammar = ((folder / name).read_text(encoding="utf-8") for name in ("alfred.pddl", "alfred.twl2"))
    return domain, grammar


class Engine:
    """One real environment; ``begin`` loads a game and ``act`` plays it.

    A dropped engine leaks memory and each holds a copy of a shared library, so keep one and begin again. It must not be
    used from several threads.
    """

    def __init__(self) -> None:
        """Start the engine.

        Raises:
            EnvError: The extra is not installed, or does not work here.
        """
        if not engine_is_installed():
            raise EnvError(f"household: engine='textworld' needs the real engine, which is not installed; {INSTALL}")
        self._env = _started()
        self._loaded: Game | None = None
        self._state: Any = None

    def begin(self, game: Game) -> str:
        """Start a game; gives the engine's introduction.

        Raises:
            EnvError: The engine cannot play the game.
        """
        # Its translator writes into sys.argv.
        arguments = sys.argv[:]
        try:
            if game is not self._loaded:
                self._loaded = None
                self._load(game)
            self._state = self._env.reset()
        # Whatever its parsers raise, SystemExit included, the game is what is wrong.
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
            raise EnvError(f"household: the real engine cannot play {game.task}: {reason}; use engine='twin'") from error
        finally:
            sys.argv[:] = arguments
        self._loaded = game
        return str(self._state.feedback)

    def _load(self, game: Game) -> None:
        domain, grammar = engine_texts()
        # The engine wants a file name, and keeps nothing of the file.
        handle, path = tempfile.mkstemp(suffix=".tw-pddl")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(game_file(game, domain=domain, grammar=grammar, walkthrough=[]))
            self._env.load(path)
        finally:
            os.unlink(path)

    def act(self, command: str) -> str:
        """Carry out a command; gives the reply."""
        self._state, _, _ = self._env.step(command)
        return str(self._state.feedback)

    def commands(self) -> tuple[str, ...]:
        """The admissible commands in alphabetical order."""
        return tuple(self._state["admissible_commands"])

    def won(self) -> bool:
        """Whether the task is solved."""
        return bool(self._state["won"])


def _started() -> Any:
    # alfworld makes a folder for downloads when it is imported, unless it is told of one.
    given = os.environ.get("ALFWORLD_DATA")
    os.environ["ALFWORLD_DATA"] = given or tempfile.gettempdir()
    try:
        textworld = importlib.import_module("textworld")
        alfworld = importlib.import_module("alfworld.agents.environment.alfred_tw_env")

        return alfworld.AlfredDemangler(textworld.envs.PddlEnv(textworld.EnvInfos(admissible_commands=True, won=True)))
    except Exception as error:
        raise EnvError(f"household: the real engine does not start: {type(error).__name__}: {str(error)[:120]}; {INSTALL}") from error
    finally:
        if given is None:
            del os.environ["ALFWORLD_DATA"]
