"""Writing a run: whole lines, whole files, and a way back to any checkpoint."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from workbench.errors import StoreError
from workbench.records import Trajectory
from workbench.store.files import LineFile, now, sync_folder, writing
from workbench.store.layout import RunPaths
from workbench.store.lock import RunLock
from workbench.store.parts import cut_parts, merge_parts, visible_parts, write_part
from workbench.store.schema import rows
from workbench.store.status import process_identity, read_status, write_status

__all__ = ["Listener", "RunLock", "RunWriter"]

_FLUSH_TURNS = 8_192
_FLUSH_SECONDS = 10.0  # a page that watches is never further behind
_BEAT_SECONDS = 2.0
_KEPT = ("phase", "update", "total", "device")


class Listener(Protocol):
    """Hears of every line of numbers once it is written."""

    def metrics(self, phase: str, update: int, values: Mapping[str, float]) -> None:
        """The metrics of one update."""

    def evaluation(self, values: Mapping[str, Any]) -> None:
        """One evaluation."""


class RunWriter:
    """Writes one run; the process holds its :class:`RunLock`.

    Every method that writes raises :class:`StoreError`, one line, when the disk is full or the folder cannot
    be written; what was on disk before stays whole.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self._lines = {name: LineFile(getattr(paths, name)) for name in ("metrics", "evaluations", "events")}
        self.listeners: list[Listener] = []
        self._buffer: list[Trajectory] = []
        self._advantages: list[float | None] = []
        self._last_part: int | None = None
        self._last_flush = time.monotonic()
        self._status: dict[str, Any] = read_status(paths.status) or {"state": "queued"}
        self._last_beat = float("-inf")

    def metrics(self, phase: str, update: int, values: Mapping[str, float]) -> None:
        """Append the metrics of one update; NaN and infinity are written as null."""
        self._append("metrics", {"phase": phase, "update": update, "time": now(), **values})
        for listener in self.listeners:
            listener.metrics(phase, update, values)

    def evaluation(self, values: Mapping[str, Any]) -> None:
        """Append one evaluation: ``success_rate``, ``low``, ``high``, phase, update, and what else was measured."""
        self._append("evaluations", {"time": now(), **values})
        for listener in self.listeners:
            listener.evaluation(values)

    def event(self, kind: str, message: str, **fields: Any) -> None:
        """Append what happened: a stage change, a checkpoint, a warning."""
        self._append("events", {"time": now(), "kind": kind, "message": message, **fields})

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        with writing(self.paths.folder):
            self._lines[name].append(line)

    def trajectories(self, batch: Sequence[Trajectory], advantages: Sequence[float] | None = None) -> None:
        """Keep trajectories for the next part; a part is written every few thousand turns or ten seconds.

        Args:
            batch: What was played.
            advantages: One for every turn of ``batch`` in order, as an update used them; the turns' own when None. Given apart, since
                putting them into frozen turns would copy every turn.

        Raises:
            ValueError: A trajectory has no turns, so that no row would remember it; or there are more or fewer advantages than turns.
        """
        for trajectory in batch:
            if not trajectory.turns:
                raise ValueError(f"trajectory {trajectory.trajectory_id!r} has no turns and cannot be recorded")
        own = [turn.advantage for trajectory in batch for turn in trajectory.turns]
        if advantages is not None and len(advantages) != len(own):
            raise ValueError(f"{len(advantages)} advantages were given for {len(own)} turns")
        self._buffer.extend(batch)
        self._advantages.extend(own if advantages is None else advantages)
        waited = time.monotonic() - self._last_flush
        if waited >= _FLUSH_SECONDS or len(self._advantages) >= _FLUSH_TURNS:
            self.flush()

    def flush(self) -> None:
        """Write the trajectories kept so far as one part, whole or not at all."""
        self._last_flush = time.monotonic()
        if not self._buffer:
            return
        with writing(self.paths.folder):
            number = self._part_number() + 1
            write_part(self.paths.trajectories, number, rows(self._buffer, self._advantages))
        self._last_part = number
        self._buffer, self._advantages = [], []

    def _part_number(self) -> int:
        if self._last_part is None:
            self.paths.trajectories.mkdir(exist_ok=True)
            self._last_part = max((part.last for part in visible_parts(self.paths.trajectories)), default=0)
        return self._last_part

    def position(self) -> dict[str, int]:
        """Where the run stands, for a checkpoint: bytes of each JSON-lines file, and ``part``, the last part's number.

        Everything up to there is on disk when this returns.
        """
        self.flush()
        with writing(self.paths.folder):
            sizes = {name: file.size() for name, file in self._lines.items()}
            sync_folder(self.paths.folder)
            return {**sizes, "part": self._part_number()}

    def rewind(self, position: Mapping[str, int]) -> None:
        """Go back to what :meth:`position` gave: what was written since is forgotten. An empty position is the beginning.

        Raises:
            StoreError: The run holds less than the position says: files were lost.
        """
        self._buffer, self._advantages = [], []
        with writing(self.paths.folder):
            sizes = {name: file.size() for name, file in self._lines.items()}
            have = {**sizes, "part": self._part_number()}
        for name, number in have.items():
            if number < position.get(name, 0):
                found = f"{name} ends at {number}, the checkpoint says {position[name]}"
                raise StoreError(f"{self.paths.folder}: files were lost since the checkpoint ({found}); restore the folder from a copy")
        with writing(self.paths.folder):
            for name, file in self._lines.items():
                file.truncate(position.get(name, 0))
            cut_parts(self.paths.trajectories, position.get("part", 0))
            for half in self.paths.folder.glob(".*.part"):  # what a killed process had not yet renamed
                half.unlink(missing_ok=True)
        self._last_part = position.get("part", 0)

    def compact(self, before: int | None = None) -> None:
        """Merge small parts into one file; readers and a kill at any moment see every row exactly once.

        Args:
            before: Number of the last part that may be merged; all when None. :meth:`rewind` can go back
                into a merged part, at the cost of writing it again.
        """
        self.flush()
        with writing(self.paths.folder):
            merge_parts(self.paths.trajectories, before)

    def status(self, state: str, **fields: Any) -> None:
        """Write status.json at once: ``state``, this process, the time, and ``fields`` such as ``error`` or ``device``.

        ``phase``, ``update``, ``total`` and ``device`` stay as they were unless given.
        """
        kept = {name: self._status[name] for name in _KEPT if name in self._status}
        self._status = {**kept, "state": state, **process_identity(), **fields}
        self._write_status(durable=True)

    def beat(self, phase: str | None = None, update: int | None = None, total: int | None = None) -> None:
        """Say that the run is alive and how far it is; written when a phase begins, and else at most every two seconds."""
        begins = phase is not None and phase != self._status.get("phase")
        given = {"phase": phase, "update": update, "total": total}
        self._status |= {name: value for name, value in given.items() if value is not None}
        if begins or time.monotonic() - self._last_beat >= _BEAT_SECONDS:
            self._write_status(durable=False)

    def _write_status(self, *, durable: bool) -> None:
        self._status["heartbeat"] = now()
        with writing(self.paths.folder):
            write_status(self.paths.status, self._status, durable=durable)
        self._last_beat = time.monotonic()

    def stop_requested(self) -> bool:
        """Whether somebody asked the run to save and stop."""
        return self.paths.stop.exists()

    def clear_stop(self) -> None:
        """Forget the request to stop."""
        with writing(self.paths.folder):
            self.paths.stop.unlink(missing_ok=True)

    def start_attempt(self) -> Path:
        """Make and give the next ``logs/attempt-N.log``."""
        with writing(self.paths.folder):
            self.paths.logs.mkdir(exist_ok=True)
            number = 1 + max(self.paths.attempt_logs(), default=0)
            path = self.paths.logs / f"attempt-{number}.log"
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            return path
