"""The two studies of annotation budgets: which states get a reflection, and which instructions an answer.

    python benchmarks/label_budget.py --study states|instructions --seeds 0 1 2 3 4 --out FOLDER [--threads 1]

Writes ``FOLDER/<study>.csv``, a row per pool, design, budget and seed, as it goes; started again, it goes on where it was. Ends with the
table and, for every budget, whether half of it by the best design reaches what random reaches with all of it. No target can be missed.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any


def main() -> int:
    """Measure and print; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", required=True, choices=["states", "instructions"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pools", nargs="*", help="some of the study's pools (default: all)")
    parser.add_argument("--designs", nargs="*", help="some of the designs (default: all)")
    parser.add_argument("--budgets", type=int, nargs="*", help="other budgets than the study's")
    options = parser.parse_args()
    # Read when the libraries are loaded, so before any of them is.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    import torch

    from workbench.errors import WorkbenchError

    torch.set_num_threads(options.threads)
    try:
        run(options)
    except WorkbenchError as error:
        print(f"label_budget: {error}")
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Run the study and print its tables."""
    import warnings

    from workbench.recipes.label_budget import CONTESTANTS, run_study
    from workbench.recipes.label_budget_instructions import INSTRUCTIONS
    from workbench.recipes.label_budget_states import STATES

    warnings.filterwarnings("ignore", category=UserWarning)
    study = STATES if options.study == "states" else INSTRUCTIONS
    began, cpu = time.perf_counter(), time.process_time()

    def told(row: Any) -> None:
        print(
            f"{(time.perf_counter() - began) / 60:6.1f} min  seed {row['seed']}  {row['pool']:<12}{row['design']:<27}{row['budget']:>5}"
            f"  {study.metric} {row[study.metric]:.3f}  ({row['measure_cpu_seconds']:.1f} s)",
            flush=True,
        )

    results = run_study(
        study,
        options.out / f"{study.name}.csv",
        seeds=options.seeds,
        designs=options.designs or tuple(CONTESTANTS),
        pools=options.pools,
        budgets=options.budgets,
        on_row=told,
    )
    print(f"\n{(time.perf_counter() - began) / 60:.1f} minutes, {(time.process_time() - cpu) / 60:.1f} of them on a processor\n")
    show(results, study.metric)


def show(results: Any, metric: str) -> None:
    """Print the curves and the answers."""
    from workbench.evaluation.label_efficiency import curves, half_budgets

    table = curves(results, metric)
    for pool, own in table.groupby("pool", sort=False):
        print(f"{pool}: {metric}, mean over {own['seeds'].max()} seeds")
        print(own.pivot(index="design", columns="budget", values="mean").loc[list(dict.fromkeys(own["design"]))].round(3).to_string(), "\n")
    answers = half_budgets(results, metric)
    if len(answers):
        best = answers[answers["design"] == "best"]
        print("half the budget by the best design (chosen on the other seeds) minus random with all of it, 95 % by bootstrap and by t:")
        print(
            best[["pool", "half", "budget", "mean", "low", "high", "t_low", "t_high", "verdict", "picked"]].round(3).to_string(index=False)
        )


if __name__ == "__main__":
    raise SystemExit(main())
