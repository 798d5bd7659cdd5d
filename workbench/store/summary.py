"""Lists of runs: one line for each, from the ends of its files."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workbench.store.files import parse_time, read_json, tail_lines
from workbench.store.layout import RunPaths, folder_problem, run_names
from workbench.store.status import effective, read_status


@dataclass(frozen=True)
class RunSummary:
    """One line of a list of runs."""

    run: str
    path: Path
    state: str
    """What is true now; ``unknown`` where ``problem`` says why the folder cannot be read."""
    recipe: str | None = None
    preset: str | None = None
    model: str | None = None
    seed: int | None = None
    phase: str | None = None
    update: int | None = None
    total_updates: int | None = None
    success_rate: float | None = None
    """Of the last evaluation; before there is one, of the last update that measured it."""
    low: float | None = None
    high: float | None = None
    """Ends of the evaluation's interval."""
    started_at: datetime | None = None
    updated_at: datetime | None = None
    """The last heartbeat."""
    device: str | None = None
    error: str | None = None
    problem: str | None = None


def list_runs(root: Path | str) -> list[RunSummary]:
    """Every folder below ``root``, newest first; a broken or foreign one says so in ``problem``."""
    oldest = datetime.min.replace(tzinfo=UTC)
    summaries = [summarise(RunPaths(Path(root) / name)) for name in run_names(Path(root))]
    return sorted(summaries, key=lambda summary: (summary.started_at or oldest, summary.run), reverse=True)


def summarise(paths: RunPaths) -> RunSummary:
    """One run in a line; reads the ends of its files only and never raises."""
    problem = folder_problem(paths.folder)
    if problem is not None:
        return RunSummary(run=paths.run_id, path=paths.folder, state="unknown", problem=problem)
    meta = read_json(paths.meta) or {}
    status = effective(read_status(paths.status), paths.run_id)
    rate, low, high = _success(paths)
    return RunSummary(
        run=paths.run_id,
        path=paths.folder,
        state=status["state"],
        recipe=_text(meta.get("recipe")),
        preset=_text(meta.get("preset")),
        model=_text(meta.get("model")),
        seed=_whole(meta.get("seed")),
        phase=_text(status.get("phase")),
        update=_whole(status.get("update")),
        total_updates=_whole(status.get("total")),
        success_rate=rate,
        low=low,
        high=high,
        started_at=parse_time(meta.get("started_at")),
        updated_at=parse_time(status.get("heartbeat")),
        device=_text(status.get("device")),
        error=_text(status.get("error")),
    )


def _success(paths: RunPaths) -> tuple[float | None, float | None, float | None]:
    for line in reversed(tail_lines(paths.evaluations)):
        if (rate := _number(line.get("success_rate"))) is not None:
            return rate, _number(line.get("low")), _number(line.get("high"))
    for line in reversed(tail_lines(paths.metrics)):
        if (rate := _number(line.get("success/rate"))) is not None:
            return rate, None, None
    return None, None, None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 2**53 else None  # NaN, infinity and endless integers of foreign files are no rates
