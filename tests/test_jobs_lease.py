import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.store_records import make_run
from workbench.jobs import lease
from workbench.jobs.lease import DeviceLease, other_live_runs
from workbench.store.reader import list_runs
from workbench.store.status import write_status
from workbench.store.writer import RunWriter

HOLD = """
import sys
from workbench.jobs.lease import DeviceLease
lease = DeviceLease(sys.argv[1], "cpu")
assert lease.acquire(False, lambda: False)
print("held", flush=True)
sys.stdin.readline()
"""


def never() -> bool:
    return False


def test_one_training_per_device_until_the_process_dies(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert not DeviceLease(tmp_path, "cpu").acquire(False, never)
        with DeviceLease(tmp_path, "cuda:0") as other:
            assert other.acquire(False, never)
    finally:
        holder.kill()
        holder.wait()
    with DeviceLease(tmp_path, "cpu") as free:
        assert free.acquire(False, never) and free.acquire(False, never)
    assert list_runs(tmp_path) == []


def test_waiting_ends_when_the_device_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "_POLL_SECONDS", 0.0)
    held, waiting = DeviceLease(tmp_path, "cpu"), DeviceLease(tmp_path, "cpu")
    assert held.acquire(False, never)
    asked = []

    def release_at_the_third_time() -> bool:
        asked.append(True)
        if len(asked) == 3:
            held.release()
        return False

    assert waiting.acquire(True, release_at_the_third_time) and len(asked) == 3
    waiting.release()
    waiting.release()


def test_waiting_can_be_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "_POLL_SECONDS", 0.0)
    held = DeviceLease(tmp_path, "cpu")
    assert held.acquire(False, never)
    answers = iter([False, False, True])
    assert not DeviceLease(tmp_path, "cpu").acquire(True, lambda: next(answers))
    assert list(answers) == []
    held.release()


def test_a_device_name_cannot_leave_the_root(tmp_path):
    assert DeviceLease(tmp_path, "../../cuda:1").path.parent == tmp_path
    assert DeviceLease(tmp_path, "cuda:1").path != DeviceLease(tmp_path, "cuda:0").path


@pytest.fixture
def neighbour() -> Iterator[subprocess.Popen[str]]:
    """Another live process."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_other_live_runs_are_of_another_process_and_the_same_device(tmp_path: Path, neighbour):
    who = {"pid": neighbour.pid, "pid_started": psutil.Process(neighbour.pid).create_time(), "host": socket.gethostname()}
    expected = []
    for state, device in (("running", "cpu"), ("stopping", "cpu"), ("running", "cuda:0"), ("queued", "cpu"), ("finished", "cpu")):
        paths = make_run(tmp_path)
        write_status(paths.status, {"state": state, "device": device, **who})
        if state != "queued" and device == "cpu" and state != "finished":
            expected.append(paths.run_id)
    RunWriter(make_run(tmp_path)).status("running", device="cpu")
    assert sorted(other_live_runs(tmp_path, "cpu")) == sorted(expected)
