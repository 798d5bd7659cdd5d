"""Runs as tasks of a Ray cluster: one that lives in this process by default, a real one where ``RAY_ADDRESS`` names it.

Ray only finds a place with the GPUs, cores and memory that a run asks for. It never tries a task again by itself: whether a run
lives is read from its folder, which its worker locks, so that no run is ever carried on twice at once.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import ConfigError, RunStopped, StoreError, WorkbenchError
from workbench.jobs.resources import Resources
from workbench.store.files import now, writing
from workbench.store.layout import RunPaths, folder_problem
from workbench.store.status import process_identity, read_status, write_status

_GIGA = 1024**3
_LOCAL_TRIES = 2
"""Of starting this machine's own Ray: its parts wait for one another for seconds, which on a busy machine is not always enough."""
_HEAD_TRIES = 3
_HEAD_SECONDS = 2.0
_OBJECT_STORE_BYTES = 80 * 1024**2
"""Near Ray's least: tasks exchange nothing but the name of a folder."""


class RayLauncher:
    """A Ray task for each run, as many at once as the cluster holds.

    Args:
        resources: What each run asks for.

    Raises:
        ConfigError: Ray is not installed, or the cluster has nowhere what a run asks for.
        StoreError: The cluster cannot be reached.
    """

    def __init__(self, resources: Resources) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError("--launcher ray needs Ray, which is not installed; pip install -e '.[ray]'") from None
        self._ray: Any = ray
        self._head = ""
        self._tasks: dict[Path, Any] = {}
        self._address = os.environ.get("RAY_ADDRESS")
        asked: dict[str, Any] = {"num_cpus": resources.cpus, "num_gpus": resources.gpus}
        if resources.memory_gb is not None:
            asked["memory"] = int(resources.memory_gb * _GIGA)
        self._connect()
        self._needs = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": asked.get("memory", 0)}
        # One worker process for one run: the next begins with nothing in memory.
        self._task = ray.remote(max_retries=0, max_calls=1, **asked)(carry_on)
        if not self.devices:
            self.close()
            raise ConfigError(f"no node of the Ray cluster has what a run asks for ({self._told()}); ask for less, or add a node")

    @property
    def devices(self) -> Sequence[str]:
        """A place for each run that fits beside the others; the worker finds its own device.

        Raises:
            StoreError: The cluster cannot be reached any more.
        """
        with self._reached():
            nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return ("",) * sum(self._fits(node) for node in nodes)

    def launch(self, paths: RunPaths) -> None:
        """Hand the run to the cluster.

        Raises:
            StoreError: The cluster cannot be reached any more.
        """
        with self._reached():
            self._tasks[paths.folder] = self._task.remote(str(paths.folder.resolve()), str(Path.cwd()))

    def problem(self, paths: RunPaths) -> str | None:
        """Why the worker could not begin; None where it did, or has not said yet.

        Raises:
            StoreError: The cluster cannot be reached any more.
        """
        task = self._tasks.get(paths.folder)
        if task is None or not self._is_over(task):
            return None
        try:
            told: str | None = self._ray.get(task)
        except self._ray.exceptions.RayError:  # the worker died: the run's folder says how far it came
            return None
        return told

    def is_gone(self, paths: RunPaths) -> bool:
        """True when the run's task is over, however it ended."""
        task = self._tasks.get(paths.folder)
        return task is not None and self._is_over(task)

    def close(self) -> None:
        """Leave the cluster; one of this process ends with its tasks."""
        if self._head_answers():
            self._ray.shutdown()

    def _connect(self) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR", "ignore_reinit_error": True}
        # By itself Ray gives its workers only what others leave of the cores.
        own: dict[str, Any] = {"object_store_memory": _OBJECT_STORE_BYTES, "_system_config": {"worker_niceness": 0}}
        own = {"address": self._address} if self._address else {"address": "local", "include_dashboard": False, **own}
        for left in reversed(range(1 if self._address else _LOCAL_TRIES)):
            try:
                self._ray.init(**own, **quiet)
                self._head = str(self._ray.get_runtime_context().gcs_address)
                return
            except Exception as error:  # where a part of it does not start in time, Ray raises just that
                if not left:
                    raise self._lost(error) from None
                self._ray.shutdown()

    def _head_answers(self) -> bool:
        """Whether somebody listens where the head node is; Ray itself ends this process, without a word, a minute after nobody does."""
        host, _, port = self._head.rpartition(":")
        if not port.isdecimal():
            return True
        for left in reversed(range(_HEAD_TRIES)):
            try:
                with socket.create_connection((host.strip("[]"), int(port)), timeout=_HEAD_SECONDS):
                    return True
            except OSError:
                time.sleep(_HEAD_SECONDS if left else 0)
        return False

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            if not self._head_answers():
                raise ConnectionError(f"nobody answers at {self._head}")
            yield
        except (ConnectionError, OSError, RuntimeError, self._ray.exceptions.RayError) as error:
            raise self._lost(error) from None

    def _lost(self, error: BaseException) -> StoreError:
        reason = " ".join(str(error).split())[:200]
        if self._address:
            return StoreError(
                f"RAY_ADDRESS={self._address}: the head node cannot be reached ({reason}); start it, or unset RAY_ADDRESS to use "
                "this machine alone; the same command goes on with the runs"
            )
        return StoreError(f"this machine's own Ray does not run ({reason}); the same command starts it again and goes on with the runs")

    def _is_over(self, task: Any) -> bool:
        with self._reached():
            over, _ = self._ray.wait([task], timeout=0)
        return bool(over)

    def _fits(self, node: dict[str, float]) -> int:
        return min(int(node.get(name, 0) // asked) for name, asked in self._needs.items() if asked)

    def _told(self) -> str:
        memory = f", {self._needs['memory'] / _GIGA:g} GB" if self._needs["memory"] else ""
        return f"{self._needs['GPU']} GPUs, {self._needs['CPU']} cores{memory}"


def carry_on(folder: str, called_in: str) -> str | None:
    """In a worker: carry a run on to its end; gives what kept it from beginning, and None where the run's folder tells the rest."""
    paths = RunPaths(Path(folder))
    if folder_problem(paths.folder) is not None:
        return (
            f"{socket.gethostname()} does not see {folder}: put the runs on a folder that all nodes share, and name it with "
            "--runs-dir or WORKBENCH_RUNS"
        )
    stored = read_status(paths.status)
    if stored is None or stored.get("state") != "queued":
        return None  # somebody stopped it while it waited, or has it already
    with writing(paths.folder):  # from here on it is known who has it, however long the imports take
        write_status(paths.status, {**stored, **process_identity(), "heartbeat": now()})
    if Path(called_in).is_dir():
        os.chdir(called_in)  # where a person's own environment is found
    from workbench.recipes.execute import execute

    if paths.stop.exists():  # asked for while it waited
        with writing(paths.folder):
            paths.stop.unlink(missing_ok=True)
            write_status(paths.status, {**stored, "state": "stopped", "heartbeat": now()})
        return None
    with contextlib.suppress(WorkbenchError, RunStopped):  # they stand in status.json
        execute(paths, queue=False, show_progress=False)
    return None
