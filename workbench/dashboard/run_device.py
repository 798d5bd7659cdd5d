"""What a live run takes of the machine."""

import re

import psutil
import streamlit as st

from workbench.dashboard.components import percent
from workbench.jobs.gpus import GpuUse, gpu_use, process_use
from workbench.store.layout import RunPaths
from workbench.store.reader import RunSummary
from workbench.store.status import read_status

_GIB = 2**30


@st.cache_data(ttl=3, show_spinner=False)
def _gpus() -> list[GpuUse]:
    return gpu_use()


def section(paths: RunPaths, summary: RunSummary) -> None:
    """Draw load and memory of the run's device while it trains; a run that has ended takes nothing."""
    if summary.state not in ("running", "stopping"):
        return
    words = [_process_words(paths)]
    if (summary.device or "").startswith("cuda"):
        words += _gpu_words(summary.device or "")
    else:
        load = psutil.getloadavg()[0]
        words.append(f"machine load {load:.1f} on {psutil.cpu_count()} cores, no GPU used")
    st.text("   ·   ".join(word for word in words if word))


def _process_words(paths: RunPaths) -> str:
    use = process_use(read_status(paths.status) or {})
    return f"process: {use.memory / _GIB:.1f} GiB of memory, {use.threads} threads" if use else ""


def _gpu_words(device: str) -> list[str]:
    wanted = re.fullmatch(r"cuda:(\d{1,3})", device)
    # Its number counts the GPUs that the run was allowed to see, which CUDA_VISIBLE_DEVICES may have cut; with one GPU they agree.
    gpus = _gpus()
    if not gpus:
        return ["no GPU answers on this machine (nvidia-smi is missing or silent)"]
    shown = [gpu for gpu in gpus if len(gpus) > 1 or wanted is None or gpu.number == int(wanted[1])] or gpus
    return [gpu_words(gpu) for gpu in shown]


def gpu_words(gpu: GpuUse) -> str:
    """One GPU in words."""
    memory = ""
    if gpu.memory_used is not None and gpu.memory_total:
        memory = f", {gpu.memory_used / 1024:.1f} of {gpu.memory_total / 1024:.1f} GiB"
    return f"GPU {gpu.number} {gpu.name}: {percent(gpu.load)} busy{memory}"
