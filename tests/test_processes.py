"""One run on several processes that accelerate starts: what is refused, what becomes of one that dies, and (slow) the same losses."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.small_runs import chain_config, lines, short_config
from workbench.cli import main
from workbench.config import RunConfig, apply_overrides, dump_config, load_config, load_preset
from workbench.dashboard.launch import command_line
from workbench.errors import ConfigError, DeviceError, RunStopped, StoreError, WorkbenchError
from workbench.jobs.processes import checked_port, error_file, launch_command, launch_environment, what_ended
from workbench.recipes import spread
from workbench.recipes.amend import amend
from workbench.recipes.execute import execute, prepare_run
from workbench.recipes.launching import check
from workbench.recipes.spread import check_processes, devices_of, own_config
from workbench.rollout.team import ALONE, ProcessTeam
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import Run
from workbench.store.status import effective, read_status, write_status

CLOSE = 1e-5
TWO = "device.num_processes=2"


def one_line(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    return said.removeprefix("workbench: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--num-processes", "2"), "--num-processes is for --launcher accelerate, and there is no --launcher"),
        (("--main-process-port", "29500"), "--main-process-port is for --launcher accelerate"),
        (("--launcher", "accelerate"), "--launcher accelerate needs --num-processes N"),
        (("--launcher", "accelerate", "--num-processes", "0"), "--num-processes must be between 1 and 64, found 0"),
        (("--launcher", "ray", "--num-processes", "2"), "--num-processes is for --launcher accelerate, found --launcher ray"),
        (("--launcher", "slurm", "--dry-run", "--set", TWO), "--launcher slurm gives a run one process, found device.num_processes=2"),
        (("--launcher", "ray", "--set", TWO), "--launcher ray gives a run one process"),
        (("--launcher", "accelerate", "--num-processes", "2", "--main-process-port", "80"), "must be between 1024 and 65535, found 80"),
    ],
)
def test_what_does_not_go_together_is_one_line(capsys, tmp_path, words, said):
    assert said in one_line(capsys, "train", "taxi-smoke", "--runs-dir", str(tmp_path), *words)
    assert not any(tmp_path.iterdir()), "nothing is half-written"


def test_a_sweep_refuses_the_same(capsys, tmp_path):
    words = ("sweep", "taxi-smoke", "--over", "seed=0,1", "--runs-dir", str(tmp_path))
    assert "needs --num-processes N" in one_line(capsys, *words, "--launcher", "accelerate")
    assert "is for --launcher local" in one_line(
        capsys, *words, "--launcher", "accelerate", "--num-processes", "2", "--devices", "cuda:0,cuda:1"
    )
    assert "is for --launcher accelerate, found --launcher local" in one_line(capsys, *words, "--num-processes", "2")


def test_a_port_in_use_is_told_before_there_is_a_run(capsys, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        words = ("--launcher", "accelerate", "--num-processes", "2", "--main-process-port", str(port))
        assert f"--main-process-port {port} is in use" in one_line(capsys, "train", "taxi-smoke", "--runs-dir", str(tmp_path), *words)
    assert not any(tmp_path.iterdir())
    assert checked_port(port) == port
    assert 1024 <= checked_port(None) <= 65535


def on_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)


def test_a_gpu_for_each_process(monkeypatch):
    config = apply_overrides(RunConfig(), [TWO, "device.device=cuda"])
    on_gpus(monkeypatch, 2)
    check_processes(config)
    assert devices_of(config) == ["cuda:0", "cuda:1"]
    assert own_config(config, ProcessTeam(1, 2)).device.device == "cuda:1"
    on_gpus(monkeypatch, 1)
    with pytest.raises(DeviceError, match=r"2 processes need a CUDA device each, and this machine has 1; use --num-processes 1"):
        check_processes(config)
    with pytest.raises(ConfigError, match="names one GPU for 2 processes"):
        check_processes(apply_overrides(config, ["device.device=cuda:0"]))


def test_on_the_cpu_they_share_the_cores():
    config = apply_overrides(RunConfig(), [TWO, "device.device=cpu", "device.num_threads=4"])
    check_processes(config)
    assert devices_of(config) == ["cpu"]
    assert own_config(config, ProcessTeam(1, 2)).device.num_threads == 0, "the launcher has given it its part"
    assert own_config(config, ALONE) is config


def test_recipes_and_spread_weights_that_cannot_be_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="recipe=rlmec trains on one process"):
        check_processes(apply_overrides(load_preset("arithmetic-rlmec"), [TWO]))
    with pytest.raises(ConfigError, match=r"rl.algorithm=dpo trains on one process"):
        check_processes(apply_overrides(RunConfig(), [TWO, "rl.algorithm=dpo"]))
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigError, match="ACCELERATE_USE_FSDP=true: every process holds the whole model"):
        launch_environment(on_cpu=True)


def test_memory_is_reckoned_for_each(tmp_path):
    one, two = (
        next(row["found"] for row in check(chain_config("device.device=cpu", more), tmp_path) if row["check"].startswith("memory"))
        for more in ("seed=0", TWO)
    )
    assert two.endswith("for each of 2 processes")
    assert not one.endswith("processes")


def test_another_number_is_an_amendment(tmp_path):
    paths = create_run(tmp_path, short_config())
    amend(paths, ["device.num_processes=3"])
    assert load_config(paths.config).device.num_processes == 3


def test_the_page_names_the_command():
    base = load_preset("taxi-quickstart")
    config = apply_overrides(base, [TWO, "device.device=cpu"])
    assert command_line(base, config, None) == (
        "workbench train taxi-quickstart --launcher accelerate --num-processes 2 --set device.device=cpu"
    )


LOG = """
[0]:
  time      : 2026-01-01_00:00:00
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 41)
Root Cause (first observed failure):
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 42)
"""


def test_why_processes_ended(tmp_path):
    paths = create_run(tmp_path, short_config())
    assert what_ended(paths, processes=2, log_start=0) is None
    paths.launch_log.write_text(f"of before\n{LOG}", encoding="utf-8")
    assert what_ended(paths, processes=2, log_start=10) == "process 1 of 2 was killed by signal 9"
    assert what_ended(paths, processes=2, log_start=paths.launch_log.stat().st_size) is None
    error_file(paths, 1).write_text("MemoryError: no message\n", encoding="utf-8")
    assert what_ended(paths, processes=2, log_start=10) == "process 1 of 2: MemoryError: no message"


def test_a_run_whose_launcher_says_nothing_is_failed_and_says_so(tmp_path, monkeypatch):
    paths = create_run(tmp_path, short_config(TWO))
    monkeypatch.setattr(spread, "launch_command", lambda *words, **how: ["false"])
    with pytest.raises(StoreError, match=r"ended without a word; `workbench resume .*` continues from the last checkpoint"):
        execute(paths, queue=False, show_progress=False)
    status = read_status(paths.status)
    assert status is not None and status["state"] == "failed" and "without a word" in status["error"]


def test_the_leaders_own_error_stands(tmp_path, monkeypatch):
    paths = create_run(tmp_path, short_config(TWO))

    def launched(*words: str, **how: Any) -> list[str]:
        write_status(paths.status, {"state": "failed", "error": "the environment broke at seed 7"})
        error_file(paths, 1).write_text("PartnerError: gone\n", encoding="utf-8")
        return ["false"]

    monkeypatch.setattr(spread, "launch_command", launched)
    with pytest.raises(WorkbenchError, match=r"^the environment broke at seed 7$"):
        execute(paths, queue=False, show_progress=False)


MEMBER = """
import torch
from workbench.errors import PartnerError
from workbench.rollout.team import join
team = join()
said = team.gather({"rank": team.rank, "text": "é" * team.rank, "number": 0.1 + 0.2})
assert said == [{"rank": rank, "text": "é" * rank, "number": 0.1 + 0.2} for rank in range(2)], said
assert team.agreed(team.leads) is True
assert team.add_up(torch.tensor([1.0, team.rank])).tolist() == [2.0, 1.0]
assert torch.get_num_threads() == 1
if team.rank:
    raise SystemExit(0)
