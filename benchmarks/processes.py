"""Turns per second of one run against the processes it is spread over.

    python benchmarks/processes.py --processes 1 2

Each number of processes goes through the same updates of the same run (no warm-up, so trajectories are long), through the command line as
a user would; they share the machine's cores, so that every line has the same hardware. Turns are those of an update's trajectories, seconds
those of collecting and updating; the first updates, which fill memos and buffers, are left out. The table is Markdown.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SETTINGS = ("phases=[generate, rl]", "rl.eval_steps=0", "record.trajectories_every=0", "curriculum.kind=none")


def main() -> None:
    """Measure every number of processes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="taxi-quickstart")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--skip", type=int, default=2, help="first updates that are left out (default: %(default)s)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="a.b=c")
    arguments = parser.parse_args()
    cores = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    print(f"{arguments.preset}{''.join(f', {one}' for one in arguments.overrides)}; {cores} CPU threads in all\n")
    print("| processes | threads each | turns per second | collecting, s per update | updating, s per update | times one process |")
    print(
        "| --------: | -----------: | ---------------: | -----------------------: | ---------------------: | ----------------: |",
        flush=True,
    )
    first: float | None = None
    with tempfile.TemporaryDirectory() as scratch:
        for number in arguments.processes:
            found = measured(arguments, number, Path(scratch) / f"{number}")
            rate = found["turns"] / (found["collect"] + found["update"])
            first = first or rate
            print(
                f"| {number} | {max(1, cores // number)} | {rate:,.0f} | {found['collect'] / found['updates']:.2f} "
                f"| {found['update'] / found['updates']:.2f} | {rate / first:.2f} |",
                flush=True,
            )


def measured(arguments: argparse.Namespace, number: int, root: Path) -> dict[str, float]:
    """Turns, and seconds of collecting and updating, over the updates that count."""
    command = [sys.executable, "-m", "workbench", "train", arguments.preset, "--runs-dir", str(root), "--quiet", "--json"]
    if number > 1:
        command += ["--launcher", "accelerate", "--num-processes", str(number)]
    every = (*SETTINGS, f"rl.max_steps={arguments.updates}", f"rl.save_steps={arguments.updates}", *arguments.overrides)
    command += [word for one in every for word in ("--set", one)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    run = Path(json.loads(answer.splitlines()[-1])["path"])
    lines: list[dict[str, Any]] = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    counted = [line for line in lines if line["phase"] == "rl"][arguments.skip :]
    return {
        "updates": len(counted),
        "turns": sum(line["rollout/turns"] for line in counted),
        "collect": sum(line["time/collect_seconds"] for line in counted),
        "update": sum(line["time/update_seconds"] for line in counted),
    }


if __name__ == "__main__":
    main()
