"""A tiny environment of one's own: walk along a chain to the goal; the other end is fatal.

Tests name it as ``tests.chain_world:ChainWorld``, as a person would name theirs.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from workbench.envs.text_env import Info, Outcome, TextEnv
from workbench.errors import EnvError, nearest


class ChainWorld(TextEnv):
    """Positions 0 (a cliff) to ``length - 1`` (the goal); a task ``start-2`` begins at position 2."""

    name: ClassVar[str] = "chain"
    stages: ClassVar[tuple[str, ...]] = ("short", "long")

    def __init__(self, *, length: int = 6, horizon: int = 12, render_mode: str | None = None) -> None:
        super().__init__(horizon=horizon, render_mode=render_mode)
        if length < 5:
            raise EnvError(f"chain: length must be at least 5, found {length}")
        self.length = length
        self.position = 1

    def tasks(self, stage: str) -> Sequence[str]:
        """``short`` starts within two steps of the goal, ``long`` anywhere."""
        first = self.length - 3 if stage == "short" else 1
        return tuple(f"start-{position}" for position in range(first, self.length - 1))

    def _begin(self, task: str, stage: str) -> None:
        known = self.tasks(stage)
        if task not in known:
            raise EnvError(f"chain: unknown task {task!r}; {nearest(str(task), known)}")
        self.position = int(task.removeprefix("start-"))

    def _act(self, command: str) -> Outcome:
        self.position += 1 if command == "right" else -1
        self.success = self.position == self.length - 1
        if self.success:
            return Outcome(1.0, terminated=True)
        if self.position == 0:
            return Outcome(-1.0, terminated=True)
        return Outcome(-0.1, terminated=False)

    def observe(self) -> str:
        """The chain, drawn."""
        cells = ["_"] * self.length
        cells[0], cells[-1] = "!", "G"
        cells[self.position] = "@"
        return "Chain: " + " ".join(cells)

    def admissible_commands(self) -> tuple[str, ...]:
        """Always both."""
        return ("left", "right")

    def state_key(self) -> str:
        """The position."""
        return str(self.position)

    def task_statement(self) -> str:
        """The same for every task."""
        return "Walk along the chain: @ is you, G the goal, ! the cliff."

    def oracle(self) -> list[str]:
        """Straight to the goal."""
        return ["right"] * (self.length - 1 - self.position)

    def snapshot(self) -> dict[str, Any]:
        """All of it."""
        return {
            "task": self.task,
            "stage": self.stage,
            "position": self.position,
            "turns_taken": self.turns_taken,
            "success": self.success,
            "over": self._over,
        }

    def restore(self, snapshot: dict[str, Any]) -> tuple[str, Info]:
        """Back to where ``snapshot`` was taken."""
        self.task, self.stage, self.position = snapshot["task"], snapshot["stage"], snapshot["position"]
        self.turns_taken, self.success, self._over = snapshot["turns_taken"], snapshot["success"], snapshot["over"]
        return self.observe(), self._info()