try:
    team.gather(None)
except PartnerError as error:
    print("alone:", error)
"""


def test_processes_that_accelerate_starts_understand_one_another(tmp_path):
    """Over gloo on the loopback interface; one that is left by its partner is told so."""
    (tmp_path / "team_member.py").write_text(MEMBER, encoding="utf-8")
    command = launch_command("team_member", processes=2, threads=1, port=checked_port(None))
    environment = {**launch_environment(on_cpu=True), "PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    # What a library says before it aborts stands at the beginning, what accelerate says of it at the end.
    assert result.returncode == 0, f"{result.stderr[:2000]}\n…\n{result.stderr[-1500:]}"
    assert result.stdout.count("alone: another process of the run has ended") == 1


def tasks(paths: RunPaths) -> list[tuple[str, str]]:
    played = Run(paths).trajectories()
    return sorted(zip(played["trajectory_id"], played["task"], strict=True))


def assert_close(paths: RunPaths, other: RunPaths) -> None:
    """Every number of every line within ``CLOSE`` (of itself where it is larger than 1), and the same tasks."""
    for name in ("metrics", "evaluations"):
        mine, theirs = (lines(getattr(one, name)) for one in (paths, other))
        assert len(mine) == len(theirs)
        for one, two in zip(mine, theirs, strict=True):
            assert _alike(one, two), (one, two)
    assert tasks(paths) == tasks(other)


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return list(one) == list(other) and all(
        abs(value - other[name]) <= CLOSE * max(1.0, abs(value))
        if isinstance(value, float) and isinstance(other[name], float)
        else value == other[name]
        for name, value in one.items()
    )


TWENTY = (
    "rl.max_steps=20",
    "rl.trajectories_per_update=16",
    "rl.save_steps=4",
    "rl.eval_steps=10",
    "rl.eval_trajectories=16",
    "evaluation.trajectories=32",
    "phases=[rl, evaluate]",
)


@pytest.fixture(scope="module")
def warmed_up(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    config = chain_config("phases=[generate, sft-reflection, sft-policy]", "sft_reflection.max_steps=20", "sft_policy.max_steps=12")
    paths = prepare_run(tmp_path_factory.mktemp("parent"), config)
    execute(paths, queue=False, show_progress=False)
    return paths


@pytest.fixture(scope="module")
def on_one(warmed_up: RunPaths, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    paths = prepare_run(tmp_path_factory.mktemp("one"), chain_config(*TWENTY), parent=warmed_up)
    execute(paths, queue=False, show_progress=False)
    return paths


def when(paths: RunPaths, update: int, act: Any) -> threading.Thread:
    """Do something once a run has done so many updates."""

    def wait() -> None:
        deadline = time.monotonic() + 1200
        while time.monotonic() < deadline and len(lines(paths.metrics) if paths.metrics.exists() else []) < update:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_two_processes_and_one_give_the_same_losses_and_tasks(warmed_up, on_one, tmp_path):
    paths = prepare_run(tmp_path, chain_config(*TWENTY, TWO), parent=warmed_up)
    found = execute(paths, queue=False, show_progress=False)
    assert_close(on_one, paths)
    assert len(lines(paths.metrics)) == 21
    assert found["success_rate"] == lines(paths.evaluations)[-1]["success_rate"]
    assert effective(read_status(paths.status), paths.run_id)["state"] == "finished"


@pytest.mark.slow
def test_a_run_begun_on_two_goes_on_on_one_and_on_three(warmed_up, on_one, tmp_path):
    paths = prepare_run(tmp_path, chain_config(*TWENTY, TWO), parent=warmed_up)
    when(paths, 5, paths.stop.touch)
    with pytest.raises(RunStopped):
        execute(paths, queue=False, show_progress=False)
    assert 5 <= len(lines(paths.metrics)) < 20
    for number in (1, 3):
        copy = RunPaths(tmp_path / f"{number}" / paths.run_id)
        shutil.copytree(paths.folder, copy.folder)
        amend(copy, [f"device.num_processes={number}"])
        execute(copy, queue=False, show_progress=False)
        assert_close(on_one, copy)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_dies_ends_the_run_as_failed_and_the_run_goes_on(warmed_up, on_one, tmp_path, victim):
    paths = prepare_run(tmp_path, chain_config(*TWENTY, TWO), parent=warmed_up)

    def kill() -> None:
        status = read_status(paths.status) or {}
        leader = psutil.Process(status["pid"])
        members = [one for one in leader.parent().children() if "workbench.recipes.process" in one.cmdline()]  # type: ignore[union-attr]
        assert len(members) == 2
        os.kill(leader.pid if victim == 0 else next(one.pid for one in members if one.pid != leader.pid), signal.SIGKILL)

    when(paths, 6, kill)
    with pytest.raises(WorkbenchError, match=f"process {victim} of 2 was killed by signal 9; `workbench resume {paths.run_id}` continues"):
        execute(paths, queue=False, show_progress=False)
    status = effective(read_status(paths.status), paths.run_id)
    assert status["state"] == "failed" and "killed by signal 9" in status["error"]
    assert not paths.stop.exists()
    execute(paths, queue=False, show_progress=False)
    assert_close(on_one, paths)


@pytest.mark.slow
def test_every_phase_from_the_command_line(tmp_path, capsys):
    """The warm-up is the leader's alone, while the others wait; the whole run is what one process makes of it."""
    config = tmp_path / "config.yaml"
    runs = {}
    for number in (1, 2):
        config.write_text(dump_config(short_config()), encoding="utf-8")
        root = tmp_path / f"runs-{number}"
        spreading = ["--launcher", "accelerate", "--num-processes", str(number)] if number > 1 else []
        assert main(["train", "--config", str(config), "--runs-dir", str(root), "--quiet", *spreading]) == 0, capsys.readouterr().err
        (folder,) = [path for path in root.iterdir() if path.is_dir()]
        runs[number] = RunPaths(folder)
    assert_close(runs[1], runs[2])
    assert [path.name for path in Path(runs[2].logs).iterdir() if path.name.startswith("attempt")] == ["attempt-1.log"]
