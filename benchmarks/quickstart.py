"""The quickstart over several seeds: minutes, success after the warm-up alone and at the end, with Wilson intervals.

    python benchmarks/quickstart.py --seeds 0 1 2 3 4

One run at a time, all threads each, through the command line as a user would; the table is Markdown.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from workbench.evaluation.statistics import wilson_interval


def main() -> None:
    """Run the seeds and print the table; exits with 1 when a seed misses the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="taxi-quickstart")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--runs-dir", default="runs")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--at-least", type=float, default=0.95, help="bound every seed has to reach (default: %(default)s)")
    arguments = parser.parse_args()
    print("| seed | minutes | after warm-up | success | 95 % interval | mean reward | mean length |")
    print("| ---: | ------: | ------------: | ------: | :-----------: | ----------: | ----------: |", flush=True)
    results = [_one(arguments, seed) for seed in arguments.seeds]
    successes, trials = sum(result["successes"] for result in results), sum(result["trajectories"] for result in results)
    pooled = wilson_interval(successes, trials)
    print(f"| all | | | {pooled.rate:.3f} | {pooled.low:.3f} to {pooled.high:.3f} | | |")
    if min(result["success_rate"] for result in results) < arguments.at_least:
        raise SystemExit(1)


def _one(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "workbench",
        "train",
        arguments.preset,
        "--seed",
        str(seed),
        "--runs-dir",
        arguments.runs_dir,
        "--json",
        "--quiet",
    ]
    for override in arguments.overrides:
        command += ["--set", override]
    started = time.perf_counter()
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    minutes = (time.perf_counter() - started) / 60
    result: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    lines = (Path(result["path"]) / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()
    before = next((line for line in map(json.loads, lines) if line["phase"] == "rl" and line["update"] == 0), None)
    start = "" if before is None else f"{before['success_rate']:.3f}"
    print(
        f"| {seed} | {minutes:.1f} | {start} | {result['success_rate']:.3f} | {result['low']:.3f} to {result['high']:.3f} "
        f"| {result['mean_reward']:.2f} | {result['mean_length']:.1f} |",
        flush=True,
    )
    return result


if __name__ == "__main__":
    main()
