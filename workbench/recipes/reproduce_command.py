"""`workbench reproduce`: a paper's study from runs, or a stored run played again token by token."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ConfigError, StoreError
from workbench.recipes.arguments import resource_arguments
from workbench.recipes.sweep_command import launcher_of
from workbench.store.layout import STUDIES, find_run, run_root

if TYPE_CHECKING:
    from workbench.recipes.reproduce_report import Draw

SCALES = ("tiny", "paper")
Result = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `workbench reproduce` takes."""
    parser.add_argument("study", nargs="?", metavar="STUDY", help="which paper, such as reflect-rl")
    parser.add_argument("--scale", choices=SCALES, default="tiny", help="tiny players here, or the paper's models (default: %(default)s)")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many (default: each world's own)")
    parser.add_argument("--worlds", nargs="+", default=[], metavar="W", help="only these")
    parser.add_argument("--arms", nargs="+", default=[], metavar="A", help="only these, and what they start from")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="a.b=c", help="a setting of all runs")
    parser.add_argument(
        "--launcher", choices=("local", "foreground", "ray"), default="local", help="processes of their own, this one, or Ray"
    )
    parser.add_argument("--devices", metavar="D,D", help="local: such as cuda:0,cuda:1; one run at a time on each")
    parser.add_argument("--out", type=Path, metavar="D", help="where tables and figures go (default: studies/ beside the runs)")
    parser.add_argument("--dry-run", action="store_true", help="list runs, memory and time, and do nothing")
    parser.add_argument("--report", action="store_true", help="write tables and figures of what is finished, and start nothing")
    parser.add_argument("--verify", metavar="RUN", help="play a stored run's trajectories again and name the first token that differs")
    resource_arguments(parser)


def run(arguments: argparse.Namespace, *, draw: "Draw") -> Result:
    """Carry a study out and write what it found; or look only.

    Raises:
        WorkbenchError: Anything a person can mend; runs that failed are told after the others are done.
    """
    if (arguments.verify is None) == (arguments.study is None):
        raise ConfigError("name either a STUDY, such as reflect-rl, or --verify RUN")
    root = run_root(arguments.runs_dir)
    if arguments.verify is not None:
        from workbench.recipes.reproduce_verify import verify_run  # torch takes seconds

        found = verify_run(find_run(root, arguments.verify), tell=print)
        if not found["equal"]:
            if arguments.json:
                print(json.dumps(found))
            raise StoreError(str(found["told"]))
        return found
    from workbench.recipes.reproduce import foreman_of, left_line, pieces_of, study_of
    from workbench.recipes.reproduce_report import report  # pandas and scipy take a second

    study = study_of(arguments.study)
    pieces = pieces_of(
        study, scale=arguments.scale, worlds=arguments.worlds, arms=arguments.arms, seeds=arguments.seeds, overrides=arguments.overrides
    )
    launcher = launcher_of(arguments, starts=not (arguments.dry_run or arguments.report))
    foreman = foreman_of(pieces, root, launcher, tell=lambda line: print(line, flush=True))
    foreman.look()
    if arguments.dry_run:
        from workbench.recipes.reproduce_estimate import dry_run

        return dry_run(study, pieces, tell=print)
    folder = arguments.out or root / STUDIES / f"{study.name}-{arguments.scale}"
    if not arguments.report:
        print(left_line(pieces, places=len(launcher.devices)), flush=True)
        try:
            foreman.carry_out()
        except KeyboardInterrupt:
            print("the same command goes on with the study", file=sys.stderr)
            raise
    result = report(study, pieces, folder, draw=draw)
    if failed := [piece.row for piece in pieces if piece.row.state == "failed"]:
        if arguments.json:
            print(json.dumps(result))
        raise StoreError(
            f"{len(failed)} of {len(pieces)} runs failed, the first: {failed[0].combination.told()}: {failed[0].error}; "
            "mend that, the same command goes on with them"
        )
    return result
