"""`workbench reproduce` as people call it: carried out, killed in the middle, gone on with, reported and verified (slow)."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from workbench.store.layout import RunPaths, run_names
from workbench.store.status import read_status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
SMALL = (
    "policy.tiny={n_layer: 2, n_embd: 64, n_head: 2, initializer_range: 0.1}",
    "data.trajectories=120",
    "data.negatives=60",
    "data.warm_up_rows=200",
    *(f"{part}.{name}" for part in ("sft_reflection", "sft_policy") for name in ("max_steps=30", "save_steps=15", "warmup_steps=5")),
    "rl.max_steps=4",
    "rl.trajectories_per_update=16",
    "rl.eval_steps=2",
    "rl.eval_trajectories=16",
    "rl.save_steps=2",
    "evaluation.trajectories=45",
    "device.num_threads=1",
)
WORDS = (
    "reproduce",
    "reflect-rl",
    "--worlds",
    "taxi",
    "--seeds",
    "1",
    "--arms",
    "full",
    "sft-only",
    *(w for s in SMALL for w in ("--set", s)),
)


def command(root: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "workbench", *words, "--runs-dir", str(root)]


def called(root: Path, *words: str) -> tuple[dict[str, Any], str]:
    found = subprocess.run(command(root, *words, "--json"), capture_output=True, text=True, timeout=600, check=False)
    assert found.returncode == 0, found.stderr
    *printed, last = found.stdout.splitlines()
    return json.loads(last), "\n".join(printed)


def states(root: Path) -> list[str]:
    return [str((read_status(RunPaths(root / name).status) or {}).get("state")) for name in run_names(root)]


def test_a_study_survives_a_kill_and_its_numbers_can_be_verified(tmp_path):
    root = tmp_path / "runs"
    planned, printed = called(root, *WORDS, "--dry-run")
    assert len(planned["runs"]) == 4 and all(row["state"] == "waiting" for row in planned["runs"])
    assert "4 runs, 0 of them finished" in printed and not root.exists()

    with subprocess.Popen(command(root, *WORDS, "--launcher", "foreground"), start_new_session=True, stdout=subprocess.PIPE) as begun:
        end = time.monotonic() + 400
        while states(root).count("finished") < 1 and time.monotonic() < end:
            time.sleep(0.5)
        os.killpg(begun.pid, signal.SIGKILL)
    assert "finished" in states(root)
    before = set(run_names(root))

    found, printed = called(root, *WORDS)  # processes of their own this time
    assert (found["runs"], found["finished"]) == (4, 4)
    assert before <= set(run_names(root)) and len(run_names(root)) == 4
    assert "finished before, run" in printed and "4 of 4 runs finished" in printed
    assert {row["arm"] for row in found["results"]} == {"full", "sft-only", "random", "oracle-agent"}
    assert {row["measure"] for row in found["results"]} == {"pickup", "dropoff", "full"}
    oracle = [row["mean"] for row in found["results"] if row["arm"] == "oracle-agent"]
    assert oracle == [1.0, 1.0, 1.0]
    report = (Path(found["folder"]) / "report.md").read_text(encoding="utf-8")
    assert "DangerousTaxi: Reflect-RL" in report and "64 (4 updates)" in report and "one seed: nothing to say" in report

    again, _ = called(root, *WORDS, "--report")
    assert again["results"] == found["results"]
    full = next(name for name in run_names(root) if "-taxi-full-" in name)
    verified, printed = called(root, "reproduce", "--verify", full)
    assert verified["equal"] and verified["trajectories"] >= 3 * 45
    assert printed.splitlines()[-1].startswith("equal: ")
