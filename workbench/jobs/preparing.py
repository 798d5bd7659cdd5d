"""Asking a process of its own whether a configuration can run here. No torch in this one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from workbench.config import RunConfig, dump_config
from workbench.errors import StoreError, WorkbenchError

_WAIT_SECONDS = 300


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str


def checks(config: RunConfig, root: Path) -> list[Check]:
    """What has to hold before ``config`` can run on this machine, each with what was found.

    Raises:
        WorkbenchError: The process that looks gives no answer.
    """
    found = _ask({"config": dump_config(config), "root": str(root)})
    return [Check(str(one["check"]), one["ok"] is True, str(one["found"])) for one in found["checks"]]


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "workbench.recipes.launching"]
    try:
        result = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, timeout=_WAIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise StoreError(f"checking took longer than {_WAIT_SECONDS} s; the machine is busy or a model cannot be reached") from None
    lines = result.stdout.strip().splitlines()
    try:
        answer: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        reason = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        raise StoreError(f"checking ended without an answer: {reason[:300]}") from None
    if "error" in answer:
        raise WorkbenchError(str(answer["error"]))
    return answer
