"""How cost grows: turns per second against the size of the players and against trajectories per update, and a plan reckoned for GPUs.

    python benchmarks/scale.py [--threads 1] [--trajectories 32] [--seconds 600]
    python benchmarks/scale.py --plan

Whole iterations of online learning on DangerousTaxi (collect, update, record) by the library's own loop. Players have random weights:
how fast they are does not depend on what they have learned, but trajectories are short (a mistake ends them) and reflections go to
their limit of 12 tokens. Reflections are sampled, so every turn pays for its own; a greedy player's are remembered, and the part
`reflect` all but goes away. One iteration of each is not counted. Turns are told per second and per CPU second, which others that use the
machine meanwhile change little. Sizes that would not fit into ``--seconds`` are left out, and named.

``--plan`` measures nothing: it prints what GPT-2 XL would take on 1, 8 and 64 GPUs under the assumptions of ``scale_plan.py``.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scale_plan import print_plan

from workbench.config import RunConfig, apply_overrides, load_preset
from workbench.errors import WorkbenchError
from workbench.recipes.execute import execute, prepare_run
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.session import open_session
from workbench.store.layout import RunPaths
from workbench.trainers.loop import PHASE, OnlineLoop

PRESET = "taxi-quickstart"
SIZES = {"0.6": (3, 128, 4), "2": (5, 192, 6), "5": (6, 288, 9), "16": (6, 512, 8), "52": (8, 800, 10)}
"""Blocks, hidden size and heads by millions of parameters."""
TRAJECTORIES = (8, 32, 128)
SMALLEST = "0.6"
PARTS = ("reflect", "act", "env", "update", "write")


class Line(NamedTuple):
    """One iteration."""

    parameters: int
    """Of one player."""
    trajectories: int
    turns: int
    seconds: float
    cpu_seconds: float
    """Of this process: what the iteration costs, also where others use the cores meanwhile."""
    parts: dict[str, float]
    prompt_tokens: float
    """A turn, of the policy."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print, or print the plan; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trajectories", type=int, default=32, help="per update, for the sizes (default: %(default)s)")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES), help="millions of parameters")
    parser.add_argument("--counts", nargs="*", type=int, default=list(TRAJECTORIES), help="trajectories per update, for the smallest size")
    parser.add_argument("--seconds", type=float, default=600, help="begin nothing after this (default: %(default)s)")
    parser.add_argument("--plan", action="store_true", help="print the reckoned plan for GPT-2 XL, and measure nothing")
    options = parser.parse_args(argv)
    if options.plan:
        print_plan()
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _measure(Path(folder), options)
    except WorkbenchError as error:
        print(f"scale: {error}", file=sys.stderr)
        return 2


def _measure(root: Path, options: argparse.Namespace) -> int:
    paths = prepared(root, options.threads)
    started = time.perf_counter()
    asked = [(size, options.trajectories) for size in options.sizes]
    asked += [(SMALLEST, count) for count in options.counts if (SMALLEST, count) not in asked]
    print(f"{options.threads} thread(s), DangerousTaxi, stage full, random weights, sampled reflections of 12 tokens\n")
    heads = f"{'million':>8}{'per update':>12}{'turns':>8}{'tokens':>8}{'turns/s':>10}{'a CPU s':>10}{'s/update':>10}"
    print(heads + "".join(f"{one:>9}" for one in PARTS))
    left_out = []
    for size, count in asked:
        if time.perf_counter() - started > options.seconds:
            left_out.append(f"{size} million with {count} trajectories")
            continue
        line = iterate(paths, size, count, options.threads)
        told = f"{line.parameters / 1e6:>8.2f}{line.trajectories:>12}{line.turns:>8}{line.prompt_tokens:>8.1f}"
        told += f"{line.turns / line.seconds:>10.1f}{line.turns / line.cpu_seconds:>10.1f}{line.seconds:>10.2f}"
        print(told + "".join(f"{line.parts[part] / line.seconds:>9.0%}" for part in PARTS), flush=True)
    if left_out:
        print(f"left out for want of time: {', '.join(left_out)}")
    return 0


def prepared(root: Path, threads: int) -> RunPaths:
    """A run that has a tokenizer, and nothing learned."""
    settings = ["phases=[generate]", "data.trajectories=100", "data.negatives=20", f"device.num_threads={threads}", "device.device=cpu"]
    paths = prepare_run(root, apply_overrides(load_preset(PRESET), settings))
    execute(paths, queue=False, show_progress=False)
    return paths


def iterate(paths: RunPaths, size: str, count: int, threads: int) -> Line:
    """The second iteration of players of this size."""
    session = open_session(paths, config=_config(size, count, threads))
    players = session.players()
    loop = OnlineLoop(session.config, make_collector(session, players), session.tasks, session.writer, session.checkpoints(PHASE))
    loop.step()
    started, spent = time.perf_counter(), time.process_time()
    metrics = loop.step()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - spent
    turns = int(metrics["rollout/turns"])
    return Line(
        sum(weight.numel() for weight in players.policy.model.parameters()),
        count,
        turns,
        seconds,
        cpu_seconds,
        {part: metrics[f"time/{part}_seconds"] for part in PARTS},
        metrics["rollout/prompt_tokens"] / turns,
    )


def _config(size: str, count: int, threads: int) -> RunConfig:
    layers, hidden, heads = SIZES[size]
    tiny = f"policy.tiny={{n_layer: {layers}, n_embd: {hidden}, n_head: {heads}, n_positions: 128, initializer_range: {hidden**-0.5:.3f}}}"
    settings = [tiny, "phases=[rl]", "reflection.decoding=sample", "reflection.max_new_tokens=12", "curriculum.kind=none"]
    settings += [f"rl.trajectories_per_update={count}", f"rl.rollout_batch_size={min(count, 64)}", "device.device=cpu"]
    return apply_overrides(load_preset(PRESET), [*settings, f"device.num_threads={threads}"])


if __name__ == "__main__":
    sys.exit(main())
