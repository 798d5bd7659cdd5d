"""What this machine can compute on, with memory and use as they are now. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from workbench.jobs.gpus import GpuUse, gpu_use

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
    return [cpu, *gpu_devices(gpu_use())]


def gpu_devices(gpus: Iterable[GpuUse]) -> list[Device]:
    """GPUs as devices; one that does not tell its memory is left out.

    Example:
        >>> gpu_devices([GpuUse(0, "NVIDIA H200", 0.07, 1024, 143771)])[0].name
        'cuda:0'
    """
    return [
        Device(f"cuda:{gpu.number}", gpu.name, gpu.memory_total * _MEBI, max(0, gpu.memory_total - gpu.memory_used) * _MEBI, gpu.load)
        for gpu in gpus
        if gpu.memory_total is not None and gpu.memory_used is not None
    ]
