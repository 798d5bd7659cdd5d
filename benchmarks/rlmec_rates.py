"""Accuracy of arms of the RLMEC study by learning rate, on seeds that the study does not use: how each arm's own rate was found.

    python benchmarks/rlmec_rates.py [--seeds 5 6] [--rates 3e-5 1e-4 ...] [--arms rlmec sft ...] [--set a.b=c] [--csv docs/rlmec/rates.csv]

The arms of a seed share one warm-up, as in the study; accuracy is that on the seed's 1,000 test problems. About 25 minutes of one core.
The table is Markdown, means over seeds.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd

from workbench.errors import WorkbenchError
from workbench.recipes.execute import execute, prepare_run
from workbench.recipes.reproduce_rlmec import RLMEC
from workbench.store.files import read_lines
from workbench.store.layout import RunPaths

ARMS = ("rlmec", "sft", "rft", "dpo", "ppo-sequence", "grpo-sequence", "no-rl", "no-imitation")
"""Those with a loss of their own."""
RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 6e-3)


def main() -> int:
    """Train, print; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6])
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES))
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="a.b=c", help="a setting of the arms' last phases")
    parser.add_argument("--csv", type=Path, help="where to write every accuracy")
    options = parser.parse_args()
    rows = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for seed in options.seeds:
                shared = trained(Path(folder), "warm-up", seed)
                print(f"seed {seed}: {accuracy(shared):.3f} after the warm-up", file=sys.stderr)
                for rate in options.rates:
                    for arm in options.arms:
                        found = accuracy(
                            trained(Path(folder), arm, seed, f"rlmec.policy.learning_rate={rate}", *options.overrides, parent=shared)
                        )
                        rows.append({"arm": arm, "rate": rate, "seed": seed, "accuracy": found})
    except WorkbenchError as error:
        print(f"rlmec_rates: {error}", file=sys.stderr)
        return 2
    frame = pd.DataFrame(rows)
    if options.csv:
        frame.to_csv(options.csv, index=False)
    print(f"| arm | {' | '.join(f'{rate:g}' for rate in options.rates)} |\n| --- |{' ---: |' * len(options.rates)}")
    for arm in options.arms:
        means = frame[frame["arm"] == arm].groupby("rate")["accuracy"].mean()
        print(f"| {RLMEC.arm(arm).title} | {' | '.join(f'{means[rate]:.3f}' for rate in options.rates)} |")
    return 0


def trained(root: Path, arm: str, seed: int, *settings: str, parent: RunPaths | None = None) -> RunPaths:
    """A finished run of ``arm``."""
    overrides = ("device.device=cpu", "device.num_threads=1", *settings)
    config = RLMEC.config(RLMEC.world("arithmetic"), RLMEC.arm(arm), scale="tiny", seed=seed, overrides=overrides)
    paths = prepare_run(root, config, parent=parent, phases_were_named=True)
    execute(paths, queue=False, show_progress=False)
    return paths


def accuracy(paths: RunPaths) -> float:
    """Of its last evaluation."""
    return float(list(read_lines(paths.evaluations))[-1]["success_rate"])


if __name__ == "__main__":
    sys.exit(main())
