"""Who waits for which device: the queue of a run root, read from the runs' own status files."""

from dataclasses import dataclass
from pathlib import Path

from workbench.store.files import parse_time
from workbench.store.layout import RunPaths, run_names
from workbench.store.status import LIVE, effective, read_status


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that is live: it trains, or waits to."""

    run: str
    state: str
    device: str | None
    """None until its process has found out."""
    position: int | None
    """Place in the queue of its device, from 1; None while it trains or its process is still starting."""


def queue(root: Path | str) -> list[Waiting]:
    """Every live run of ``root``: those that train first, then by device and place in its queue."""
    live = _live(Path(root))
    lines: dict[str, list[str]] = {}
    for run, status in sorted(live.items(), key=lambda item: _since(item[0], item[1])):
        if _waits(status):
            lines.setdefault(str(status["device"]), []).append(run)
    found = []
    for run, status in live.items():
        told = status.get("device")
        device = told if isinstance(told, str) else None
        line = lines.get(device or "", [])
        found.append(Waiting(run, str(status["state"]), device, line.index(run) + 1 if run in line else None))
    return sorted(found, key=lambda one: (one.state == "queued", one.device or "~", one.position or 0, one.run))


def is_first(root: Path | str, run: str, device: str) -> bool:
    """Whether no other run has waited longer for ``device``; true for a run that does not wait."""
    live = {name: status for name, status in _live(Path(root)).items() if _waits(status) and status.get("device") == device}
    return run not in live or run == min(live, key=lambda name: _since(name, live[name]))


def _live(root: Path) -> dict[str, dict[str, object]]:
    statuses = {name: read_status(RunPaths(root / name).status) for name in run_names(root)}
    checked = {name: effective(status, name) for name, status in statuses.items() if status is not None}
    return {name: status for name, status in checked.items() if status["state"] in LIVE}


def _waits(status: dict[str, object]) -> bool:
    return status["state"] == "queued" and isinstance(status.get("device"), str) and parse_time(status.get("queued_since")) is not None


def _since(run: str, status: dict[str, object]) -> tuple[str, str]:
    return str(status.get("queued_since", "")), run
