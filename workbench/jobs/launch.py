"""Starting a run as a process of its own, and asking one to stop.

Nothing holds a handle to the process: what is known of it stands in the run folder.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from workbench.config import RunConfig, apply_overrides, dump_config, load_config
from workbench.errors import RunBusyError, StoreError
from workbench.store.files import now, write_whole, writing
from workbench.store.layout import RunPaths, create_run, find_run
from workbench.store.status import LIVE, effective, read_status, write_status

# The process between makes the job an orphan, which the system reaps: a zombie would look alive.
_DETACH = """
import subprocess, sys
with open(sys.argv[1], "ab") as log:
    subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True)
"""


def submit(config: RunConfig, root: Path | str, *, parent: str | None = None) -> str:
    """Make a queued run and start its process; gives the run id.

    Raises:
        StoreError: The run root cannot be written, or no process can be started.
    """
    paths = create_run(root, config, parent=parent)
    _detach(paths)
    return paths.run_id


def start(root: Path | str, run_id: str) -> None:
    """Start a process that continues a run, or begins one that was never begun.

    Raises:
        RunBusyError: The run is queued or a live process has it.
        StoreError: There is no such run, or no process can be started.
    """
    paths = find_run(root, run_id)
    requeue(paths)
    _detach(paths)


def requeue(paths: RunPaths, device: str | None = None) -> None:
    """Make a run that has ended ``queued`` again, for whoever gives it a process.

    Args:
        paths: The run folder.
        device: Where it goes on, as ``device.device`` names it; where it was when None.

    Raises:
        RunBusyError: The run is queued or a live process has it.
        StoreError: The folder cannot be written.
    """
    stored = read_status(paths.status)
    status = effective(stored, paths.run_id)
    if status["state"] in LIVE:
        raise RunBusyError(f"run {paths.run_id} is {status['state']} already; stop it first with `workbench stop {paths.run_id}`")
    config = load_config(paths.config)
    moved = apply_overrides(config, [] if device is None else [f"device.device={device}"])
    gone = ("error", "pid", "pid_started", "host")
    kept = {name: value for name, value in (stored or {}).items() if name not in gone}
    with writing(paths.folder):
        paths.stop.unlink(missing_ok=True)
        if moved != config:
            write_whole(paths.config, dump_config(moved).encode())
        write_status(paths.status, {**kept, "state": "queued", "heartbeat": now()})


class LocalLauncher:
    """A process of its own for each run, one at a time on each device; processes outlive the launcher.

    Args:
        devices: Devices of this machine, such as ``cpu`` or ``cuda:1``; a single empty one leaves it to each configuration.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self.devices = tuple(devices)

    def launch(self, paths: RunPaths) -> None:
        """Start the run's process; it waits its turn where another run of the root has the device.

        Raises:
            StoreError: No process can be started.
        """
        _detach(paths)

    def problem(self, paths: RunPaths) -> str | None:
        """Nothing that the run folder does not say."""
        return None

    def is_gone(self, paths: RunPaths) -> bool:
        """Never known: nothing holds a handle."""
        return False

    def close(self) -> None:
        """Nothing is held."""


def _detach(paths: RunPaths) -> None:
    detach(paths, "resume", "--queue", log=paths.launch_log)


def detach(paths: RunPaths, command_name: str, *options: str, log: Path) -> None:
    """Start ``workbench <command_name> <run> <options>`` as a process of its own; what it prints goes to ``log`` in the run folder.

    Raises:
        StoreError: No process can be started.
    """
    folder = paths.folder.resolve()
    job = [sys.executable, "-m", "workbench", command_name, folder.name, "--runs-dir", str(folder.parent), *options]
    with writing(paths.folder):
        paths.logs.mkdir(exist_ok=True)
        command = [sys.executable, "-S", "-c", _DETACH, str(log.resolve()), *job]
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        raise StoreError(
            f"run {paths.run_id}: its process cannot be started: {reason}; `workbench {command_name} {paths.run_id}` runs it here"
        )


def request_stop(paths: RunPaths) -> str:
    """Ask a run to save and stop; gives its state after that.

    A live run is ``stopping`` from now on, and ends by itself at its next safe point. A queued one that no
    process has taken up is ``stopped`` at once. One that has ended keeps its state.
    """
    stored = read_status(paths.status)
    status = effective(stored, paths.run_id)
    if stored is None or status["state"] not in LIVE:
        return str(status["state"])
    with writing(paths.folder):
        os.close(os.open(paths.stop, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        if status["state"] == "queued" and "pid" not in stored:
            write_status(paths.status, {**stored, "state": "stopped", "heartbeat": now()})
            return "stopped"
    return "stopping"
