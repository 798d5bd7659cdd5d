"""How fast worlds play: reset and random commands on one core, the way a rollout asks for them, and oracle calls.

    python benchmarks/envs.py [--turns 50000] [--envs taxi household]

A turn is a step and its share of the reset, observation and list of commands included; no prompt is made of it. AutoExplore plays in a
tree of 1,000 files that is made in a temporary folder. The best of three rounds counts: on a busy machine the others tell of its other
work. Prints a table; exits with code 1 when a target is missed.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from workbench.envs.catalog import env_names, make_env
from workbench.envs.text_env import TextEnv
from workbench.errors import WorkbenchError, nearest
from workbench.seeding import generator

TARGETS = {"taxi": 50_000, "household": 20_000, "explore": 10_000}
"""Turns per second."""
ORACLE_MILLISECONDS = 1.0
ORACLE_CALLS = 2_000
ROUNDS = 3
FREE_TEXT = ("answer 1",)
"""What is said in worlds that take any text."""


class Row(NamedTuple):
    """What was measured of one world."""

    name: str
    turns_per_second: float
    turns_per_trajectory: float
    first_milliseconds: float
    """Building the environment, tables and texts included that later ones share."""
    oracle_milliseconds: float
    """Of a hundred calls, one took longer; the slowest of all includes whatever else the machine did."""
    slowest_oracle_milliseconds: float


def main() -> int:
    """Measure, print; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=50_000, help="per world and round")
    parser.add_argument("--envs", nargs="+", default=env_names(), metavar="ENV")
    options = parser.parse_args()
    if unknown := set(options.envs) - set(env_names()):
        parser.error(f"unknown environment {min(unknown)!r}; {nearest(min(unknown), env_names())}")
    print(f"{'world':<14}{'turns/s':>12}{'target':>10}{'turns each':>12}{'built in ms':>13}{'oracle ms':>11}{'slowest':>9}")
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.envs:
            try:
                row = measure(name, Path(folder), options.turns)
            except WorkbenchError as error:
                missed.append(f"{name} could not be measured: {error}")
                continue
            target = TARGETS.get(name)
            print(
                f"{name:<14}{row.turns_per_second:>12,.0f}{f'{target:,}' if target else '':>10}{row.turns_per_trajectory:>12.1f}"
                f"{row.first_milliseconds:>13.1f}{row.oracle_milliseconds:>11.3f}{row.slowest_oracle_milliseconds:>9.3f}"
            )
            if target and row.turns_per_second < target:
                missed.append(f"{name}: {row.turns_per_second:,.0f} turns per second, wanted {target:,}")
            if row.oracle_milliseconds >= ORACLE_MILLISECONDS:
                missed.append(f"{name}: an oracle call takes {row.oracle_milliseconds:.2f} ms, wanted under {ORACLE_MILLISECONDS:g}")
    print("\n" + ("\n".join(missed) if missed else "every target is met"))
    return 1 if missed else 0


def measure(name: str, folder: Path, turns: int) -> Row:
    """Everything of one row."""
    options: dict[str, Any] = {"source": str(tree_of_files(folder / "tree"))} if name == "explore" else {}
    started = time.perf_counter()
    env = make_env(name, **options)
    env.reset(seed=0)
    built = time.perf_counter() - started
    best, trajectories = 0.0, 0
    for number in range(ROUNDS):
        seconds, trajectories = played(env, turns, seed=number)
        best = max(best, turns / seconds)
    oracle = sorted(oracle_seconds(env))
    return Row(name, best, turns / trajectories, 1000 * built, 1000 * oracle[99 * len(oracle) // 100], 1000 * oracle[-1])


def played(env: TextEnv, turns: int, *, seed: int) -> tuple[float, int]:
    """Seconds and trajectories of ``turns`` random turns; the dice are thrown beforehand."""
    dice = generator(seed, "benchmark").random(turns).tolist()
    trajectories = 1
    started = time.perf_counter()
    _, info = env.reset(seed=seed)
    for chance in dice:
        commands = info.get("admissible_commands", FREE_TEXT)
        _, _, terminated, truncated, info = env.step(commands[int(chance * len(commands))])
        if terminated or truncated:
            _, info = env.reset(seed=seed + 1000 * trajectories)
            trajectories += 1
    return time.perf_counter() - started, trajectories


def oracle_seconds(env: TextEnv) -> list[float]:
    """Seconds of each oracle call, at every turn of random trajectories over all stages."""
    dice = generator(0, "oracle")
    found: list[float] = []
    while len(found) < ORACLE_CALLS:
        stage = env.stages[len(found) % len(env.stages)]
        _, info = env.reset(seed=len(found), options={"stage": stage})
        over = False
        while not over:
            started = time.perf_counter()
            env.oracle()
            found.append(time.perf_counter() - started)
            commands = info.get("admissible_commands", FREE_TEXT)
            _, _, terminated, truncated, info = env.step(commands[int(dice.integers(len(commands)))])
            over = terminated or truncated
    return found


def tree_of_files(root: Path) -> Path:
    """1,000 small modules: ten packages of ten folders of ten files, each of which defines something of its own."""
    for package in range(10):
        for inner in range(10):
            folder = root / f"package_{package}" / f"part_{inner}"
            folder.mkdir(parents=True)
            for number in range(10):
                word = f"{package}{inner}{number}"
                parts = [
                    f"def {verb}_{word}(value: int) -> int:\n    return {number} * value + {place}  # only part {word} does it like this\n"
                    for place, verb in enumerate(("measure", "compare", "collect", "arrange", "publish", "restore"))
                ]
                text = "\n\n".join([f'"""Module {word} of the tree."""\n', *parts])
                (folder / f"module_{word}.py").write_text(text, encoding="utf-8")
    return root


if __name__ == "__main__":
    sys.exit(main())
