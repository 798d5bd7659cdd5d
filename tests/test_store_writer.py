import errno
import json
import math
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from tests.store_records import ids, make_run, make_trajectory, names
from workbench.errors import RunBusyError, StoreError
from workbench.store.files import read_lines
from workbench.store.reader import Run
from workbench.store.writer import RunLock, RunWriter

# Lines -----------------------------------------------------------------------------------------------------------


def test_metrics_are_json_lines_with_null_for_what_is_no_number(tmp_path):
    paths = make_run(tmp_path)
    values: dict[str, Any] = {"a/b": 0.5, "nan": math.nan, "inf": -math.inf, "numpy": np.float32(0.25), "count": np.int64(3)}
    RunWriter(paths).metrics("rl", 7, values)
    text = paths.metrics.read_text()
    line = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert text.endswith("}\n") and text.count("\n") == 1
    assert line.pop("time").endswith("+00:00")
    assert line == {"phase": "rl", "update": 7, "a/b": 0.5, "nan": None, "inf": None, "numpy": 0.25, "count": 3}


def test_text_cannot_break_a_line(tmp_path):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    target.event("warning", "two\nlines \u2028 and \ud800", path=tmp_path)
    target.event("warning", "next")
    assert [line["message"] for line in read_lines(paths.events)] == ["two\nlines \u2028 and ?", "next"]


def test_a_torn_last_line_is_cut_before_the_next(tmp_path):
    paths = make_run(tmp_path)
    RunWriter(paths).metrics("rl", 1, {"a/b": 1.0})
    with paths.metrics.open("ab") as file:
        file.write(b'{"phase": "rl", "upd' + b"x" * 200_000)
    RunWriter(paths).metrics("rl", 2, {"a/b": 2.0})
    assert [line["update"] for line in read_lines(paths.metrics)] == [1, 2]
    assert paths.metrics.read_bytes().count(b"\n") == 2


def test_a_file_that_is_one_torn_line_becomes_empty(tmp_path):
    paths = make_run(tmp_path)
    paths.metrics.write_bytes(b"{" * 200_000)
    assert RunWriter(paths).position()["metrics"] == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_leaves_no_half_line(tmp_path, monkeypatch, code):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    target.metrics("rl", 1, {"a/b": 1.0})
    before = paths.metrics.read_bytes()
    fill_disk(monkeypatch, code)
    with pytest.raises(StoreError) as caught:
        target.metrics("rl", 2, {"a/b": 2.0})
    assert str(caught.value) == f"{paths.folder}: the disk is full; free space, then `workbench resume {paths.run_id}`"
    assert paths.metrics.read_bytes() == before


def fill_disk(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real, calls = os.write, []

    def write(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(code, os.strerror(code))
        return real(descriptor, bytes(data)[:10])

    monkeypatch.setattr(os, "write", write)


def test_a_full_disk_keeps_parts_and_status_whole_and_rows_for_later(tmp_path, monkeypatch):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    target.status("running")
    status = paths.status.read_bytes()
    target.trajectories([make_trajectory(1)])
    with monkeypatch.context() as patch:
        fill_disk(patch, errno.ENOSPC)
        with pytest.raises(StoreError, match="disk is full"):
            target.flush()
        with pytest.raises(StoreError, match="disk is full"):
            target.status("finished")
    assert names(paths.trajectories) == [] and paths.status.read_bytes() == status
    assert not [name for name in names(paths.folder) if name.startswith(".")]
    target.flush()
    assert ids(Run(paths)) == ["rl-000000-0001"]


def test_a_folder_that_is_gone_is_one_line(tmp_path):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    paths.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be written: No such file or directory"):
        target.event("x", "y")
    target.trajectories([make_trajectory(1)])
    with pytest.raises(StoreError, match="cannot be written"):
        target.flush()


# Status, stop, attempts, lock ------------------------------------------------------------------------------------


def test_status_keeps_progress_and_forgets_errors(tmp_path):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    target.status("running", device="cpu")
    target.beat("rl", 3, 120)
    target.status("failed", error="no")
    assert {**Run(paths).status(), "pid": 0}.items() >= {
        "state": "failed",
        "error": "no",
        "phase": "rl",
        "update": 3,
        "device": "cpu",
    }.items()
    again = RunWriter(paths)
    again.status("running")
    status = Run(paths).status()
    assert "error" not in status and status["update"] == 3 and status["pid"] == os.getpid() and status["total"] == 120


def test_heartbeats_are_throttled(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    target.status("running")
    target.beat("rl", 1, 10)
    assert Run(paths).status()["update"] == 1, "a phase that begins is told at once"
    clock[0] += 1.0
    target.beat("rl", 2, 10)
    assert Run(paths).status()["update"] == 1
    clock[0] += 1.0
    target.beat(update=2)
    assert Run(paths).status()["update"] == 2 and Run(paths).status()["phase"] == "rl"


def test_stop_is_asked_for_and_forgotten(tmp_path):
    target = RunWriter(make_run(tmp_path))
    assert not target.stop_requested()
    target.paths.stop.touch()
    assert target.stop_requested()
    target.clear_stop()
    target.clear_stop()
    assert not target.stop_requested()


def test_attempts_are_counted(tmp_path):
    target = RunWriter(make_run(tmp_path))
    assert [target.start_attempt().name for _ in range(11)][-1] == "attempt-11.log"
    assert target.start_attempt().name == "attempt-12.log"


def test_a_second_process_is_told_who_holds_the_run(tmp_path):
    paths = make_run(tmp_path)
    code = f"""
import sys
from pathlib import Path
from workbench.store.layout import RunPaths
from workbench.store.writer import RunLock, RunWriter
paths = RunPaths(Path({str(paths.folder)!r}))
with RunLock(paths):
    RunWriter(paths).status("running")
    print("held", flush=True)
    sys.stdin.readline()
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with (
            pytest.raises(RunBusyError, match=f"run {paths.run_id} is held by process {holder.pid}; wait for it, or stop it"),
            RunLock(paths),
        ):
            pytest.fail("the run was taken twice")
    finally:
        holder.kill()
        holder.wait()
    with RunLock(paths):
        pass
    with RunLock(paths):
        assert names(paths.folder) == ["checkpoints", "config.yaml", "data", "logs", "meta.json", "status.json", "trajectories"]


def test_a_phase_is_written_when_it_begins_and_then_seldom(tmp_path):
    writer = RunWriter(make_run(tmp_path))
    writer.beat("generate", 1, 9)
    writer.beat("generate", 2, 9)
    writer.beat("sft-policy", 1, 40)
    assert json.loads(writer.paths.status.read_text())["phase"] == "sft-policy"
    writer.beat("sft-policy", 2, 40)
    assert json.loads(writer.paths.status.read_text())["update"] == 1
