"""A corridor in words: the smallest world with everything in it, learned in seconds where others take minutes."""

from collections.abc import Sequence
from typing import ClassVar

from workbench.envs.text_env import Outcome, TextEnv
from workbench.errors import EnvError, nearest

COMMANDS = ("left", "right")
STEP_REWARD = -0.05
GOAL_REWARD = 1.0
FALL_REWARD = -1.0
NEAR = 2
"""Fields from the goal at which the stage ``near`` begins at most."""


class Corridor(TextEnv):
    """Walk along a corridor to the goal; both ends are open, and who steps out falls.

    Rewards: -0.05 a command, +1 on the goal, -1 for a fall; both end the trajectory. A task ``start-3-goal-7`` names the fields of start
    and goal. Stage ``near`` begins at most two fields from the goal, ``full`` anywhere.
    """

    name: ClassVar[str] = "corridor"
    stages: ClassVar[tuple[str, ...]] = ("near", "full")

    def __init__(self, *, length: int = 10, horizon: int = 20, render_mode: str | None = None) -> None:
        """``length`` is the number of fields, counted from 0.

        Raises:
            EnvError: ``length`` is not from 4 to 60, or the horizon is too short for it.
        """
        super().__init__(horizon=horizon, render_mode=render_mode)
        if type(length) is not int or not 4 <= length <= 60:
            raise EnvError(f"{self.name}: length must be a whole number from 4 to 60, found {length!r}")
        if horizon < length - 1:
            raise EnvError(
                f"{self.name}: a way of {length - 1} commands does not fit into horizon {horizon}; raise it or shorten the corridor"
            )
        self.length = length
        self._field, self._goal = 0, 1

    def tasks(self, stage: str) -> Sequence[str]:
        """Every pair of start and goal, as far apart as the stage allows."""
        most = NEAR if stage == "near" else self.length
        fields = range(self.length)
        return tuple(f"start-{start}-goal-{goal}" for start in fields for goal in fields if 0 < abs(start - goal) <= most)

    def _begin(self, task: str, stage: str) -> None:
        known = self.tasks(stage)
        if task not in known:
            raise EnvError(f"{self.name}: unknown task {task!r}; {nearest(str(task), known[:20])}")
        _, start, _, goal = task.split("-")
        self._field, self._goal = int(start), int(goal)

    def _act(self, command: str) -> Outcome:
        self._field += 1 if command == "right" else -1
        self.success = self._field == self._goal
        if self.success:
            return Outcome(STEP_REWARD + GOAL_REWARD, terminated=True)
        if not 0 <= self._field < self.length:
            return Outcome(STEP_REWARD + FALL_REWARD, terminated=True)
        return Outcome(STEP_REWARD, terminated=False)

    def observe(self) -> str:
        """The corridor drawn, and the two fields in words."""
        cells = ["_"] * self.length
        cells[self._goal] = "G"
        if 0 <= self._field < self.length:
            cells[self._field] = "@"
        return f"{' '.join(cells)}\nYou: {self._field} Goal: {self._goal}"

    def admissible_commands(self) -> tuple[str, ...]:
        """Always both."""
        return COMMANDS

    def state_key(self) -> str:
        """Field and goal."""
        return f"{self._field}/{self._goal}"

    def task_statement(self) -> str:
        """The same for every task."""
        return "Walk along the corridor to the goal: @ is you, G the goal. Who steps out at either end falls."

    def oracle(self) -> list[str] | None:
        """Straight to the goal; None after a fall."""
        if not 0 <= self._field < self.length:
            return None
        return ["right" if self._goal > self._field else "left"] * abs(self._goal - self._field)

    @property
    def place(self) -> tuple[int, int]:
        """The player's field and the goal's, for teachers."""
        return self._field, self._goal
