"""How fast a whole RL iteration with reflection is: ours against one written the way the published code works.

    python benchmarks/rollout.py [--threads 2] [--iterations 7] [--trajectories 64] [--run RUN]

Both play the last stage with copies of the same tiny players: those of ``--run``, or players warmed up here as taxi-quickstart does
before its online phase, so that trajectories have a realistic length. Three contestants take turns in one process: ours as shipped
(frozen greedy reflection player, each prompt decoded once), ours with sampled reflections, and the reference
(``reference_loop.py``), which plays the trajectories again that ours as shipped has just played. The first iteration of each is not
counted: ours knows no reflection by heart then, which is shown apart. The evaluation that a run makes before its first update comes
after it.

The share of the matrix rate is that of model FLOPs, as model FLOPs utilisation is usually meant: what forward and backward passes over
the prompts ask for. Ours computes beginnings that prompts share once; what it really carries out is shown beside.

Prints a table and exits with code 1 when a target is missed. Meant for an idle machine.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from contestants import Iteration, Ours, Theirs
from work import matrix_rate

from workbench.config import RunConfig, apply_overrides, load_config, load_preset
from workbench.errors import ConfigError, WorkbenchError
from workbench.recipes.execute import execute, prepare_run
from workbench.recipes.session import Session, open_session
from workbench.store.layout import RunPaths, find_run, run_root

PRESET = "taxi-quickstart"
SHIPPED, SAMPLED, REFERENCE = "as shipped", "sampled", "reference"
SPEED_TARGETS = {SHIPPED: 12.0, SAMPLED: 5.0}
SHARE_TARGET = 0.4
WRITE_TARGET = 0.01


class Results(NamedTuple):
    """Everything that was measured."""

    iterations: dict[str, list[Iteration]]
    """By contestant; the first of each is the cold one."""
    matrix_rates: list[float]
    """Floating-point operations per second of a 2048 x 2048 x 2048 product, once a round."""
    writing: float
    """Share of writing, files included, in iterations as shipped that follow one another as in a run."""


def main() -> int:
    """Warm up, measure, print; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=7, help="of each contestant, after the first (default: %(default)s)")
    parser.add_argument("--trajectories", type=int, default=64, help="per iteration (default: %(default)s)")
    parser.add_argument("--run", help="a run whose players are taken, id or folder (default: warm some up here)")
    parser.add_argument("--mini-batch", type=int, default=10, help="turns per pass of the reference's update (default: %(default)s)")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            parent = find_run(run_root(), options.run) if options.run else warmed_up(root, options.threads)
            config = contest_config(load_config(parent.config), options.threads, options.trajectories)
            results = measure(root, parent, config, options.iterations, options.mini_batch)
    except WorkbenchError as error:
        print(f"rollout: {error}", file=sys.stderr)
        return 2
    source = f"run {parent.run_id}" if options.run else f"the warm-up of {PRESET}"
    print(f"players of {source}; {options.threads} thread(s), {options.trajectories} trajectories an iteration")
    print(f"medians of {options.iterations} iterations of each, taking turns, after one more that is shown as cold\n")
    print_table(results)
    return print_verdict(results)


def warmed_up(root: Path, threads: int) -> RunPaths:
    """A run that has made data and warmed up both players."""
    started = time.perf_counter()
    config = apply_overrides(load_preset(PRESET), ["phases=[generate,sft-reflection,sft-policy]", f"device.num_threads={threads}"])
    paths = prepare_run(root, config)
    execute(paths, queue=False, show_progress=sys.stderr.isatty())
    print(f"warmed up in {time.perf_counter() - started:.0f} s")
    return paths


def contest_config(config: RunConfig, threads: int, trajectories: int) -> RunConfig:
    """The settings of the contest: those of the run, the last stage throughout.

    Raises:
        ConfigError: The players cannot read 100 tokens of reflection.
    """
    if config.policy.model != "tiny" or config.policy.tiny.architecture != "llama" or config.reflection.kind != "model":
        raise ConfigError("the reference needs tiny players with rotary positions and a reflection model; name a run of taxi-quickstart")
    settings = [f"rl.trajectories_per_update={trajectories}", "curriculum.kind=none", "device.device=cpu", f"device.num_threads={threads}"]
    return apply_overrides(config.model_copy(update={"phases": ["rl"]}), settings)


