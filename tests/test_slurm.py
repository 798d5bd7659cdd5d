"""Batch scripts for Slurm: what they ask for, that nothing in them is run but the command, and what is refused."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.errors import ConfigError
from workbench.jobs import slurm
from workbench.jobs.resources import Resources

PLAIN = Resources(gpus=2, cpus=8, memory_gb=40, time="12:00:00", partition="gpu")


def options(text: str) -> dict[str, str]:
    pairs = [line.removeprefix("#SBATCH --").partition("=") for line in text.splitlines() if line.startswith("#SBATCH")]
    return {key: value for key, _, value in pairs}


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_what_is_asked_for(tmp_path):
    text = slurm.script(["w", "sweep"], name="taxi smoke!", runs=8, root=tmp_path, folder=tmp_path, resources=PLAIN)
    assert options(text) == {
        "job-name": "taxi-smoke",
        "array": "0-7",
        "output": f"{tmp_path}/slurm-%A_%a.log",
        "open-mode": "append",
        "cpus-per-task": "8",
        "gres": "gpu:2",
        "mem": "40960M",
        "time": "12:00:00",
        "partition": "gpu",
        "requeue": "",
        "signal": "TERM@120",
    }
    little = options(slurm.script(["w"], name="n", runs=1, root=tmp_path, folder=tmp_path, resources=Resources()))
    assert little["array"] == "0" and not {"gres", "mem", "time", "partition"} & set(little)


def test_nothing_is_run_but_the_command(tmp_path):
    """A stand-in for srun writes down its words: they are the command's own, whatever they look like."""
    folder = tmp_path / "a b; touch oops"
    folder.mkdir()
    odd = ["env.name=$(touch oops)", "a'b\"c", "x; touch oops", "`touch oops`", "two words"]
    text = slurm.script([*odd, "--only"], name="x\n#SBATCH --wrap=evil", runs=2, root=tmp_path, folder=folder, resources=PLAIN)
    assert "evil" in options(text)["job-name"] and "wrap" not in options(text)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    stand_in = bin_folder / "srun"
    stand_in.write_text(f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([os.getcwd(), *sys.argv[1:]]))\n")
    stand_in.chmod(0o755)
    environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "1"}
    answer = subprocess.run(["bash"], input=text, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    assert json.loads(answer.stdout) == [str(folder), *odd, "--only", "1"]
    assert not list(tmp_path.rglob("oops")) and answer.stderr == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gpus": -1}, "--gpus must be between 0 and 1024, found -1"),
        ({"cpus": 0}, "--cpus must be between 1 and 4096, found 0"),
        ({"memory_gb": 0.0}, "--memory-gb must be between 0.1 and 100000, found 0"),
        ({"time": "1h"}, "--time '1h' is not of the form MINUTES, HH:MM:SS or D-HH:MM:SS"),
        ({"time": "1:00\n#SBATCH"}, "is not of the form"),
        ({"partition": "a b"}, "--partition 'a b' is no name of a partition"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(given, message):
    usual = {"gpus": 0, "cpus": 1, "memory_gb": None, "time": None, "partition": None}
    with pytest.raises(ConfigError) as caught:
        Resources.checked(**{**usual, **given})
    assert message in str(caught.value)


def test_a_run_root_that_an_option_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="Slurm needs a path of letters"):
        slurm.script(["w"], name="n", runs=1, root=tmp_path / "my runs", folder=tmp_path, resources=Resources())


def test_a_dry_run_prints_the_script_and_makes_nothing(tmp_path, capsys):
    root = tmp_path / "runs"
    over = ["--over", "seed=0,1,2", "--over", "rl.learning_rate=1e-4,3e-4"]
    words = ["sweep", "taxi-smoke", *over, "--set", "rl.max_steps=3", "--launcher", "slurm", "--cpus", "4", "--runs-dir", str(root)]
    code, out, error = call(capsys, *words, "--dry-run", "--json")
    assert (code, error) == (0, "") and not root.exists()
    found = json.loads(out.splitlines()[-1])
    assert found["runs"] == 6 and found["submitted"] is None and out.startswith(found["script"])
    assert options(found["script"])["array"] == "0-5"
    command = shlex.split(found["script"].splitlines()[-1].removeprefix("exec srun "))
    assert command[:5] == [sys.executable, "-m", "workbench", "sweep", "taxi-smoke"]
    assert command[-3:] == ["foreground", "--only", "$SLURM_ARRAY_TASK_ID"]
    # What a task would call says itself which of the six is its own, on the cores it was given.
    code, out, error = call(capsys, *command[3:-1], "4", "--dry-run", "--json")
    assert (code, error) == (0, "")
    (row,) = json.loads(out.splitlines()[-1])["sweep"]
    assert row["over"] == {"seed": "2", "rl.learning_rate": "1e-4"} and "device.num_threads=4" in command


def test_train_is_a_sweep_of_one(tmp_path, capsys):
    words = ["train", "taxi-smoke", "--seed", "7", "--report-to", "tensorboard", "--launcher", "slurm", "--runs-dir", str(tmp_path)]
    code, out, error = call(capsys, *words, "--dry-run")
    assert (code, error) == (0, "") and options(out)["array"] == "0"
    command = shlex.split(out.splitlines()[-1])
    assert "--over" not in command and command[command.index("--seed") + 1] == "7"
    assert 'tracking.report_to=["tensorboard"]' in command
    code, _, error = call(capsys, "train", "taxi-smoke", "--dry-run", "--runs-dir", str(tmp_path))
    assert code == 2 and "--dry-run prints the batch script of --launcher slurm" in error


def test_the_script_is_handed_in_where_sbatch_is(tmp_path, capsys, monkeypatch):
    words = ["sweep", "taxi-smoke", "--over", "seed=0,1", "--launcher", "slurm", "--runs-dir", str(tmp_path / "runs"), "--json"]
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    code, _, error = call(capsys, *words)
    assert code == 2 and "sbatch is not on this machine; --dry-run prints the script" in error
    stand_in = tmp_path / "sbatch"
    monkeypatch.setenv("PATH", str(tmp_path))
    stand_in.write_text(f"#!{sys.executable}\nimport sys\nprint('Submitted batch job', len(sys.stdin.read().splitlines()))\n")
    stand_in.chmod(0o755)
    code, out, error = call(capsys, *words)
    assert (code, error) == (0, "")
    found = json.loads(out.splitlines()[-1])
    assert found["submitted"] == f"Submitted batch job {len(found['script'].splitlines())}" and Path(tmp_path / "runs").is_dir()
    stand_in.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('sbatch: error: no partition')\n")
    code, _, error = call(capsys, *words)
    assert code == 2 and error == "workbench: sbatch refuses: sbatch: error: no partition\n"
