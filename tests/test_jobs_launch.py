import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.store_records import make_run
from workbench.config import RunConfig
from workbench.errors import RunBusyError, StoreError
from workbench.jobs.launch import request_stop, start, submit
from workbench.store.files import read_json
from workbench.store.layout import find_run
from workbench.store.reader import Run
from workbench.store.status import process_identity, write_status
from workbench.store.writer import RunWriter

# Stands in for the command line: says who it is, and waits to be released.
FAKE = """
import json, os, sys, time
print("on standard output", flush=True)
print("on standard error", file=sys.stderr, flush=True)
facts = {"argv": sys.argv[1:], "pid": os.getpid(), "session": os.getsid(0), "stdin": sys.stdin.read()}
folder = os.path.join(sys.argv[4], sys.argv[2])
with open(os.path.join(folder, "facts.tmp"), "w") as file:
    json.dump(facts, file)
os.rename(os.path.join(folder, "facts.tmp"), os.path.join(folder, "facts.json"))
while not os.path.exists(os.path.join(folder, "release")):
    time.sleep(0.02)
"""


@pytest.fixture
def fake_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m workbench`` is ``FAKE`` for processes started from here."""
    package = tmp_path / "cwd" / "workbench"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE)
    monkeypatch.chdir(package.parent)


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def facts_of(folder: Path) -> dict[str, Any]:
    wait_for((folder / "facts.json").exists)
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return facts


@pytest.mark.usefixtures("fake_command_line")
def test_submit_starts_a_process_that_belongs_to_nobody(tmp_path):
    root = tmp_path / "my runs"
    run = submit(RunConfig(preset="taxi-smoke"), root, parent="older")
    paths = find_run(root, run)
    assert Run(paths).meta()["parent"] == "older" and Run(paths).status()["state"] == "queued"
    facts = facts_of(paths.folder)
    assert facts["argv"] == ["resume", run, "--runs-dir", str(root), "--queue"]
    assert facts["session"] == facts["pid"] != os.getsid(0) and facts["stdin"] == ""
    process = psutil.Process(facts["pid"])
    assert process.ppid() != os.getpid() and facts["pid"] not in [child.pid for child in psutil.Process().children(recursive=True)]
    assert Run(paths).log_tail() == "on standard output\non standard error"
    (paths.folder / "release").touch()
    wait_for(lambda: not psutil.pid_exists(facts["pid"]) or psutil.Process(facts["pid"]).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.usefixtures("fake_command_line")
def test_start_queues_an_ended_run_again(tmp_path, monkeypatch):
    paths = make_run(tmp_path / "runs")
    RunWriter(paths).status("failed", error="it broke", device="cpu", update=4, phase="rl")
    paths.stop.touch()
    (paths.folder / "release").touch()
    monkeypatch.chdir(tmp_path / "cwd")
    start("../runs", paths.run_id)
    assert facts_of(paths.folder)["argv"][3] == str(tmp_path / "runs")
    stored = read_json(paths.status)
    assert stored is not None and not {"error", "pid", "pid_started", "host"} & set(stored)
    assert (stored["state"], stored["update"], stored["phase"]) == ("queued", 4, "rl") and not paths.stop.exists()
    with pytest.raises(RunBusyError, match="is queued already"):
        start(tmp_path / "runs", paths.run_id)


def test_a_live_run_is_not_started_twice(tmp_path):
    paths = make_run(tmp_path)
    RunWriter(paths).status("running")
    with pytest.raises(RunBusyError, match=f"run {paths.run_id} is running already; stop it first with `workbench stop {paths.run_id}`"):
        start(tmp_path, paths.run_id)


def test_a_process_that_cannot_start_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(StoreError, match="cannot be") as caught:
        submit(RunConfig(), tmp_path / "runs")
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="unknown run"):
        start(tmp_path / "runs", "nothing")


def test_stop_asks_a_live_run(tmp_path):
    paths = make_run(tmp_path)
    RunWriter(paths).status("running")
    assert request_stop(paths) == "stopping"
    assert paths.stop.exists() and Run(paths).status()["state"] == "running"
    assert request_stop(paths) == "stopping"


def test_stop_ends_a_queued_run_that_no_process_has(tmp_path):
    paths = make_run(tmp_path)
    assert request_stop(paths) == "stopped"
    assert paths.stop.exists() and Run(paths).status()["state"] == "stopped"


def test_stop_asks_a_queued_run_whose_process_waits(tmp_path):
    paths = make_run(tmp_path)
    RunWriter(paths).status("queued")
    assert request_stop(paths) == "stopping"
    assert paths.stop.exists() and Run(paths).status()["state"] == "queued"


@pytest.mark.parametrize("state", ["finished", "failed", "stopped"])
def test_stop_leaves_an_ended_run_alone(tmp_path, state):
    paths = make_run(tmp_path)
    RunWriter(paths).status(state)
    assert request_stop(paths) == state and not paths.stop.exists()


def test_stop_of_a_run_whose_process_is_gone_says_failed(tmp_path):
    paths = make_run(tmp_path)
    write_status(paths.status, {"state": "running", **process_identity(), "pid_started": 1.0})
    assert request_stop(paths) == "failed" and not paths.stop.exists()
