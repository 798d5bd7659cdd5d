"""Runs on a Ray cluster: where they fit, what a lost worker means, and a sweep with a worker killed in the middle (slow)."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.small_runs import short_config
from workbench.cli import main
from workbench.errors import ConfigError, StoreError
from workbench.jobs.resources import Resources
from workbench.recipes.ray_launcher import RayLauncher, carry_on
from workbench.store.files import read_lines
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import list_runs
from workbench.store.status import read_status, write_status


class RayError(Exception):
    pass


class FakeRay(SimpleNamespace):
    """The few calls that the launcher makes; a task is the list of what it gives, empty while it goes on."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        super().__init__(exceptions=SimpleNamespace(RayError=RayError), asked={}, handed=[], down=False, started=[], left=0)
        self.cluster = [{"Resources": node, "Alive": True} for node in nodes]

    def init(self, **how: object) -> None:
        if self.down:
            raise ConnectionError("could not find\nany running Ray instance")
        self.started.append(how)

    def nodes(self) -> list[dict[str, Any]]:
        if self.down:
            raise RayError("GCS is gone")
        return self.cluster

    def remote(self, **asked: object) -> Any:
        self.asked = asked
        return lambda function: SimpleNamespace(remote=self.hand)

    def hand(self, *words: str) -> list[object]:
        self.handed.append(words)
        task: list[object] = []
        self.task = task
        return task

    def wait(self, tasks: list[list[object]], timeout: float) -> tuple[list[object], list[object]]:
        over = [task for task in tasks if task]
        return list(over), [task for task in tasks if not task]

    def get(self, task: list[object]) -> object:
        if isinstance(task[0], Exception):
            raise task[0]
        return task[0]

    def shutdown(self) -> None:
        self.left += 1


@pytest.fixture
def fake(monkeypatch):
    def install(*nodes: dict[str, float]) -> FakeRay:
        found = FakeRay(*nodes)
        monkeypatch.setitem(sys.modules, "ray", found)
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        return found

    return install


def test_as_many_runs_at_once_as_the_nodes_hold(fake):
    ray = fake({"CPU": 8, "GPU": 2, "memory": 64e9}, {"CPU": 3, "memory": 64e9})
    assert len(RayLauncher(Resources(cpus=1)).devices) == 11
    assert len(RayLauncher(Resources(cpus=2)).devices) == 4 + 1, "no run lies on two nodes"
    assert len(RayLauncher(Resources(cpus=1, gpus=1)).devices) == 2
    assert len(RayLauncher(Resources(cpus=1, memory_gb=40)).devices) == 2
    assert ray.asked == {"max_retries": 0, "max_calls": 1, "num_cpus": 1, "num_gpus": 0, "memory": 40 * 1024**3}
    assert ray.started[0]["address"] == "local" and ray.started[0]["include_dashboard"] is False
    ray.cluster[0]["Alive"] = False
    assert len(RayLauncher(Resources(cpus=1)).devices) == 3


def test_a_run_that_fits_nowhere_is_refused(fake):
    ray = fake({"CPU": 2, "memory": 8e9})
    with pytest.raises(ConfigError) as caught:
        RayLauncher(Resources(cpus=1, gpus=4, memory_gb=2))
    told = "no node of the Ray cluster has what a run asks for (4 GPUs, 1 cores, 2 GB); ask for less, or add a node"
    assert str(caught.value) == told and ray.left == 1, "the cluster is left again"


def test_what_became_of_a_task(fake, tmp_path):
    ray, paths = fake({"CPU": 2}), create_run(tmp_path, short_config())
    launcher = RayLauncher(Resources())
    assert (launcher.is_gone(paths), launcher.problem(paths)) == (False, None), "never handed over"
    launcher.launch(paths)
    assert ray.handed == [(str(paths.folder), str(Path.cwd()))]
    assert (launcher.is_gone(paths), launcher.problem(paths)) == (False, None), "it goes on"
    ray.task.append(RayError("the worker was killed"))
    assert (launcher.is_gone(paths), launcher.problem(paths)) == (True, None), "its folder tells how far it came"
    launcher.launch(paths)
    assert not launcher.is_gone(paths), "the new one counts"
    ray.task.append("node-7 does not see it")
    assert launcher.problem(paths) == "node-7 does not see it"


def test_a_head_node_that_is_not_there_or_goes_away_is_told(fake, monkeypatch):
    ray = fake({"CPU": 2})
    launcher = RayLauncher(Resources())
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    far = RayLauncher(Resources())
    assert ray.started[-1]["address"] == "192.0.2.1:6379"
    ray.down = True
    with pytest.raises(StoreError, match=r"^RAY_ADDRESS=192.0.2.1:6379: the head node cannot be reached \(GCS is gone\); start it"):
        assert far.devices
    with pytest.raises(StoreError, match=r"cannot be reached \(could not find any running Ray instance\)"):
        RayLauncher(Resources())
    with pytest.raises(StoreError, match=r"^this machine's own Ray does not run \(GCS is gone\)"):
        assert launcher.devices


