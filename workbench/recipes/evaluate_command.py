"""`workbench evaluate`: its arguments, and what it prints. Nothing heavy is imported before the arguments are read."""

import argparse
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from workbench.config import RunConfig, apply_overrides, load_preset
from workbench.errors import ConfigError
from workbench.recipes.scope import Wanted
from workbench.store.layout import RunPaths, find_run, run_names, run_root

DEFAULT_PRESET = "taxi-quickstart"
_AS_GOOD_AS_A_RUN = 0.8
"""Likeness to a run's name from which on a name of no folder is a mistyped run and no model of the hub."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that `workbench evaluate` takes."""
    parser.add_argument("subject", nargs="?", metavar="RUN|MODEL", help="a run, a hub id or a model folder")
    parser.add_argument("--endpoint", metavar="BASE_URL", help="a chat model behind an OpenAI-compatible address, with --model")
    parser.add_argument("--model", metavar="NAME", help="the model's name at the endpoint")
    parser.add_argument("--api-key-env", metavar="VARIABLE", help="environment variable with its key (default: OPENAI_API_KEY)")
    parser.add_argument("--in-context", action="store_true", help="let a MODEL analyse, then choose, as a chat model is asked to")
    parser.add_argument("--preset", help=f"environment and prompts for a MODEL or endpoint (default: {DEFAULT_PRESET})")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="a.b=c", help="change a setting of the run or preset"
    )
    parser.add_argument("--trajectories", type=int, help="how many (default: the configuration's)")
    parser.add_argument("--seed", type=int, help="seed of tasks and dice (default: the configuration's)")
    parser.add_argument("--stage", help="stage to play (default: the last)")
    parser.add_argument("--split", choices=["train", "validation", "test", "all"], help="start states (default: the configuration's)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Evaluate, and print a line; gives the numbers.

    Raises:
        WorkbenchError: Anything a person can mend.
    """
    _refuse_what_does_not_go_together(arguments)
    wanted = Wanted(arguments.trajectories, arguments.seed, arguments.stage, arguments.split)
    paths = None if arguments.endpoint is not None else _run_named(run_root(arguments.runs_dir), arguments.subject)
    if paths is not None:
        found = _evaluate_run(paths, arguments, wanted)
    elif arguments.endpoint is not None or arguments.in_context:
        found = _evaluate_outside(arguments, wanted)
    else:
        config = _preset(arguments)
        from workbench.recipes.judge import evaluate_model

        found = evaluate_model(arguments.subject, config, wanted)
    print(rate_line(found))
    return found


def rate_line(found: dict[str, Any]) -> str:
    """An evaluation in one line."""
    return (
        f"success {found['success_rate']:.3f} [{found['low']:.3f}, {found['high']:.3f}] over {found['trajectories']:.0f} trajectories "
        f"of stage {found['stage']} ({found['split']} start states), mean reward {found['mean_reward']:.3f}"
    )


def _refuse_what_does_not_go_together(arguments: argparse.Namespace) -> None:
    if (arguments.subject is None) == (arguments.endpoint is None) or (arguments.endpoint is None) != (arguments.model is None):
        raise ConfigError("name either a RUN or MODEL, or --endpoint BASE_URL together with --model NAME")
    if arguments.in_context and arguments.endpoint is not None:
        raise ConfigError("--in-context is for a MODEL; one behind an --endpoint is always asked so: leave --in-context out")
    if arguments.api_key_env is not None and arguments.endpoint is None:
        raise ConfigError("--api-key-env names the key of an --endpoint, and there is none; leave it out, or name the endpoint")


def _run_named(root: Path, subject: str) -> RunPaths | None:
    """The run of that name; None where it names a model."""
    if (root / subject / "meta.json").is_file() or (Path(subject) / "meta.json").is_file():
        return find_run(root, subject)
    known = run_names(root)
    if not Path(subject).is_dir() and get_close_matches(subject, known, cutoff=_AS_GOOD_AS_A_RUN):
        return find_run(root, subject)  # which there is not: the error names the nearest
    return None


def _evaluate_run(paths: RunPaths, arguments: argparse.Namespace, wanted: Wanted) -> dict[str, Any]:
    for flag, given in (("--preset", arguments.preset is not None), ("--in-context", arguments.in_context)):
        if given:
            raise ConfigError(
                f"{flag} is for a MODEL, and {paths.run_id} is a run, evaluated with its own settings; "
                f"leave {flag} out, or change them by --set"
            )
    from workbench.recipes.judge import evaluate_run

    return evaluate_run(paths, wanted, overrides=arguments.overrides)


def _preset(arguments: argparse.Namespace) -> RunConfig:
    return apply_overrides(load_preset(arguments.preset or DEFAULT_PRESET), arguments.overrides)


def _evaluate_outside(arguments: argparse.Namespace, wanted: Wanted) -> dict[str, Any]:
    config = _preset(arguments)
    from workbench.recipes.outside import endpoint_settings, evaluate_endpoint, evaluate_in_context  # torch takes seconds

    progress = sys.stderr.isatty()
    if arguments.endpoint is None:
        found = evaluate_in_context(arguments.subject, config, wanted, show_progress=progress)
    else:
        endpoint = endpoint_settings(config, arguments.endpoint, arguments.model, arguments.api_key_env)
        found = evaluate_endpoint(endpoint, config, wanted, show_progress=progress)
    if found["api_failures"]:
        print(
            f"{found['api_failures']} trajectories met a failure of the API and are left out below; "
            f"counted as failures of the task, success is {found['success_rate_api_failures_counted']:.3f}"
        )
    return found
