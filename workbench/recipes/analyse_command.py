"""`workbench analyse`: its arguments, and what it prints. Nothing heavy is imported before the arguments are read."""

import argparse
from typing import Any

from workbench.store.layout import find_run, run_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `workbench analyse` takes."""
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--turns", type=int, help="most recorded turns of each stage (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="which turns are taken (default: %(default)s)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compute what a run's reflections gained, and print a line; gives the numbers.

    Raises:
        WorkbenchError: Anything a person can mend.
    """
    paths = find_run(run_root(arguments.runs_dir), arguments.run)
    from workbench.recipes.analyse import TURNS_PER_STAGE, analyse_run  # torch takes seconds

    per_stage = TURNS_PER_STAGE if arguments.turns is None else arguments.turns
    found = analyse_run(paths, per_stage=per_stage, seed=arguments.seed)
    print(
        f"reflection gain {found['gain']:+.3f} nats against no reflection, {found['gain_over_other']:+.3f} against another state's, "
        f"mean of {found['turns']} turns at {found['checkpoints'][-1]}"
    )
    return {"run": paths.run_id, **found}
