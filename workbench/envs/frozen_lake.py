"""FrozenLake in words, on Gymnasium's own table and map generator; the README walks through it as the example of a world."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv, generate_random_map

from workbench.envs.text_env import Outcome, TextEnv
from workbench.errors import EnvError, nearest

COMMANDS = ("left", "down", "right", "up")  # in the order of Gymnasium's actions


class FrozenLake(TextEnv):
    """Walk over the ice to the goal; a hole ends the task. The ice is not slippery, so that a plan can be made.

    Rewards are Gymnasium's: 1 at the goal, otherwise 0. A task ``lake-17`` is the map that Gymnasium makes of seed 17; seeds that repeat an
    earlier map are left out: none is in both training and test. Stage ``near`` begins halfway along a shortest way, ``full`` at its start.
    """

    name: ClassVar[str] = "frozen-lake"
    stages: ClassVar[tuple[str, ...]] = ("near", "full")

    def __init__(self, *, size: int = 4, maps: int = 300, horizon: int = 20, render_mode: str | None = None) -> None:
        """``maps`` seeds give maps of ``size`` times ``size`` fields; whatever is out of range raises an ``EnvError``."""
        super().__init__(horizon=horizon, render_mode=render_mode)
        if not (2 <= size <= 16 and 1 <= maps <= 100_000):
            raise EnvError(f"{self.name}: size must be 2 to 16 and maps 1 to 100,000, found {size} and {maps}")
        self._lakes = _lakes(size, maps)
        self._enter(next(iter(self._lakes)))

    def tasks(self, stage: str) -> Sequence[str]:
        """The maps, the same in every stage."""
        return tuple(self._lakes)

    def _begin(self, task: str, stage: str) -> None:
        if task not in self._lakes:
            raise EnvError(f"{self.name}: unknown task {task!r}; {nearest(str(task), list(self._lakes)[:5])}")
        self._enter(task)
        if stage == "near":
            way = self.oracle() or []
            for command in way[: len(way) // 2]:
                self._act(command)

    def _enter(self, task: str) -> None:
        rows = self._lakes[task]
        self._letters, self._moves, self._size, self._field = "".join(rows), _moves(rows), len(rows), 0

    def _act(self, command: str) -> Outcome:
        ((_, self._field, reward, over),) = self._moves[self._field][COMMANDS.index(command)]
        self.success = self._letters[self._field] == "G"
        return Outcome(float(reward), terminated=over)

    def observe(self) -> str:
        """The map, and in words where you are and where the goal lies."""
        size, (row, column) = self._size, divmod(self._field, self._size)
        fields = self._letters[: self._field] + "@" + self._letters[self._field + 1 :]
        drawn = "\n".join(" ".join(fields[start : start + size]) for start in range(0, size * size, size))
        return f"{drawn}\nThe goal lies {size - 1 - row} down and {size - 1 - column} right of you."

    def admissible_commands(self) -> tuple[str, ...]:
        """All four, always; at the shore a step changes nothing."""
        return COMMANDS

    def state_key(self) -> str:
        """The map and the field."""
        return f"{self.task}/{self._field}"

    def task_statement(self) -> str:
        """The same for every map."""
        return "Walk over the frozen lake to the goal: @ is you, S and F are ice, H is a hole, G the goal. Who steps into a hole has lost."

    def oracle(self) -> list[str] | None:
        """A shortest way, by breadth-first search; None in a hole."""
        ways: dict[int, list[str]] = {self._field: []}
        for field in (queue := [self._field]):
            if self._letters[field] == "G":
                return ways[field]
            for action, command in enumerate(COMMANDS):
                after = self._moves[field][action][0][1]
                if after not in ways and self._letters[after] != "H":
                    ways[after] = [*ways[field], command]
                    queue.append(after)
        return None


@lru_cache(maxsize=8)
def _lakes(size: int, maps: int) -> dict[str, tuple[str, ...]]:
    lakes: dict[tuple[str, ...], str] = {}
    for seed in range(maps):
        lakes.setdefault(tuple(generate_random_map(size, seed=seed)), f"lake-{seed}")
    return {task: lake for lake, task in lakes.items()}


@lru_cache(maxsize=4096)
def _moves(rows: tuple[str, ...]) -> Any:
    return FrozenLakeEnv(desc=list(rows), is_slippery=False).P