def measure(root: Path, parent: RunPaths, config: RunConfig, count: int, mini_batch: int) -> Results:
    """Let the contestants take turns, once more than ``count``, the sampled one first or last by turns."""

    def session(decoding: str) -> Session:
        own = apply_overrides(config, [f"reflection.decoding={decoding}"])
        return open_session(prepare_run(root, own, parent=parent), show_progress=False)

    # The reference plays what ours has just played, so it comes after it.
    shipped, sampled, reference = Ours(session("greedy")), Ours(session("sample")), Theirs(session("sample"), mini_batch=mini_batch)
    iterations: dict[str, list[Iteration]] = {SHIPPED: [], SAMPLED: [], REFERENCE: []}
    turns: dict[str, Callable[[], Iteration]] = {
        SHIPPED: shipped.iterate,
        SAMPLED: sampled.iterate,
        REFERENCE: lambda: reference.iterate(shipped.collector.played),
    }
    rates = []
    for number in range(count + 1):
        rates.append(matrix_rate())
        for name in (SHIPPED, REFERENCE, SAMPLED) if number % 2 else (SAMPLED, SHIPPED, REFERENCE):
            iterations[name].append(turns[name]())
        if number == 0:
            shipped.evaluate()
    return Results(iterations, rates, shipped.writing(2 * count))


def print_table(results: Results) -> None:
    """One column per contestant, the cold first iteration of ours beside it."""
    columns = {f"{SHIPPED}, cold": results.iterations[SHIPPED][:1]}
    columns |= {name: found[1:] for name, found in results.iterations.items()}
    rate = median(results.matrix_rates)
    lines: dict[str, tuple[Callable[[Iteration], float], str]] = {
        "turns per second": (lambda one: one.speed, ",.1f"),
        "seconds an iteration": (lambda one: one.seconds, ".3f"),
        "  collect": (lambda one: one.parts["reflect"] + one.parts["act"] + one.parts["env"], ".3f"),
        "    reflect": (lambda one: one.parts["reflect"], ".3f"),
        "    act": (lambda one: one.parts["act"], ".3f"),
        "    env and prompts": (lambda one: one.parts["env"], ".3f"),
        "  update": (lambda one: one.parts["update"], ".3f"),
        "  write (metrics and buffer)": (lambda one: one.parts["write"], ".4f"),
        "turns an iteration": (lambda one: one.turns, ".0f"),
        "turns a trajectory": (lambda one: one.turns / one.trajectories, ".1f"),
        "success": (lambda one: one.successes / one.trajectories, ".2f"),
        "policy's prompt, tokens a turn": (lambda one: one.prompt_tokens / one.turns, ".1f"),
        "reflection in it, tokens a turn": (lambda one: one.reflection_tokens / one.turns, ".1f"),
        "reflection decoded, tokens a turn": (lambda one: one.decoded_tokens / one.turns, ".1f"),
        "model GFLOP an iteration": (lambda one: one.model_flops / 1e9, ".2f"),
        "  carried out": (lambda one: one.flops / 1e9, ".2f"),
        "  spent on padding besides": (lambda one: one.padded_flops / 1e9, ".2f"),
        "share of the matrix rate": (lambda one: one.model_flops / one.seconds / rate, ".1%"),
        "  carried out of it": (lambda one: one.flops / one.seconds / rate, ".1%"),
        "  carried out in the update": (lambda one: one.update_flops / one.parts["update"] / rate, ".1%"),
    }
    print(f"{'':<36}" + "".join(f"{name:>18}" for name in columns))
    for what, (value, form) in lines.items():
        print(f"{what:<36}" + "".join(f"{format(median(map(value, found)), form):>18}" for found in columns.values()))
    print(f"\nmatrix rate: {rate / 1e9:.1f} GFLOP/s (float32, 2048 x 2048 x 2048)")


def print_verdict(results: Results) -> int:
    """Compare with the targets; gives the exit code."""
    met = []
    for name, target in SPEED_TARGETS.items():
        ratios = [one.speed / other.speed for one, other in zip(results.iterations[name], results.iterations[REFERENCE], strict=True)]
        cold, steady = ratios[0], ratios[1:]
        spread = f"{median(steady):.1f} times the reference ({min(steady):.1f} to {max(steady):.1f}; cold {cold:.1f})"
        met.append(median(steady) >= target)
        print(f"{name}: {spread}, target {target:g}: {'met' if met[-1] else 'MISSED'}")
    shipped = results.iterations[SHIPPED]
    rate = median(results.matrix_rates)
    share, carried = (
        median(value / one.seconds for one, value in pairs) / rate
        for pairs in ([(one, one.model_flops) for one in shipped[1:]], [(one, one.flops) for one in shipped[1:]])
    )
    met.append(share >= SHARE_TARGET)
    print(
        f"{SHIPPED}: {share:.0%} of the matrix rate ({carried:.0%} carried out, the rest spared by shared beginnings), "
        f"target {SHARE_TARGET:.0%}: {'met' if met[-1] else 'MISSED'}"
    )
    met.append(results.writing <= WRITE_TARGET)
    print(f"{SHIPPED}: writing {results.writing:.2%} of iterations in a row, target {WRITE_TARGET:.0%}: {'met' if met[-1] else 'MISSED'}")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
