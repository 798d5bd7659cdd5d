"""Runs on a Ray cluster: where they fit, what a lost worker means, and a sweep with a worker killed in the middle (slow)."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.app_pages import shown
from tests.small_runs import short_config
from workbench.cli import main
from workbench.errors import ConfigError, StoreError
from workbench.jobs.combinations import combinations
from workbench.jobs.resources import Resources
from workbench.jobs.sweep import Foreman, Row
from workbench.recipes.ray_launcher import RayLauncher, carry_on
from workbench.store.files import read_lines
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import list_runs
from workbench.store.status import read_status, write_status
from workbench.store.summary import RunSummary


class RayError(Exception):
    pass


class FakeRay(SimpleNamespace):
    """The few calls that the launcher makes; a task is the list of what it gives, empty while it goes on."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        super().__init__(exceptions=SimpleNamespace(RayError=RayError), asked={}, handed=[], down=False, started=[], left=0)
        self.address = ""
        self.cluster = [{"Resources": node, "Alive": True} for node in nodes]

    def init(self, **how: object) -> None:
        if self.down:
            raise ConnectionError("could not find\nany running Ray instance")
        self.started.append(how)

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(gcs_address=self.address)

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


def test_a_busy_machine_gets_a_second_try_at_a_ray_of_its_own(fake, monkeypatch):
    ray, begun = fake({"CPU": 2}), []

    def init(**how: object) -> None:
        begun.append(how)
        if len(begun) == 1:
            raise RuntimeError("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", init)
    assert len(RayLauncher(Resources()).devices) == 2
    assert begun[0] == begun[1] and begun[0]["_system_config"] == {"worker_niceness": 0} and ray.left == 1


def test_a_head_node_where_nobody_listens_is_noticed_before_ray_is_asked(fake, monkeypatch):
    monkeypatch.setattr("workbench.recipes.ray_launcher._HEAD_SECONDS", 0.01)
    ray = fake({"CPU": 2})
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        ray.address = f"127.0.0.1:{listening.getsockname()[1]}"
        launcher = RayLauncher(Resources())
        assert len(launcher.devices) == 2
    monkeypatch.setattr(ray, "nodes", lambda: pytest.fail("Ray waits a minute, then ends the process"))
    with pytest.raises(StoreError, match=rf"cannot be reached \(nobody answers at {ray.address}\); start it"):
        assert launcher.devices
    launcher.close()
    assert ray.left == 0, "nor is it asked to leave"


def test_ray_that_is_not_installed_is_named_with_its_extra(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ["taxi-smoke", "--launcher", "ray", "--runs-dir", str(tmp_path / "runs")]
    study = ["reproduce", "reflect-rl", "--worlds", "taxi", *words[1:]]
    for command in (["train", *words], ["sweep", *words, "--over", "seed=0,1"], study):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error == "workbench: --launcher ray needs Ray, which is not installed; pip install -e '.[ray]'\n"
    assert not (tmp_path / "runs").exists()


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path):
    told = carry_on(str(tmp_path / "elsewhere" / "run-1"), str(tmp_path))
    assert told is not None and f"does not see {tmp_path}/elsewhere/run-1: put the runs on a folder that all nodes share" in told


def test_a_study_that_is_only_looked_at_asks_for_no_cluster(fake, tmp_path, capsys):
    ray = fake({"CPU": 2})
    words = ["reproduce", "reflect-rl", "--worlds", "taxi", "--seeds", "1", "--launcher", "ray", "--runs-dir", str(tmp_path / "runs")]
    assert main([*words, "--dry-run"]) == 0, capsys.readouterr().err
    assert ray.started == [] and not (tmp_path / "runs").exists()
    assert main([*words, "--devices", "cpu"]) == 2
    assert "--devices is for --launcher local, found ray" in capsys.readouterr().err


def test_a_folder_that_is_not_shared_fails_its_runs_with_what_to_do(fake, tmp_path, monkeypatch):
    ray = fake({"CPU": 1})
    # The node's own file system: nothing is there under that path.
    monkeypatch.setattr(ray, "hand", lambda folder, called_in: [carry_on(f"{tmp_path}/node-7{folder}", called_in)])
    rows = [Row(one) for one in combinations(short_config(), ["seed=0,1"])]
    told: list[str] = []
    launcher = RayLauncher(Resources())
    Foreman(tmp_path / "runs", rows, launcher, lambda config, above: create_run(tmp_path / "runs", config), tell=told.append).carry_out()
    assert [row.state for row in rows] == ["failed", "failed"] and [row.launches for row in rows] == [1, 1], "trying again would not help"
    assert all("put the runs on a folder that all nodes share, and name it with --runs-dir" in str(row.error) for row in rows)
    assert ray.left == 1


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


# Real clusters --------------------------------------------------------------------------------------------

UPDATES = 60  # long enough for an onlooker to see the middle, on a fast machine, too
SHORT = [f"rl.max_steps={UPDATES}", "rl.save_steps=1", "rl.trajectories_per_update=8", "rl.eval_steps=0", "evaluation.trajectories=20"]
SHORT += ["data.trajectories=40", "data.negatives=20", "sft_reflection.max_steps=12", "sft_policy.max_steps=12", "device.num_threads=1"]
START_SECONDS = 900  # on a busy machine importing alone takes minutes


