"""DangerousTaxi: Gymnasium's Taxi as text, where a command that changes nothing ends the task.

The rules are Gymnasium's own transition table; a step and an oracle call are look-ups in ``taxi_world``.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

from workbench.envs.snapshots import shape_problem
from workbench.envs.taxi_world import COMMANDS, TaxiStart, decode, is_aboard, is_delivered, taxi_world
from workbench.envs.text_env import Info, Outcome, TextEnv
from workbench.errors import EnvError, nearest

STEP_REWARD = -0.05
PICKUP_BONUS = 1.0
DELIVERY_BONUS = 1.0
FATAL_REWARD = -0.5

STATEMENT = (
    "Drive the taxi to the passenger, pick up, drive to the destination, drop off. "
    "A command that changes nothing wrecks the taxi. "
    "T taxi, P passenger, D destination, O taxi at passenger, X taxi with passenger, "
    "E empty taxi at destination, Z taxi with passenger at destination, S delivered, | wall."
)

_LAST_COMMAND = "Last command: "
_INDEX = {command: index for index, command in enumerate(COMMANDS)}


class DangerousTaxi(TextEnv):
    """Fetch a passenger and bring them to their destination without a single command that changes nothing.

    Rewards: -0.05 a command, +1 for the first pickup (stages ``pickup`` and ``full``), +1 for the delivery,
    both on top of the -0.05; a command that leaves the state unchanged costs -0.5 and ends the trajectory,
    from the first turn on. Putting the passenger down at a wrong landmark is legal.

    Stages: ``pickup`` is solved when the passenger is aboard; ``dropoff`` starts with the passenger just
    picked up, gives no pickup bonus, and is solved by the delivery, as is ``full``. A task id such as
    ``r2c3-R-G`` names the taxi's row and column, the passenger's landmark and the destination; the same 300
    ids serve every stage.
    """

    name: ClassVar[str] = "taxi"
    stages: ClassVar[tuple[str, ...]] = ("pickup", "dropoff", "full")

    def __init__(self, *, horizon: int = 20, render_mode: str | None = None) -> None:
        """``horizon`` is the number of turns after which a trajectory is truncated; 18 suffice for every task.

        Raises:
            EnvError: ``horizon`` is below 1.
        """
        super().__init__(horizon=horizon, render_mode=render_mode)
        self._world = taxi_world()
        self._state = self._world.starts[self._world.task_ids[0]].waiting
        self._bonus_left = False
        self._last_command: str | None = None

    def tasks(self, stage: str) -> Sequence[str]:
        """The 300 start states in Gymnasium's order, the same for every stage."""
        if stage not in self.stages:
            raise EnvError(f"{self.name}: unknown stage {stage!r}; {nearest(str(stage), self.stages)}")
        return self._world.task_ids

    def _begin(self, task: str, stage: str) -> None:
        start = self._start(task)
        self._state = start.aboard if stage == "dropoff" else start.waiting
        self._bonus_left = stage != "dropoff"
        self._last_command = None

    def _start(self, task: str) -> TaxiStart:
        start = self._world.starts.get(task) if isinstance(task, str) else None
        if start is None:
            raise EnvError(f"{self.name}: unknown task {task!r}; {_nearest_task(str(task))}")
        return start

    def _act(self, command: str) -> Outcome:
        before = self._state
        after = self._world.successors[before][_INDEX[command]]
        self._last_command = command
        if after == before:
            return Outcome(FATAL_REWARD, terminated=True)
        self._state = after
        reward = STEP_REWARD
        if self._bonus_left and is_aboard(after):
            reward += PICKUP_BONUS
            self._bonus_left = False
        delivered = is_delivered(after) and not is_delivered(before)
        if delivered:
            reward += DELIVERY_BONUS
        self.success = is_aboard(after) if self.stage == "pickup" else delivered
        return Outcome(reward, terminated=self.success)

    def observe(self) -> str:
        """The map in seven lines, then the last command; nothing on the map hides anything else."""
        return _observation(self._state, self._last_command)

    def admissible_commands(self) -> tuple[str, ...]:
        """All six, always: choosing a command that does something is the player's task."""
        return COMMANDS

    def state_key(self) -> str:
        """Gymnasium's state index, with ``+`` while a pickup still earns its bonus; ``pickup`` ends earlier, so it has keys of its own."""
        prefix = "pickup-" if self.stage == "pickup" else ""
        return f"{prefix}{self._state}{'+' if self._bonus_left else ''}"

    def task_statement(self) -> str:
        """Goal, danger and legend; the same for every task."""
        return STATEMENT

    def oracle(self) -> list[str]:
        """A shortest solution of the current stage from here; among equals the first in the order of ``COMMANDS`` at every step."""
        routes = self._world.to_pickup if self.stage == "pickup" else self._world.to_delivery
        return list(routes[self._state])

    def snapshot(self) -> dict[str, Any]:
        """Everything ``restore`` needs, as JSON values.

        Raises:
            EnvError: No trajectory was begun.
        """
        if not self.task:
            raise EnvError(f"{self.name}: there is nothing to save yet; call reset() first")
        return {
            "task": self.task,
            "stage": self.stage,
            "state": self._state,
            "bonus_left": self._bonus_left,
            "last_command": self._last_command,
            "turns_taken": self.turns_taken,
            "success": self.success,
            "over": self._over,
        }

    def restore(self, snapshot: dict[str, Any]) -> tuple[str, Info]:
        """Continue from ``snapshot``; gives the observation and info of that state.

        Raises:
            EnvError: ``snapshot`` is not one of this environment's; the state is then left as it was.
        """
        problem = shape_problem(snapshot, _SNAPSHOT_TYPES) or self._contradiction(**snapshot)
        if problem:
            raise EnvError(f"{self.name}: this snapshot cannot be restored: {problem}; take one with snapshot()")
        self.task, self.stage = snapshot["task"], snapshot["stage"]
        self._state, self._bonus_left = snapshot["state"], snapshot["bonus_left"]
        self._last_command = snapshot["last_command"]
        self.turns_taken, self.success, self._over = snapshot["turns_taken"], snapshot["success"], snapshot["over"]
        return self.observe(), self._info()

    def _contradiction(
        self, *, task: str, stage: str, state: int, bonus_left: bool, last_command: str | None, turns_taken: int, success: bool, over: bool
    ) -> str | None:
        start = self._world.starts.get(task)
        if start is None or stage not in self.stages:
            return f"it is of task {task!r} and stage {stage!r}"
        if not 0 <= state < len(self._world.maps) or decode(state).destination != decode(start.waiting).destination:
            return f"state {state} does not belong to task {task}"
        if last_command not in (None, *COMMANDS) or turns_taken < 0 or (last_command is None) != (turns_taken == 0):
            return f"last_command {last_command!r} after {turns_taken} turns"
        if self._unreachable(state, start, stage):
            return f"state {state} cannot come up in stage {stage} of task {task}"
        untouched = decode(state).passenger == decode(start.waiting).passenger
        if bonus_left and (stage == "dropoff" or not untouched):
            return f"bonus_left in state {state} of stage {stage}"
        solved = is_aboard(state) if stage == "pickup" else is_delivered(state)
        if success != solved or (success and not over) or (turns_taken >= self.horizon and not over):
            return f"success {success} and over {over} in state {state} after {turns_taken} of {self.horizon} turns"
        return None

    @staticmethod
    def _unreachable(state: int, start: TaxiStart, stage: str) -> bool:
        if is_delivered(state):
            # The passenger got out of the taxi, so the taxi is still there.
            return stage == "pickup" or "T" in taxi_world().maps[state]
        return stage == "pickup" and not is_aboard(state) and decode(state).passenger != decode(start.waiting).passenger


