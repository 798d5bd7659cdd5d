"""Successful trajectories, kept to be learned from again."""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from workbench.models.policy import Decision
from workbench.records import Trajectory


class Step(NamedTuple):
    """What an update needs of a turn: tokens, choice and return; text is not needed to learn."""

    prompt_token_ids: tuple[int, ...]
    label_token_ids: tuple[int, ...]
    chosen: int
    """Place of the chosen label."""
    log_prob: float
    """When it was chosen, nats."""
    return_to_go: float
    """Environment units."""
    baseline_key: str
    reward: float = 0.0
    """Of this turn alone, environment units."""
    value: float | None = None
    """The critic's estimate before the turn, environment units; None where there was no critic."""
    trajectory: int = 0
    """Number of its trajectory within the update."""
    group: int = 0
    """Number of its group of trajectories with one start; without groups every trajectory is one."""
    success: bool = False
    """Whether its trajectory solved the task."""
    command_token_ids: tuple[tuple[int, ...], ...] = ()
    """Of each command, where whole commands are scored instead of labels; empty otherwise."""
    command_words: tuple[int, ...] = ()
    """Number of words of each, likewise."""

    @property
    def decision(self) -> Decision:
        """The question that the policy answered."""
        return Decision(self.prompt_token_ids, self.label_token_ids, self.command_token_ids, self.command_words)

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> "Step":
        """A step from its values in order, as JSON gives them back."""
        step = cls(tuple(values[0]), tuple(values[1]), *values[2:])
        return step._replace(command_token_ids=tuple(map(tuple, step.command_token_ids)), command_words=tuple(step.command_words))


class ReplayBuffer:
    """The last ``capacity`` successful trajectories."""

    def __init__(self, capacity: int) -> None:
        self._kept: deque[list[Step]] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, trajectories: Sequence[Trajectory], steps: Sequence[Sequence[Step]]) -> None:
        """Keep the steps of those trajectories that succeeded."""
        for trajectory, own in zip(trajectories, steps, strict=True):
            if trajectory.success and self._kept.maxlen:
                self._kept.append(list(own))

    def sample(self, count: int, generator: np.random.Generator) -> list[Step]:
        """Steps of up to ``count`` different trajectories."""
        chosen = generator.permutation(len(self._kept))[:count]
        return [step for place in chosen for step in self._kept[int(place)]]

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"trajectories": [[list(step) for step in steps] for steps in self._kept]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
        self._kept.clear()
        for steps in state["trajectories"]:
            self._kept.append([Step.from_json(step) for step in steps])
