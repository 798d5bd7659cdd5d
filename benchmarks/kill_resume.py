"""Kills runs with SIGKILL at random moments, resumes them, and compares them with runs that nothing interrupted.

    python benchmarks/kill_resume.py --kills 20

Two small configurations take turns: the preset taxi-smoke, and a chain world whose player soon succeeds, so that replay, baseline and
remembered reflections are all in play. Half of the kills fall at a random moment after a random metric line, half while a
checkpoint is being written (its hidden ``.part`` folder is there). Metrics and evaluations (times aside) and the last weights and
optimizer states have to be equal bit for bit; the exit code is 1 where they are not.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.small_runs import chain_config, lines, weights  # noqa: E402 - this folder is no package of the path
from workbench.config import apply_overrides, dump_config, load_preset  # noqa: E402
from workbench.store.files import tail_lines  # noqa: E402
from workbench.store.layout import RunPaths, find_run  # noqa: E402
from workbench.trainers import checkpoint  # noqa: E402

ENVIRON = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
PARTS = ("generate", "sft-reflection", "sft-policy", "rl", "evaluate")


class Subject(NamedTuple):
    """A configuration, and the run of it that nothing interrupted."""

    name: str
    config: Path
    whole: RunPaths
    lines: int
    """Metric lines it wrote."""


class Kill(NamedTuple):
    """One row of the table."""

    subject: str
    moment: str
    where: str
    """Phase and step of the last metric line."""
    inside: bool
    """A checkpoint was half written when the process died."""
    kept: str
    """Newest checkpoint that was left."""
    differences: list[str]


def command(*arguments: str) -> "subprocess.Popen[bytes]":
    """A process of the command line."""
    return subprocess.Popen(
        [sys.executable, "-m", "workbench", *arguments], cwd=ROOT, env=ENVIRON, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a process that has to succeed."""
    _, error = process.communicate()
    if process.returncode:
        raise SystemExit(f"a run that was not killed failed: {error.decode().strip()}")


def run_folder(root: Path, process: "subprocess.Popen[bytes]") -> RunPaths:
    """The folder of the run that ``process`` is making, as soon as it is there."""
    while True:
        names = [path.name for path in root.glob("*") if not path.name.startswith(".")]
        if names:
            return find_run(root, names[0])
        if process.poll() is not None:
            finish(process)
        time.sleep(0.005)


def prepare(root: Path, name: str, seed: int) -> Subject:
    """Run a configuration to its end."""
    configs = {
        "taxi-smoke": lambda: apply_overrides(load_preset("taxi-smoke"), ["device.num_threads=1", f"seed={seed}"]),
        "chain": lambda: chain_config(
            f"seed={seed}", "data.policy_label_noise=0.5", "rl.save_steps=4", "rl.eval_steps=8", "sft_policy.save_steps=7"
        ),
    }
    config = root / f"{name}.yaml"
    config.write_text(dump_config(configs[name]()), encoding="utf-8")
    process = command("train", "--config", str(config), "--runs-dir", str(root / name))
    paths = run_folder(root / name, process)
    finish(process)
    return Subject(name, config, paths, line_count(paths))


def wait_until(process: "subprocess.Popen[bytes]", condition: Callable[[], bool]) -> bool:
    """False when the process ended before."""
    while not condition():
        if process.poll() is not None:
            return False
        time.sleep(0.0005)
    return True


def kill_once(subject: Subject, root: Path, dice: np.random.Generator, *, inside: bool) -> Kill:
    """Kill a fresh run once, resume it, compare it. Draws again where the run was over before its moment."""
    for attempt in range(20):
        runs = root / f"attempt-{attempt}"
        process = command("train", "--config", str(subject.config), "--runs-dir", str(runs))
        paths = run_folder(runs, process)
        moment, arrived = wait_for_moment(process, paths, subject, dice, inside=inside)
        if not arrived:
            continue
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        half = any(paths.checkpoints.glob("*/.*.part"))
        last = (tail_lines(paths.metrics) or [{"phase": "start", "update": ""}])[-1]
        kept = newest(paths)
        finish(command("resume", paths.run_id, "--runs-dir", str(runs)))
        return Kill(subject.name, moment, f"{last['phase']} {last['update']}", half, kept, differences(paths, subject.whole))
    raise SystemExit(f"{subject.name}: twenty runs were over before their moment came")


def wait_for_moment(
    process: "subprocess.Popen[bytes]", paths: RunPaths, subject: Subject, dice: np.random.Generator, *, inside: bool
) -> tuple[str, bool]:
    """Let a drawn moment come; says which, and whether the process was still there."""
    if not inside:
        # Counted in lines, not in seconds: a busy machine may make a run last many times longer.
        line, delay = int(dice.integers(subject.lines)), float(dice.uniform(0, 0.3))
        arrived = wait_until(process, lambda: line_count(paths) >= line)
        ends = time.monotonic() + delay
        return f"{delay * 1000:.0f} ms after line {line}", arrived and wait_until(process, lambda: time.monotonic() >= ends)
    phase = PARTS[int(dice.integers(len(PARTS)))]
    ordinal = int(dice.integers(2)) if phase in ("sft-reflection", "sft-policy", "rl") else 0
    folder = paths.checkpoints / phase
    arrived = wait_until(process, lambda: len(checkpoint.steps(folder)) >= ordinal and any(folder.glob(".*.part")))
    return f"writing {phase} checkpoint {ordinal + 1}", arrived


def line_count(paths: RunPaths) -> int:
    """Metric lines so far."""
    return paths.metrics.read_bytes().count(b"\n") if paths.metrics.exists() else 0


def newest(paths: RunPaths) -> str:
    """The newest checkpoint of the last phase that has one."""
    found = [last for phase in PARTS if (last := checkpoint.latest(paths.checkpoints / phase)) is not None]
    return f"{found[-1].parent.name}/{found[-1].name}" if found else "none"


def differences(paths: RunPaths, whole: RunPaths) -> list[str]:
    """What of two runs is not equal."""
    found = [name for name in ("metrics", "evaluations") if lines(getattr(paths, name)) != lines(getattr(whole, name))]
    return found + (["weights"] if weights(paths) != weights(whole) else [])


def main() -> int:
    """Print the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how many runs are killed (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the runs (default: %(default)s)")
    arguments = parser.parse_args()
    dice = np.random.default_rng(arguments.seed)
    bad = inside = 0
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        subjects = [prepare(root, name, arguments.seed) for name in ("taxi-smoke", "chain")]
        for subject in subjects:
            print(f"{subject.name}: {subject.lines} metric lines where nothing interrupts it")
        print(f"\n{'kill':>4}  {'run':<10} {'moment':<36} {'last line':<20} {'half written':<13} {'resumed from':<22} result")
        for number in range(arguments.kills):
            kill = kill_once(subjects[number % 2], root / f"kill-{number}", dice, inside=number % 4 >= 2)
            result = "DIFFERENT: " + ", ".join(kill.differences) if kill.differences else "equal"
            half = "yes" if kill.inside else "no"
            print(f"{number + 1:>4}  {kill.subject:<10} {kill.moment:<36} {kill.where:<20} {half:<13} {kill.kept:<22} {result}", flush=True)
            bad += bool(kill.differences)
            inside += kill.inside
    equal = arguments.kills - bad
    print(f"\n{equal} of {arguments.kills} resumed runs equal the uninterrupted one bit for bit; {inside} died inside a checkpoint.")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
