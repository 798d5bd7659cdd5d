"""Which stage of the environment each update plays.

Updates are counted from 0. The loop asks ``stage(update)`` before it collects and hands the outcomes to
``record`` afterwards; a change that ``record`` returns takes effect with the next update. Everything that
a resumed run needs is in ``state_dict``.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from workbench.config import CurriculumConfig
from workbench.errors import ConfigError, nearest

Kind = Literal["none", "fixed", "success"]


class StageChange(NamedTuple):
    """A step to another stage."""

    from_stage: str
    to_stage: str
    update: int
    """The first update of the new stage."""
    rate: float | None
    """Success rate over the last ``window`` trajectories of the old stage, or over all where they are fewer; None without any."""
    reason: str
    """One sentence for people."""


class Curriculum:
    """The stages of one run and where in them it is; build one with ``make_curriculum``."""

    def __init__(self, kind: Kind, stages: Sequence[str], *, max_steps: int, threshold: float, window: int) -> None:
        """``max_steps`` counts updates; ``threshold`` is a success rate over ``window`` trajectories of one stage."""
        self.kind = kind
        self.stages = tuple(stages)
        self._max_steps = max_steps
        self._threshold = threshold
        self._index = 0
        self._update = 0
        self._outcomes: deque[bool] = deque(maxlen=window)

    @property
    def index(self) -> int:
        """Position of the current stage in ``stages``, 0 for the first."""
        return self._index

    def stage(self, update: int) -> str:
        """The stage that ``update`` plays, 0 being the first update."""
        self._update = update
        if self.kind == "fixed":
            self._move_to(self._fixed_index(update))
        return self.stages[self._index]

    def record(self, stage: str, successes: Sequence[bool]) -> StageChange | None:
        """Take in what became of trajectories of ``stage``, once per update; gives the change that follows from it, if any.

        Outcomes of another stage than the current one are left out of the rate.

        Raises:
            ConfigError: The curriculum has no such stage.
        """
        if stage not in self.stages:
            raise ConfigError(f"curriculum: unknown stage {stage!r}; {nearest(stage, self.stages)}")
        before, rate = self._index, None
        if stage == self.stages[before]:
            self._outcomes.extend(map(bool, successes))
        if self._outcomes:
            rate = sum(self._outcomes) / len(self._outcomes)
        after, reason = self._next_index(rate)
        if after == before:
            return None
        self._move_to(after)
        return StageChange(self.stages[before], self.stages[after], self._update + 1, rate, reason)

    def state_dict(self) -> dict[str, Any]:
        """Where the curriculum is, as JSON values."""
        return {
            "kind": self.kind,
            "stages": list(self.stages),
            "index": self._index,
            "update": self._update,
            "outcomes": list(self._outcomes),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` gave.

        Raises:
            ConfigError: The state is damaged, or of a curriculum of another kind or with other stages.
        """
        for key, ours in (("kind", self.kind), ("stages", list(self.stages))):
            if state.get(key) != ours:
                raise ConfigError(
                    f"curriculum: the saved state has {key} {state.get(key)!r}, this run {ours!r}; resume with the saved settings"
                )
        index, update, outcomes = state.get("index"), state.get("update"), state.get("outcomes")
        whole = type(index) is int and type(update) is int and update >= 0 and index in range(len(self.stages))
        if not whole or not isinstance(outcomes, list) or not all(type(outcome) is bool for outcome in outcomes):
            raise ConfigError("curriculum: the saved state is damaged (index, update or outcomes); resume from another checkpoint")
        self._index, self._update = int(index or 0), int(update or 0)
        self._outcomes.clear()
        self._outcomes.extend(outcomes)

    def _next_index(self, rate: float | None) -> tuple[int, str]:
        """Index for the next update, and why it differs from the current one."""
        if self.kind == "fixed":
            return self._fixed_index(self._update + 1), f"{self._update + 1} of {self._max_steps} updates done"
        full = len(self._outcomes) == self._outcomes.maxlen
        last = self._index == len(self.stages) - 1
        if self.kind == "success" and full and not last and rate is not None and rate >= self._threshold:
            return self._index + 1, f"success rate {rate:.3f} over {len(self._outcomes)} trajectories reached {self._threshold:g}"
        return self._index, ""

    def _fixed_index(self, update: int) -> int:
        parts = len(self.stages)
        # However few updates there are, the last one plays the last stage.
        starts = [min(round(part * self._max_steps / parts), self._max_steps - 1) for part in range(parts)]
        return max(part for part, start in enumerate(starts) if start <= max(update, 0))

    def _move_to(self, index: int) -> None:
        if index != self._index:
            self._index = index
            self._outcomes.clear()


def make_curriculum(config: CurriculumConfig, env_stages: Sequence[str], max_steps: int) -> Curriculum:
    """The curriculum that ``config`` asks for.

    Args:
        config: Its ``stages`` are played in their order; the environment's own when empty. ``none`` plays only the last.
        env_stages: What the environment knows, easiest first.
        max_steps: Number of updates, at least 1.

    Raises:
        ConfigError: ``config.stages`` names a stage twice, or one that the environment does not know.
    """
    stages = list(config.stages or env_stages)
    for position, stage in enumerate(stages):
        if stage not in env_stages:
            raise ConfigError(f"curriculum.stages: unknown stage {stage!r}; {nearest(stage, env_stages)}")
        if stage in stages[:position]:
            raise ConfigError(f"curriculum.stages: {stage!r} is named twice; name each stage once")
    if config.kind == "none":
        stages = stages[-1:]
    return Curriculum(config.kind, stages, max_steps=max_steps, threshold=config.threshold, window=config.window)
