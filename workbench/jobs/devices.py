"""What this machine can compute on, with memory and use as they are now. No torch."""

import csv
import io
import shutil
import subprocess
from dataclasses import dataclass

import psutil

_WAIT_SECONDS = 5
_FIELDS = ("index", "name", "memory.total", "memory.used", "utilization.gpu")
_MEBI = 2**20


@dataclass(frozen=True, slots=True)
class Device:
    """The CPU or one GPU."""

    name: str
    """As ``device.device`` names it: ``cpu``, ``cuda:0``."""
    title: str
    memory_bytes: int
    free_bytes: int
    load: float | None
    """Share in use, in [0, 1]; None where nobody says."""


def find_devices() -> list[Device]:
    """The CPU, then every GPU that ``nvidia-smi`` lists, in its order."""
    memory = psutil.virtual_memory()
    cores = psutil.cpu_count() or 1
    load = min(1.0, psutil.getloadavg()[0] / cores)
    cpu = Device("cpu", f"CPU, {cores} core{'' if cores == 1 else 's'}", memory.total, memory.available, load)
    return [cpu, *parse_gpus(_ask_driver())]


def _ask_driver() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_WAIT_SECONDS, check=False, stdin=subprocess.DEVNULL).stdout
    except (OSError, subprocess.SubprocessError):  # a driver that hangs or is half installed is as none
        return ""


def parse_gpus(text: str) -> list[Device]:
    """The GPUs in what ``nvidia-smi`` prints; lines that are none are left out.

    Example:
        >>> parse_gpus("0, NVIDIA H200, 143771, 1024, 7")[0].name
        'cuda:0'
    """
    found = []
    for row in csv.reader(io.StringIO(text), skipinitialspace=True):
        parts = [part.strip() for part in row]
        if len(parts) != len(_FIELDS) or not (parts[0].isdecimal() and parts[2].isdecimal() and parts[3].isdecimal()):
            continue
        total, used = int(parts[2]) * _MEBI, int(parts[3]) * _MEBI
        share = int(parts[4]) / 100 if parts[4].isdecimal() else None
        found.append(Device(f"cuda:{int(parts[0])}", parts[1], total, max(0, total - used), share))
    return found
