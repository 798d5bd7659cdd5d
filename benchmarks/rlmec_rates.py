"""Accuracy of arms of the RLMEC study, by learning rate (how each arm's own was found) or at their own rates on further seeds.

    python benchmarks/rlmec_rates.py [--seeds 5 6] [--rates 3e-5 1e-4 ...] [--arms rlmec sft ...] [--set a.b=c] [--csv docs/rlmec/rates.csv]
    python benchmarks/rlmec_rates.py --own-rates --seeds 7 8 9 --arms rewards-only ppo-sequence

The arms of a seed share one warm-up, as in the study; accuracy is that on the seed's 1,000 test problems. Tables are Markdown, means over
seeds. The first command takes about 25 minutes of one core. The second compares the first arm with the others, paired by seed, with
Student's t over seeds (95 %). The study uses seeds 0 to 4, the tuning 5 and 6.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.evaluation.seeds import student_half_width
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
    parser.add_argument("--own-rates", action="store_true", help="each arm at the rate that the study gives it, instead of --rates")
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="a.b=c", help="a setting of the arms' last phases")
    parser.add_argument("--csv", type=Path, help="where to write every accuracy")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            frame = measured(Path(folder), options)
    except WorkbenchError as error:
        print(f"rlmec_rates: {error}", file=sys.stderr)
        return 2
    if options.csv:
        frame.to_csv(options.csv, index=False)
    (print_differences if options.own_rates else print_rates)(frame)
    return 0


def measured(root: Path, options: argparse.Namespace) -> pd.DataFrame:
    """One row a run: arm, rate (missing: the study's own), seed, accuracy; with ``--own-rates`` the warm-up's as well."""
    rates = [None] if options.own_rates else options.rates
    rows = []
    for seed in options.seeds:
        shared = trained(root, "warm-up", seed)
        print(f"seed {seed}: {accuracy(shared):.3f} after the warm-up", file=sys.stderr)
        if options.own_rates:
            rows.append({"arm": "warm-up", "rate": None, "seed": seed, "accuracy": accuracy(shared)})
        for rate in rates:
            chosen = () if rate is None else (f"rlmec.policy.learning_rate={rate}",)
            for arm in options.arms:
                found = accuracy(trained(root, arm, seed, *chosen, *options.overrides, parent=shared))
                rows.append({"arm": arm, "rate": rate, "seed": seed, "accuracy": found})
    return pd.DataFrame(rows)


def print_rates(frame: pd.DataFrame) -> None:
    """Mean accuracy over seeds, by arm and rate."""
    means = frame.pivot_table(index="arm", columns="rate", values="accuracy", sort=False)
    print(f"| arm | {' | '.join(f'{rate:g}' for rate in means.columns)} |\n| --- |{' ---: |' * len(means.columns)}")
    for arm, row in means.iterrows():
        print(f"| {RLMEC.arm(str(arm)).title} | {' | '.join(f'{value:.3f}' for value in row)} |")


def print_differences(frame: pd.DataFrame) -> None:
    """Mean accuracy by arm, and what the first arm that was asked for has more of it, paired by seed."""
    table = frame.pivot(index="seed", columns="arm", values="accuracy")
    names = list(dict.fromkeys(frame["arm"]))
    first = names[1]
    print(f"| arm ({len(table)} seeds) | accuracy | {RLMEC.arm(first).title}, minus it |\n| --- | ---: | ---: |")
    for arm in names:
        differences = np.asarray(table[first] - table[arm])
        half = float(student_half_width(differences))
        found = "" if arm == first else f"{differences.mean():+.3f} [{differences.mean() - half:+.3f}, {differences.mean() + half:+.3f}]"
        print(f"| {RLMEC.arm(arm).title} | {table[arm].mean():.3f} | {found} |")


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