_SNAPSHOT_TYPES: dict[str, tuple[type, ...]] = {
    "task": (str,),
    "stage": (str,),
    "state": (int,),
    "bonus_left": (bool,),
    "last_command": (str, type(None)),
    "turns_taken": (int,),
    "success": (bool,),
    "over": (bool,),
}


def grid_cells(observation: str) -> list[list[str]]:
    """The map of an observation as 7 rows of 11 characters, for drawing.

    Row ``r`` and column ``c`` of the 5 x 5 world stand at ``cells[1 + r][1 + 2 * c]``: a space or one of
    ``T P D O X E Z S``. The characters between them are ``|`` for a wall and ``:`` for a way through;
    the first and last rows and columns are the border.

    Raises:
        EnvError: The text does not begin with a map of DangerousTaxi.
    """
    cells = [list(line) for line in observation.split("\n")[:7]]
    if len(cells) != 7 or any(len(row) != 11 or row[0] not in "+|" or row[-1] not in "+|" for row in cells):
        raise EnvError("taxi: the text does not begin with a taxi map; expected 7 lines of 11 characters between '+' or '|'")
    return cells


def _nearest_task(task: str) -> str:
    # All 300 would not fit in one line, so the form is shown when none is close.
    message = nearest(task, taxi_world().starts)
    return message if message.startswith("did you mean") else "a task looks like 'r2c3-R-G': row, column, passenger, destination"


@cache
def _observation(state: int, last_command: str | None) -> str:
    return f"{taxi_world().maps[state]}\n{_LAST_COMMAND}{last_command or 'none'}"
