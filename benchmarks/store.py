"""How fast a store of 10,000 trajectories (200,000 turns) is written, listed and opened.

    python benchmarks/store.py [--trajectories 10000] [--turns 20] [--runs 5]

The store is made in a temporary folder with the real writer and removed afterwards. Prints a table; exits with
code 1 when a reading step takes 2 seconds or more.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from workbench.config import RunConfig
from workbench.records import Reflection, Trajectory, Turn
from workbench.seeding import generator
from workbench.store.layout import RunPaths, create_run
from workbench.store.query import disagreements
from workbench.store.reader import Run, list_runs
from workbench.store.writer import RunWriter

COMMANDS = ("go south", "go north", "go east", "go west", "pick up", "put down")
LABELS = ("A", "B", "C", "D", "E", "F")
LIMIT_SECONDS = 2.0
TRAJECTORIES_PER_UPDATE = 64
SAVE_UPDATES = 20


def main() -> int:
    """Build, measure, print; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=20, help="per trajectory")
    parser.add_argument("--runs", type=int, default=5, help="over which the trajectories are spread")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder), options.runs, options.trajectories // options.runs, options.turns)


def measure(root: Path, runs: int, trajectories: int, turns: int) -> int:
    """Write ``runs`` runs of so many trajectories each and time every way of reading them."""
    written, seconds = 0, 0.0
    for number in range(runs):
        seconds += write_run(root, number, trajectories, turns)
        written += trajectories * turns
    size = sum(path.stat().st_size for path in root.rglob("*.parquet"))
    per_iteration = seconds / written * 830 * 1000
    print(f"{written:,} turns of {runs * trajectories:,} trajectories in {runs} runs, {size / 1e6:.1f} MB\n")
    print(f"{'write, turns per second':<44}{written / seconds:>12,.0f}")
    print(f"{'write, milliseconds per 830 turns':<44}{per_iteration:>12.1f}\n")
    newest = Run(RunPaths(list_runs(root)[0].path))
    slowest = 0.0
    for what, read in readings(root, newest, trajectories, turns):
        started = time.perf_counter()
        found = read()
        took = time.perf_counter() - started
        slowest = max(slowest, took)
        print(f"{what + ', seconds':<44}{took:>12.3f}   {found}")
    verdict = "within" if slowest < LIMIT_SECONDS else "NOT within"
    print(f"\nevery reading step {verdict} {LIMIT_SECONDS:g} seconds; the slowest took {slowest:.3f}")
    return 0 if slowest < LIMIT_SECONDS else 1


def readings(root: Path, run: Run, trajectories: int, turns: int) -> Iterator[tuple[str, Callable[[], str]]]:
    """What a person does with a store: name and action."""
    yield "list runs", lambda: f"{len(list_runs(root))} runs"
    yield "list all trajectories of a run", lambda: f"{len(run.trajectories())} trajectories"
    yield "list failures that mention `east`", lambda: f"{len(run.trajectories(success=False, text='east'))} trajectories"
    for where, number in (("first", 0), ("middle", trajectories // 2), ("last", trajectories - 1)):
        yield f"open a turn of the {where} trajectory", lambda number=number: opened(run, name_of(number), turns)  # type: ignore[misc]
    yield "disagreements over all runs", lambda: f"{len(disagreements(root)):,} turns"


def opened(run: Run, trajectory_id: str, turns: int) -> str:
    """Open the last turn of a trajectory."""
    return run.trajectory(trajectory_id).turns[turns - 1].command


def name_of(number: int) -> str:
    """Id of the ``number``-th trajectory of a run."""
    return f"rl-{number // TRAJECTORIES_PER_UPDATE:06d}-{number % TRAJECTORIES_PER_UPDATE:04d}"


def write_run(root: Path, seed: int, trajectories: int, turns: int) -> float:
    """Write one run the way a trainer does; gives the seconds spent in the writer."""
    rng = generator(seed, "benchmark")
    writer = RunWriter(create_run(root, RunConfig(preset=f"benchmark-{seed}"), state="running"))
    seconds = 0.0
    for update in range(math.ceil(trajectories / TRAJECTORIES_PER_UPDATE)):
        first = update * TRAJECTORIES_PER_UPDATE
        batch = [made_up(number, turns, rng) for number in range(first, min(trajectories, first + TRAJECTORIES_PER_UPDATE))]
        started = time.perf_counter()
        writer.trajectories(batch)
        writer.metrics("rl", update, {"success/rate": 0.5, "reward/mean": 0.1, "policy/entropy": 1.0})
        writer.beat("rl", update, trajectories)
        if update % SAVE_UPDATES == SAVE_UPDATES - 1:
            writer.compact(before=writer.position()["part"])
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    writer.evaluation({"success_rate": 0.5, "low": 0.45, "high": 0.55})
    writer.position()
    writer.status("finished")
    return seconds + time.perf_counter() - started


def made_up(number: int, turns: int, rng: np.random.Generator) -> Trajectory:
    """A trajectory of the quickstart's size: 37 prompt tokens, 20 reflection tokens, 6 commands a turn."""
    chances = rng.dirichlet(np.ones(len(COMMANDS)), size=turns)
    tokens = rng.integers(0, 768, size=(turns, 57)).tolist()
    thoughts = rng.normal(-0.5, 0.2, size=(turns, 20)).tolist()
    chosen, named = rng.integers(0, len(COMMANDS), size=(2, turns)).tolist()
    played = tuple(
        _turn(index, chances[index].tolist(), tokens[index], thoughts[index], chosen[index], named[index], last=index == turns - 1)
        for index in range(turns)
    )
    update, task = number // TRAJECTORIES_PER_UPDATE, f"task-{number % 300}"
    return Trajectory(name_of(number), "rl", update, task, "full", number, "Bring the passenger home.", played, number % 2 == 0)


def _turn(index: int, chances: list[float], tokens: list[int], thoughts: list[float], chosen: int, named: int, *, last: bool) -> Turn:
    text = f"The passenger waits to the {'east' if named % 2 else 'west'}, so I should {COMMANDS[named]}."
    values: dict[str, Any] = {"value": None, "advantage": chances[0] - 0.5, "oracle_command": COMMANDS[named]}
    return Turn(
        index=index,
        observation=f"taxi {tokens[0] % 5} {tokens[1] % 5} passenger R destination {'RGYB'[tokens[2] % 4]}",
        state_key=f"state-{tokens[0] % 500}",
        admissible_commands=COMMANDS,
        labels=LABELS,
        probabilities=tuple(chances),
        command=COMMANDS[chosen],
        reflection=Reflection(text, tuple(tokens[37:]), tuple(thoughts), True, COMMANDS[named]),
        prompt_token_ids=tuple(tokens[:37]),
        label_token_ids=(11, 12, 13, 14, 15, 16),
        log_prob=math.log(chances[chosen]),
        reward=1.0 if last else -0.05,
        terminated=last,
        truncated=False,
        **values,
    )


if __name__ == "__main__":
    sys.exit(main())
