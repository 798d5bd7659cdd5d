"""What the machine is doing now: its GPUs through ``nvidia-smi``, a run's process through the system. No torch."""

import csv
import shutil
import socket
import subprocess
from collections.abc import Mapping
from typing import Any, NamedTuple

import psutil

from workbench.store.status import is_alive

_FIELDS = ("index", "name", "utilization.gpu", "memory.used", "memory.total")
_WAIT_SECONDS = 5.0


class GpuUse(NamedTuple):
    """One GPU at this moment."""

    number: int
    name: str
    load: float | None
    """Share of the last moments in which it computed, in [0, 1]; None where the driver does not tell."""
    memory_used: int | None
    """MiB, by all processes."""
    memory_total: int | None
    """MiB."""


class ProcessUse(NamedTuple):
    """A run's process at this moment."""

    memory: int
    """Resident, bytes."""
    threads: int


def gpu_use() -> list[GpuUse]:
    """Every NVIDIA GPU of this machine; empty where there is none, or where the driver does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT_SECONDS, check=False, stdin=subprocess.DEVNULL)
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
    return parsed(answer.stdout)


def parsed(text: str) -> list[GpuUse]:
    """What ``nvidia-smi`` printed, a line per GPU; lines of another form are left out."""
    found = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) == len(_FIELDS) and (number := _number(row[0])) is not None:
            load = _number(row[2])
            found.append(GpuUse(number, row[1].strip(), None if load is None else load / 100, _number(row[3]), _number(row[4])))
    return found


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None  # else such as [N/A]


def process_use(status: Mapping[str, Any]) -> ProcessUse | None:
    """Of the process that ``status`` names; None when it has ended, is on another host, or is not ours to look into."""
    if status.get("host") != socket.gethostname() or not is_alive(status):
        return None
    try:
        process = psutil.Process(status["pid"])
        return ProcessUse(process.memory_info().rss, process.num_threads())
    except (psutil.Error, OverflowError):
        return None