def words_of(root: Path, seeds: str) -> list[str]:
    settings = [word for one in SHORT for word in ("--set", one)]
    return ["sweep", "taxi-smoke", "--over", f"seed={seeds}", "--json", "--runs-dir", str(root), *settings]


@contextmanager
def started(words: Sequence[str], **more: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, all of which is gone afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | more
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, *words], stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def pid_of(run: RunSummary) -> int:
    return int((read_status(RunPaths(run.path).status) or {})["pid"])


def assert_the_page_agrees(root: Path) -> None:
    """What the list of runs shows is what their folders say, for every run whose state stays the same meanwhile."""
    before = {one.run: one.state for one in list_runs(root)}
    table = shown("runs").dataframe[0].value.set_index("Id")["State"]
    after = {one.run: one.state for one in list_runs(root)}
    same = [name for name, state in before.items() if after.get(name) == state]
    assert same and all(str(before[name]) in table[name] for name in same), (before, table.to_dict())


@dataclass
class Onlooker:
    """Looks at the run root as the app does, kills one run in the middle of its online learning, and checks what is shown."""

    root: Path
    killed: tuple[str, int] | None = None
    told: str = ""
    """What the killed run was shown as, once it was not running any more."""
    most_at_once: int = 0

    def look(self) -> None:
        is_dead = self.killed is not None and is_gone(self.killed[1])
        runs = list_runs(self.root)
        live = [one for one in runs if one.state == "running"]
        self.most_at_once = max(self.most_at_once, len(live))
        assert len(set(map(pid_of, live))) == len(live), "a process has one run"
        if self.killed is None:
            self._kill(live)
        elif not self.told:
            (row,) = [one for one in runs if one.run == self.killed[0]]
            again = len(RunPaths(row.path).attempt_logs()) == 2
            assert not (row.state == "running" and is_dead and not again), "without a process no run is shown as running"
            if row.state != "running":
                self.told = str(row.state)
                assert_the_page_agrees(self.root)

    def _kill(self, live: Sequence[RunSummary]) -> None:
        in_the_middle = next((one for one in live if one.phase == "rl" and (one.update or 0) >= 1), None)
        if in_the_middle is not None and len(live) > 1:
            self.killed = (in_the_middle.run, pid_of(in_the_middle))
            os.kill(self.killed[1], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_sweep_outlives_a_killed_worker(root):
    """Eight runs on two workers; one is killed -9 in the middle of its online learning."""
    pytest.importorskip("ray", reason="needs the extra ray")
    onlooker = Onlooker(root)
    with started(["-m", "workbench", *words_of(root, "0,1,2,3,4,5,6,7"), "--launcher", "ray"]) as process:
        while process.poll() is None:
            onlooker.look()
            time.sleep(0.2)
        out, error = process.communicate()
    assert process.returncode == 0, error
    found = json.loads(out.splitlines()[-1])
    assert (found["finished"], found["failed"]) == (8, 0) and onlooker.killed is not None
    runs = list_runs(root)
    assert len(runs) == 8 and {one.state for one in runs} == {"finished"}
    assert 2 <= onlooker.most_at_once <= (psutil.cpu_count() or 2)
    assert f"run {onlooker.killed[0]} lost its process" in out and onlooker.told in ("failed", "queued")
    assert_the_page_agrees(root)
    attempts = {one.run: len(RunPaths(one.path).attempt_logs()) for one in runs}
    assert attempts.pop(onlooker.killed[0]) == 2 and set(attempts.values()) == {1}, "nothing ran twice but what was lost"
    for one in runs:
        updates = [line["update"] for line in read_lines(RunPaths(one.path).metrics) if line["phase"] == "rl"]
        assert updates == [*range(1, UPDATES + 1)], "each update once"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_head_node_that_is_killed_ends_the_sweep_in_one_line(root, capsys):
    pytest.importorskip("ray", reason="needs the extra ray")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # A token of its own: nobody else on this machine may use the cluster of a test.
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_worker_niceness": "0"}
    start = ["-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus", "1", "--include-dashboard", "false"]
    start += ["--port", str(port), "--disable-usage-stats", "--object-store-memory", "80000000"]
    patience = time.monotonic() + START_SECONDS
    with (
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,  # socket paths have to be short
        started([*start, "--temp-dir", folder], **own) as head,
    ):
        while not answers(port):
            assert head.poll() is None and time.monotonic() < patience
            time.sleep(0.5)
        address = {"RAY_ADDRESS": f"127.0.0.1:{port}"}
        with started(["-m", "workbench", *words_of(root, "0"), "--launcher", "ray"], **own, **address) as process:
            while not [one for one in list_runs(root) if one.state == "running" and one.phase not in (None, "generate")]:
                assert process.poll() is None and time.monotonic() < patience, process.communicate()
                time.sleep(0.2)
            os.killpg(head.pid, signal.SIGKILL)
            out, error = process.communicate(timeout=300)
    assert process.returncode == 2, (out, error)
    told = [line for line in error.splitlines() if line.startswith("workbench: ")]
    assert len(told) == 1 and f"RAY_ADDRESS=127.0.0.1:{port}: the head node cannot be reached (nobody answers at " in told[0]
    (lost,) = list_runs(root)
    assert lost.state == "failed", "its worker went with the node"
    assert main([*words_of(root, "0"), "--launcher", "foreground"]) == 0, capsys.readouterr().err
    (run,) = list_runs(root)
    assert run.run == lost.run and run.state == "finished", "the same command, elsewhere, goes on with the run"


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False