def test_ray_that_is_not_installed_is_named_with_its_extra(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ["taxi-smoke", "--launcher", "ray", "--runs-dir", str(tmp_path / "runs")]
    for command in (["train", *words], ["sweep", *words, "--over", "seed=0,1"]):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error == "workbench: --launcher ray needs Ray, which is not installed; pip install -e '.[ray]'\n"
    assert not (tmp_path / "runs").exists()


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path):
    told = carry_on(str(tmp_path / "elsewhere" / "run-1"), str(tmp_path))
    assert told is not None and f"does not see {tmp_path}/elsewhere/run-1: put the runs on a folder that all nodes share" in told


def test_a_worker_says_who_it_is_before_anything_else(tmp_path, monkeypatch):
    paths = create_run(tmp_path, short_config())
    seen: list[dict[str, Any]] = []

    def stand_in(paths: RunPaths, **how: object) -> None:
        seen.append(read_status(paths.status) or {})
        raise StoreError("and then it broke")

    monkeypatch.setattr("workbench.recipes.execute.execute", stand_in)
    monkeypatch.chdir(tmp_path)
    assert carry_on(str(paths.folder), str(tmp_path)) is None, "the run's folder tells the rest"
    assert (seen[0]["state"], seen[0]["pid"]) == ("queued", os.getpid())


def test_a_stop_that_is_asked_for_while_a_worker_starts_is_heard(tmp_path, monkeypatch):
    paths = create_run(tmp_path, short_config())
    monkeypatch.setattr("workbench.recipes.execute.execute", lambda *words, **how: pytest.fail("it must not run"))
    paths.stop.touch()
    assert carry_on(str(paths.folder), str(tmp_path)) is None
    assert (read_status(paths.status) or {})["state"] == "stopped" and not paths.stop.exists()


@pytest.mark.parametrize("state", ["stopped", "running", "finished"])
def test_what_does_not_wait_any_more_is_left_alone(tmp_path, monkeypatch, state):
    paths = create_run(tmp_path, short_config())
    monkeypatch.setattr("workbench.recipes.execute.execute", lambda *words, **how: pytest.fail("it must not run"))
    write_status(paths.status, {"state": state})
    assert carry_on(str(paths.folder), str(tmp_path)) is None
    assert read_status(paths.status) == {"state": state}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_sweep_outlives_a_killed_worker(tmp_path):
    """Eight runs on two workers; one is killed -9 in the middle of its online learning."""
    pytest.importorskip("ray", reason="needs the extra ray")
    root = tmp_path / "runs"
    settings = ("rl.save_steps=1", "rl.max_steps=6", "evaluation.trajectories=50", "record.trajectories_every=1")
    command = [sys.executable, "-m", "workbench", "sweep", "taxi-smoke", "--over", "seed=0,1,2,3,4,5,6,7", "--launcher", "ray", "--json"]
    command += ["--runs-dir", str(root), *(word for one in settings for word in ("--set", one))]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    killed, at_once = None, 0
    while process.poll() is None:
        live = [one for one in list_runs(root) if one.state == "running"]
        at_once = max(at_once, len(live))
        in_the_middle = next((one for one in live if one.phase == "rl" and (one.update or 0) >= 1), None)
        if killed is None and in_the_middle is not None and len(live) > 1:
            status = read_status(RunPaths(in_the_middle.path).status) or {}
            killed = (in_the_middle.run, status["pid"])
            os.kill(status["pid"], signal.SIGKILL)
        time.sleep(0.2)
    out, error = process.communicate()
    assert process.returncode == 0, error
    found = json.loads(out.splitlines()[-1])
    assert (found["finished"], found["failed"]) == (8, 0) and killed is not None
    runs = list_runs(root)
    assert len(runs) == 8 and {one.state for one in runs} == {"finished"} and at_once <= 2 <= (psutil.cpu_count() or 1)
    assert f"run {killed[0]} lost its process" in out
    attempts = {one.run: len(RunPaths(one.path).attempt_logs()) for one in runs}
    assert attempts.pop(killed[0]) == 2 and set(attempts.values()) == {1}, "nothing ran twice but what was lost"
    for one in runs:
        updates = [line["update"] for line in read_lines(RunPaths(one.path).metrics) if line["phase"] == "rl"]
        assert updates == [1, 2, 3, 4, 5, 6], "each update once"
