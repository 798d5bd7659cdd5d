"""Reading runs, also while they are written, half written, damaged or somebody else's."""

import re
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISREG
from typing import Any

import pandas as pd
import yaml

from workbench.errors import StoreError, nearest
from workbench.records import Trajectory
from workbench.store.ask import ask_rows, ask_turns
from workbench.store.files import read_json, read_lines, tail_bytes
from workbench.store.layout import RunPaths, folder_problem
from workbench.store.schema import trajectory_from_rows
from workbench.store.status import effective, read_status
from workbench.store.summary import RunSummary, list_runs, summarise

__all__ = ["LINE_COLUMNS", "Run", "RunSummary", "lines_frame", "list_runs", "summarise"]

LOG_BYTES = 1_000_000
LINE_COLUMNS = {
    "metrics": ("phase", "update", "time"),
    "evaluations": ("time", "phase", "update"),
    "events": ("time", "kind", "message"),
}
"""The columns that every JSON-lines file has, first in its data frame."""
_TYPES = {"phase": "str", "update": "int64", "kind": "str", "message": "str"}
# Null, so not counted, where the reflection names no command or the run noted no oracle's.
_DISAGREES = "suggested_command <> command"
_ERRS = "command <> oracle_command"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Run:
    """Everything that one run has written so far."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths

    def config(self) -> dict[str, Any]:
        """The whole resolved configuration, as written.

        Raises:
            StoreError: config.yaml is missing or damaged.
        """
        try:
            value = yaml.safe_load(self.paths.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise StoreError(f"{self.paths.config}: cannot be read: {reason}; restore it from a copy") from None
        if not isinstance(value, dict):
            raise StoreError(f"{self.paths.config}: expected settings as `key: value` lines, found {type(value).__name__}")
        return value

    def meta(self) -> dict[str, Any]:
        """Schema version, code and package versions, parent, start.

        Raises:
            StoreError: meta.json is missing, damaged or of a newer schema.
        """
        problem = folder_problem(self.paths.folder)
        if problem is not None:
            raise StoreError(f"{self.paths.folder}: {problem}")
        return read_json(self.paths.meta) or {}

    def status(self) -> dict[str, Any]:
        """State, process, heartbeat, error; the state is what is true now."""
        return effective(read_status(self.paths.status), self.paths.run_id)

    def metrics(self) -> pd.DataFrame:
        """One row per update: phase, update, time, and a column per metric."""
        return lines_frame(self.paths.metrics, LINE_COLUMNS["metrics"])

    def evaluations(self) -> pd.DataFrame:
        """One row per evaluation: time, phase, update, and a column per quantity."""
        return lines_frame(self.paths.evaluations, LINE_COLUMNS["evaluations"])

    def events(self) -> pd.DataFrame:
        """One row per event: time, kind, message, and what else was said."""
        return lines_frame(self.paths.events, LINE_COLUMNS["events"])

    def trajectories(
        self,
        *,
        phase: str | None = None,
        stage: str | None = None,
        success: bool | None = None,
        text: str | None = None,
        disagree: bool | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """One row per trajectory that meets every condition given, the last written first.

        Columns: trajectory_id, phase, update, task, stage, success, turns, total_reward, disagreements (turns whose
        reflection names another command than the one chosen), first_error (the first turn whose command is not the
        oracle's; missing where there is none, or no oracle was asked).

        Args:
            phase: Only this phase.
            stage: Only this stage.
            success: Only those that succeeded, or that failed.
            text: Only those with a reflection that contains this, whatever its case.
            disagree: Only those with a disagreement, or without any.
            limit: At most so many.

        Raises:
            StoreError: The parts cannot be read.
        """
        equal = {"phase": phase, "stage": stage, "success": success}
        values: dict[str, Any] = {name: value for name, value in equal.items() if value is not None}
        where = " AND ".join(f"{name} = ${name}" for name in values) or "true"
        having = "true"
        if text is not None:
            values["text"] = text
            having += " AND bool_or(contains(lower(reflection), lower($text)))"
        if disagree is not None:
            having += " AND disagreements > 0" if disagree else " AND disagreements = 0"
        query = f"""
            SELECT trajectory_id, any_value(phase) AS phase, any_value("update") AS "update", any_value(task) AS task,
                any_value(stage) AS stage, any_value(success) AS success, any_value(turns) AS turns,
                any_value(total_reward) AS total_reward, count(*) FILTER (WHERE {_DISAGREES}) AS disagreements,
                min("index") FILTER (WHERE {_ERRS}) AS first_error
            FROM turns WHERE {where} GROUP BY trajectory_id HAVING {having} ORDER BY max(place) DESC"""
        if limit is not None:
            values["limit"] = max(0, limit)
            query += " LIMIT $limit"
        found = ask_turns(self.paths, query, **values)
        return found.assign(first_error=found["first_error"].astype("Int64"))

    def trajectory(self, trajectory_id: str) -> Trajectory:
        """One trajectory, as it was recorded; probabilities and the reflection's log-probabilities to float32.

        Raises:
            StoreError: The run holds no trajectory of that id.
        """
        query = 'SELECT * EXCLUDE (place) FROM turns WHERE trajectory_id = $id ORDER BY "index"'
        rows = ask_rows(self.paths, query, id=trajectory_id)
        if not rows:
            known = self.trajectories(limit=1000)["trajectory_id"]
            hint = nearest(trajectory_id[:80], known) if 0 < len(known) < 1000 else "`Run.trajectories()` lists them"
            raise StoreError(f"run {self.paths.run_id} holds no trajectory {trajectory_id[:80]!r}; {hint}")
        return trajectory_from_rows(rows)

    def log_tail(self, lines: int = 200) -> str:
        """The last lines of the log that was written last, an attempt's or the launch's; empty when there is none.

        Colours and progress that was written over are left out.
        """
        logs = [path for path in (*self.paths.attempt_logs().values(), self.paths.launch_log) if _written_at(path)]
        if not logs or lines <= 0:
            return ""
        text = tail_bytes(max(logs, key=_written_at), LOG_BYTES).decode("utf-8", "replace")
        kept = _ESCAPES.sub("", text).rstrip().split("\n")[-lines:]
        return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in kept)


def _written_at(path: Path) -> int:
    """When a log was last written, nanoseconds since 1970; 0 where there is none, or an empty one."""
    try:
        stat = path.lstat()
    except OSError:
        return 0
    return stat.st_mtime_ns if S_ISREG(stat.st_mode) and stat.st_size else 0


def lines_frame(path: Path, first: Iterable[str]) -> pd.DataFrame:
    """A JSON-lines file as a data frame: the columns ``first``, then the others as they come; null is NaN."""
    lines = read_lines(path)
    names = dict.fromkeys([*first, *(name for line in lines for name in line)])
    frame = pd.DataFrame.from_records(lines, columns=list(names))
    if not lines:
        frame = frame.astype({name: kind for name, kind in _TYPES.items() if name in names})
    frame["time"] = pd.to_datetime(frame["time"], utc=True, errors="coerce", format="ISO8601")
    return frame
