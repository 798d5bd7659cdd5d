"""A run spread over several processes of this machine, which accelerate starts; the process that calls this only watches them.

Every process holds a whole copy of the players. What they do together stands in ``rollout/team.py``; the run's folder, its checkpoints
among it, does not depend on how many they are.
"""

import subprocess
import time
from typing import Any

import torch
from tqdm import tqdm

from workbench.config import RunConfig, apply_overrides, load_config
from workbench.errors import ConfigError, DeviceError, RunStopped, StoreError, WorkbenchError
from workbench.jobs.processes import checked_port, error_file, launch_command, launch_environment, what_ended
from workbench.models.loading import resolve_device
from workbench.recipes.session import open_threads, quiet_libraries
from workbench.recipes.signals import signals_stop
from workbench.rollout.team import PARTNER_GONE, Team
from workbench.store.files import now, writing
from workbench.store.layout import RunPaths
from workbench.store.status import effective, read_status, write_status
from workbench.store.writer import RunLock
from workbench.trainers import checkpoint

_POLL_SECONDS = 0.2
_LIVE = ("running", "stopping")


def check_processes(config: RunConfig) -> None:
    """Refuse more processes than there is a place for, and what trains on one.

    Raises:
        ConfigError: The recipe trains on one process, or the processes shall share a named GPU.
        DeviceError: There are fewer GPUs than processes.
    """
    count = config.device.num_processes
    if count == 1:
        return
    if config.recipe != "reflect-rl":
        raise ConfigError(f"recipe={config.recipe} trains on one process, found device.num_processes={count}; leave it at 1")
    if config.rl.algorithm == "dpo" and "rl" in config.phases:
        raise ConfigError(f"rl.algorithm=dpo trains on one process, found device.num_processes={count}; leave it at 1, or use another")
    device, _ = resolve_device(config.device)
    launch_environment(on_cpu=device.type == "cpu")
    if device.type != "cuda":
        return
    if ":" in config.device.device:
        raise ConfigError(
            f"device.device={config.device.device} names one GPU for {count} processes, which take one each; use --set device.device=cuda"
        )
    found = torch.cuda.device_count()
    if count > found:
        raise DeviceError(f"{count} processes need a CUDA device each, and this machine has {found}; use --num-processes {found}")


def devices_of(config: RunConfig) -> list[str]:
    """The devices that a run takes, as ``cuda:1``; its first process has the first of them."""
    device, _ = resolve_device(config.device)
    count = config.device.num_processes
    return [f"cuda:{rank}" for rank in range(count)] if count > 1 and device.type == "cuda" else [str(device)]


def own_config(config: RunConfig, team: Team) -> RunConfig:
    """A run's configuration as one of its processes has it: a GPU of its own, and the CPU threads that it was started with."""
    if team.size == 1:
        return config
    on_cuda = resolve_device(config.device)[0].type == "cuda"
    return apply_overrides(config, ["device.num_threads=0", *([f"device.device=cuda:{team.rank}"] if on_cuda else [])])


def spread(paths: RunPaths, *, queue: bool, show_progress: bool, port: int | None = None) -> dict[str, Any]:
    """Carry a run on to its end on ``device.num_processes`` processes; gives its last evaluation.

    Args:
        paths: The run folder.
        queue: Wait until no other run trains on the same devices.
        show_progress: Draw progress bars.
        port: Where the processes meet; any free one when None.

    Raises:
        ConfigError: The port is in use.
        DeviceError: There are fewer GPUs than processes.
        RunBusyError: Another process has the run.
        RunStopped: A stop was asked for; everything is saved.
        WorkbenchError: What ended the run; its state is then failed and says so.
    """
    config = load_config(paths.config)
    check_processes(config)
    count = config.device.num_processes
    with RunLock(paths):  # told before anything is started
        for rank in range(count):
            error_file(paths, rank).unlink(missing_ok=True)
    with writing(paths.folder):
        paths.logs.mkdir(exist_ok=True)
        log_start = paths.launch_log.stat().st_size if paths.launch_log.exists() else 0
    words = [str(paths.folder.resolve()), *(["--queue"] if queue else [])]
    threads = max(1, (config.device.num_threads or open_threads()) // count)
    command = launch_command("workbench.recipes.process", *words, processes=count, threads=threads, port=checked_port(port))
    environment = launch_environment(on_cpu=resolve_device(config.device)[0].type == "cpu")
    with signals_stop(paths), paths.launch_log.open("ab") as log:
        # A session of its own: an interrupt at the keyboard is for this process, which asks them to save and stop.
        launcher = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            _watch(paths, launcher, show_progress=show_progress)
        except KeyboardInterrupt:
            launcher.terminate()
            launcher.wait()
            raise
    return _told(paths, processes=count, log_start=log_start)


def _watch(paths: RunPaths, launcher: "subprocess.Popen[bytes]", *, show_progress: bool) -> None:
    """Until no process has the run any more; a leader that has lost its launcher goes on alone to where its partners are missed."""
    quiet_libraries()
    bar: tqdm[Any] | None = None
    try:
        while launcher.poll() is None or effective(read_status(paths.status), paths.run_id)["state"] in _LIVE:
            time.sleep(_POLL_SECONDS)
            if show_progress:
                bar = _drawn(bar, read_status(paths.status) or {})
    finally:
        if bar is not None:
            bar.close()


def _drawn(bar: "tqdm[Any] | None", status: dict[str, Any]) -> "tqdm[Any] | None":
    phase, update, total = (status.get(name) for name in ("phase", "update", "total"))
    if not isinstance(phase, str) or not isinstance(update, int) or not isinstance(total, int):
        return bar
    if bar is None or bar.desc.removesuffix(": ") != phase:
        if bar is not None:
            bar.close()
        bar = tqdm(total=total, initial=update, desc=phase, dynamic_ncols=True)
    bar.update(update - bar.n)
    return bar


def _told(paths: RunPaths, *, processes: int, log_start: int) -> dict[str, Any]:
    """What became of the run, as :func:`spread` gives or raises it; a state that nobody could write any more is written here."""
    stored = read_status(paths.status) or {}
    state = stored.get("state")
    if state == "finished":
        newest = checkpoint.latest(paths.checkpoints / "evaluate")
        return dict(checkpoint.read_state(newest)["evaluation"]) if newest else {}
    reason = what_ended(paths, processes=processes, log_start=log_start)
    # Where one died, the launcher terminates the others, which may take that for a stop.
    if state == "stopped" and reason is None:
        raise RunStopped(str(stored.get("phase", "")), int(stored.get("update") or 0))
    known = str(stored.get("error", "")) if state == "failed" else ""
    if known and not (reason and _is_for_want_of_a_partner(known)):
        raise WorkbenchError(known)
    reason = f"{reason or 'the processes ended without a word'}; `workbench resume {paths.run_id}` continues from the last checkpoint"
    with RunLock(paths), writing(paths.folder):
        paths.stop.unlink(missing_ok=True)  # the launcher's own signal asked for it
        write_status(paths.status, {**stored, "state": "failed", "error": reason, "heartbeat": now()})
    raise StoreError(reason)


def _is_for_want_of_a_partner(error: str) -> bool:
    return error.startswith(PARTNER_GONE)
