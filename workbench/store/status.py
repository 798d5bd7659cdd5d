"""Is a run alive? What status.json says, checked against the processes that exist."""

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from workbench.store.files import json_bytes, parse_time, read_json, write_whole

LIVE = ("queued", "running", "stopping")
STATES = (*LIVE, "stopped", "finished", "failed")
LOST_AFTER_SECONDS = 120.0
"""A run of another host without a heartbeat for so long is taken for lost."""
QUEUED_GRACE_SECONDS = 60.0
"""How long a queued run may take to get a process; after that, one that starts has to be seen."""
_CLOCK_SLACK_SECONDS = 2.0  # start times follow the system clock, which may be set while a run goes on


def process_identity() -> dict[str, Any]:
    """``pid``, ``pid_started`` (seconds since 1970) and ``host`` of this process."""
    return {"pid": os.getpid(), "pid_started": psutil.Process().create_time(), "host": socket.gethostname()}


def is_alive(status: Mapping[str, Any]) -> bool:
    """Whether the process that ``status`` names still runs: same pid and same start time.

    A process of another host cannot be seen: its heartbeat is trusted for ``LOST_AFTER_SECONDS``.
    """
    pid, started = status.get("pid"), status.get("pid_started")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0 or not isinstance(started, (int, float)):
        return False
    if status.get("host", socket.gethostname()) != socket.gethostname():
        return _age_seconds(status) <= LOST_AFTER_SECONDS
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) <= _CLOCK_SLACK_SECONDS and process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True  # it exists and is somebody else's to look into
    except (psutil.Error, OverflowError):
        return False


def effective(status: Mapping[str, Any] | None, run_id: str) -> dict[str, Any]:
    """``status`` with a state that is true now: no run is ``running`` without its process.

    Args:
        status: What status.json holds; None when it cannot be read.
        run_id: Named in the remedy.
    """
    if status is None:
        return {
            "state": "failed",
            "error": f"status.json is missing or damaged; `workbench resume {run_id}` continues from the last checkpoint",
        }
    result = dict(status)
    state = result.get("state")
    if state not in STATES:
        result |= {
            "state": "failed",
            "error": f"status.json names the unknown state {str(state)[:40]!r}; `workbench resume {run_id}` continues",
        }
    elif state in ("running", "stopping") and not is_alive(result):
        lost = f"the process ended without a word; `workbench resume {run_id}` continues from the last checkpoint"
        result |= {"state": "failed", "error": lost}
    elif state == "queued" and not is_alive(result) and _age_seconds(result) > QUEUED_GRACE_SECONDS and not _is_starting(run_id):
        result |= {"state": "stopped", "error": f"it was queued and no process took it up; `workbench resume {run_id}` starts it"}
    return result


def _is_starting(run_id: str) -> bool:
    """Whether a process was started for a queued run and has not said so yet: importing takes a busy machine minutes.

    Run ids are random enough to tell runs of different roots apart.
    """
    return any({run_id, "--queue"} <= set(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))


def write_status(path: Path, status: Mapping[str, Any], *, durable: bool = True) -> None:
    """Replace status.json at once."""
    write_whole(path, json_bytes(status, indent=2), durable=durable)


def read_status(path: Path) -> dict[str, Any] | None:
    """What status.json holds, unchecked; None when it is missing or damaged."""
    return read_json(path)


def _age_seconds(status: Mapping[str, Any]) -> float:
    heartbeat = parse_time(status.get("heartbeat"))
    return float("inf") if heartbeat is None else (datetime.now(UTC) - heartbeat).total_seconds()
