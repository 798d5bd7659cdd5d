import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from workbench.store.status import effective, is_alive, process_identity


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def test_this_process_is_alive():
    assert process_identity()["pid"] == os.getpid()
    assert is_alive(process_identity())


def test_a_reused_pid_is_another_process():
    status = process_identity()
    assert not is_alive({**status, "pid_started": status["pid_started"] - 60})


def test_a_process_that_ended_is_dead_also_as_a_zombie():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    status = {"pid": child.pid, "pid_started": psutil.Process(child.pid).create_time(), "host": socket.gethostname()}
    assert is_alive(status)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, but not yet reaped
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE and not is_alive(status)
    assert child.stdin is not None
    child.stdin.close()
    child.wait()
    assert not is_alive(status)


@pytest.mark.parametrize("pid", [None, 0, -1, True, "12", 10**30, 1.5, [1]])
def test_no_sensible_pid_is_dead(pid):
    assert not is_alive({**process_identity(), "pid": pid})


@pytest.mark.parametrize("started", [None, "x", float("nan"), 10**400])
def test_no_sensible_start_time_is_dead(started):
    assert not is_alive({**process_identity(), "pid_started": started})


def test_another_host_is_trusted_while_its_heart_beats():
    status = {**process_identity(), "pid": 1, "host": "elsewhere", "state": "running"}
    assert is_alive({**status, "heartbeat": ago(60)})
    assert not is_alive({**status, "heartbeat": ago(121)})
    assert not is_alive({**status, "heartbeat": "yesterday"})
    assert effective({**status, "heartbeat": ago(121)}, "r")["state"] == "failed"


@pytest.mark.parametrize("state", ["running", "stopping"])
def test_no_run_is_live_without_its_process(state):
    dead = {"state": state, "pid": 2**22 + 1, "pid_started": 1.0, "host": socket.gethostname(), "heartbeat": ago(1), "phase": "rl"}
    found = effective(dead, "my-run")
    assert found["state"] == "failed" and found["phase"] == "rl"
    assert found["error"] == "the process ended without a word; `workbench resume my-run` continues from the last checkpoint"
    assert effective({**dead, **process_identity()}, "my-run")["state"] == state


def test_a_queued_run_waits_a_minute_for_its_process():
    assert effective({"state": "queued", "heartbeat": ago(30)}, "r")["state"] == "queued"
    found = effective({"state": "queued", "heartbeat": ago(61)}, "r")
    assert found["state"] == "stopped" and "`workbench resume r` starts it" in found["error"]
    assert effective({"state": "queued", "heartbeat": ago(9999), **process_identity()}, "r")["state"] == "queued"


def test_a_process_that_is_slow_to_begin_is_no_lost_one():
    code = "import time; print(flush=True); time.sleep(60)"
    command = [sys.executable, "-S", "-c", code, "resume", "slow-run", "--runs-dir", "/", "--queue"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as job:
        assert job.stdout is not None and job.stdout.readline()
        try:
            assert effective({"state": "queued", "heartbeat": ago(500)}, "slow-run")["state"] == "queued"
            assert effective({"state": "queued", "heartbeat": ago(500)}, "other-run")["state"] == "stopped"
        finally:
            job.kill()
    assert effective({"state": "queued", "heartbeat": ago(500)}, "slow-run")["state"] == "stopped"


@pytest.mark.parametrize("state", ["stopped", "finished", "failed"])
def test_an_end_stays_an_end(state):
    assert effective({"state": state, "error": "e"}, "r") == {"state": state, "error": "e"}


@pytest.mark.parametrize("status", [None, {}, {"state": "weird"}, {"state": ["running"]}, {"state": None}])
def test_a_damaged_status_is_a_failure_with_a_remedy(status):
    found = effective(status, "r")
    assert found["state"] == "failed" and "`workbench resume r`" in found["error"]
