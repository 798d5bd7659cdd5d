"""The writer of a process that goes through a run with others and leaves the writing to the one that leads."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.records import Trajectory
from workbench.store.writer import RunWriter


class Onlooker(RunWriter):
    """Takes everything a :class:`RunWriter` takes and writes nothing."""

    def metrics(self, phase: str, update: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def evaluation(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def event(self, kind: str, message: str, **fields: Any) -> None:
        """Nothing."""

    def trajectories(self, batch: Sequence[Trajectory], advantages: Sequence[float] | None = None) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""

    def position(self) -> dict[str, int]:
        """Nowhere: it saves no checkpoints."""
        return {}

    def rewind(self, position: Mapping[str, int]) -> None:
        """Nothing."""

    def compact(self, before: int | None = None) -> None:
        """Nothing."""

    def status(self, state: str, **fields: Any) -> None:
        """Nothing."""

    def beat(self, phase: str | None = None, update: int | None = None, total: int | None = None) -> None:
        """Nothing."""

    def stop_requested(self) -> bool:
        """Never: the leader asks for all."""
        return False

    def clear_stop(self) -> None:
        """Nothing."""
