"""The environment contract: a ``gymnasium.Env`` whose observations and actions are text.

Subclass :class:`TextEnv` and implement what it leaves abstract; give it ``oracle`` where you can, and ``snapshot`` and ``restore``
where playing a trajectory again is too slow. ``workbench.envs.checker.check_text_env`` proves the contract for any class.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import gymnasium

from workbench.envs.spaces import AnyText, CommandText
from workbench.errors import EnvError, nearest

Info = dict[str, Any]


class Outcome(NamedTuple):
    """What one command did."""

    reward: float
    """Environment units."""
    terminated: bool
    """The task is over: solved, or failed for good."""


class TextEnv(gymnasium.Env[str, str]):
    """A seeded text world.

    ``reset(seed=, options={"task", "stage"})`` returns ``(observation, info)`` and ``step(command)`` returns
    ``(observation, reward, terminated, truncated, info)``. The observation never contains the list of
    commands. ``info`` holds:

    - ``admissible_commands``: what can be done now, in a fixed order (absent when the answer is free text);
    - ``success``: True once the task is solved; set here, never derived from a return;
    - ``state_key``: identifies the state, so that two trajectories can be aligned;
    - ``task``, ``stage``: what is being played; ``task_statement``: the instruction, shown first in every
      prompt and never shortened.

    All randomness comes from the seed given to ``reset``.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012 - Gymnasium's own declaration
    name: ClassVar[str] = "text"
    stages: ClassVar[tuple[str, ...]] = ("full",)
    """Easiest first; the last is the whole task."""
    free_text: ClassVar[bool] = False
    """True where a command is any text; `admissible_commands` is then empty and left out of `info`."""

    def __init__(self, *, horizon: int = 20, render_mode: str | None = None) -> None:
        """``horizon`` is the number of turns after which a trajectory is truncated.

        Raises:
            EnvError: ``horizon`` is below 1.
        """
        if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
            raise EnvError(f"{self.name}: horizon must be a whole number of at least 1, found {horizon!r}")
        self.horizon = horizon
        self.render_mode = render_mode
        self.observation_space = AnyText()
        self.action_space = CommandText(self.admissible_commands)
        self.task = ""
        self.stage = self.stages[-1]
        self.turns_taken = 0
        self.success = False
        self._over = True
        self._origin: dict[str, Any] = {}
        self._trail: list[str] = []

    # What a subclass provides -------------------------------------------------------------------------

    @abstractmethod
    def tasks(self, stage: str) -> Sequence[str]:
        """Every task of ``stage``, in a fixed order."""

    @abstractmethod
    def _begin(self, task: str, stage: str) -> None:
        """Put the world into the start state of ``task``; draw randomness from ``self.np_random`` only."""

    @abstractmethod
    def _act(self, command: str) -> Outcome:
        """Carry out an admissible command; set ``self.success`` when the task is solved."""

    @abstractmethod
    def observe(self) -> str:
        """The state in words, without the list of commands."""

    @abstractmethod
    def admissible_commands(self) -> tuple[str, ...]:
        """What can be done now, in a fixed order."""

    @abstractmethod
    def state_key(self) -> str:
        """Identifies the state: equal keys, equal futures (time left aside)."""

    @abstractmethod
    def task_statement(self) -> str:
        """The instruction for the current task."""

    def task_group(self, task: str) -> str:
        """What ``task`` shares with others that must not be split between training and test, such as its repository or room."""
        return task

    def snapshot(self) -> dict[str, Any]:
        """Everything ``restore`` needs to continue from here, as JSON values; unless overridden, the seed and every command so far.

        Raises:
            EnvError: No trajectory was begun, or ``reset`` or ``step`` is overridden and keeps no account of it.
        """
        if not self._origin or len(self._trail) != self.turns_taken:
            raise EnvError(f"{self.name}: this environment cannot be branched here; call reset() first, or define snapshot() and restore()")
        return {**self._origin, "commands": list(self._trail)}

    def restore(self, snapshot: dict[str, Any]) -> tuple[str, Info]:
        """Return to a state that ``snapshot`` described; gives its observation and info. Unless overridden, it is played again.

        Raises:
            EnvError: ``snapshot`` is not one of this environment's.
        """
        try:
            dice, commands = snapshot["dice"], snapshot["commands"]
            if not isinstance(dice, int):
                self.np_random.bit_generator.state = dice
            self.reset(seed=dice if isinstance(dice, int) else None, options=snapshot["options"])
            for command in commands:
                self.step(command)
        # It may come from a file: whatever is wrong with it is told in one line.
        except (KeyError, TypeError, ValueError) as error:
            self._over = True
            raise EnvError(f"{self.name}: this snapshot cannot be restored: {error}; take one with snapshot()") from None
        return self.observe(), self._info()

    def oracle(self) -> list[str] | None:
        """A shortest sequence of commands that solves the task from here, or None when unknown."""
        return None

    # The Gymnasium interface --------------------------------------------------------------------------

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, Info]:
        """Start a trajectory; ``options`` may name the ``task`` and the ``stage``.

        Raises:
            EnvError: An option, stage or task is unknown.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        # Without a seed the dice go on from where they are, so that a replay has to know their state.
        self._origin = {"dice": self.np_random.bit_generator.state if seed is None else seed, "options": dict(options)}
        self._trail = []
        stage = options.pop("stage", None) or self.stages[-1]
        task = options.pop("task", None)
        if options:
            raise EnvError(f"{self.name}: unknown reset option {next(iter(options))!r}; known: stage, task")
        if stage not in self.stages:
            raise EnvError(f"{self.name}: unknown stage {stage!r}; {nearest(str(stage), self.stages)}")
        tasks = self.tasks(stage)
        if task is None:
            task = tasks[int(self.np_random.integers(len(tasks)))]
        self.task, self.stage = task, stage
        # Over until the task has begun: one that _begin refuses cannot be played.
        self.turns_taken, self.success, self._over = 0, False, True
        self._begin(task, stage)
        self._over = False
        return self.observe(), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """Carry out one command.

        Raises:
            EnvError: The trajectory is over, or the command is not admissible here.
        """
        if self._over:
            raise EnvError(f"{self.name}: the trajectory is over; call reset() before the next step()")
        known = self.admissible_commands()
        if not (self.free_text and isinstance(action, str)) and action not in known:
            raise EnvError(f"{self.name}: {action!r} is not admissible here; {nearest(str(action), known)}")
        outcome = self._act(action)
        self.turns_taken += 1
        self._trail.append(action)
        truncated = not outcome.terminated and self.turns_taken >= self.horizon
        self._over = outcome.terminated or truncated
        return self.observe(), float(outcome.reward), outcome.terminated, truncated, self._info()

    def render(self) -> str:
        """The observation, for people."""
        return self.observe()

    def _info(self) -> Info:
        return {
            **({} if self.free_text else {"admissible_commands": self.admissible_commands()}),
            "success": self.success,
            "state_key": self.state_key(),
            "task": self.task,
            "stage": self.stage,
            "task_statement": self.task_statement(),
        }
