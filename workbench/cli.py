"""The command line: every command is a few lines over the library.

Errors a person can cause are one line on standard error and exit code 2; with ``--json`` the last line on
standard output is one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from workbench.config import RunConfig, apply_overrides, load_config, load_preset, preset_names
from workbench.errors import ConfigError, DataError, RunStopped, WorkbenchError
from workbench.recipes import analyse_command, evaluate_command, reproduce_command, select_command, serve_command, sweep_command
from workbench.recipes.arguments import (
    config_arguments,
    config_of,
    port_argument,
    process_arguments,
    process_overrides,
    tracker_argument,
    tracker_override,
)
from workbench.store.layout import RunPaths, find_run, run_root

Result = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code (0 done, 2 a person can mend it, 130 interrupted)."""
    arguments = _parser().parse_args(argv)
    try:
        result: Result = arguments.command(arguments)
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("workbench: interrupted", file=sys.stderr)
        return 130
    if arguments.json:
        print(json.dumps(result))
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"workbench: {message}; see `{self.prog} --help`", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="workbench", description="Fine-tune language-model agents with reinforcement learning in text environments.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function: Any, help_text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_text, description=help_text)
        sub.set_defaults(command=function)
        sub.add_argument("--json", action="store_true", help="end with one JSON object on standard output")
        return sub

    command("presets", _presets, "list the ready configurations")
    train = command("train", _train, "every phase that a configuration names, in one run folder")
    config_arguments(train)
    train.add_argument("--from", dest="parent", metavar="RUN", help="start from this run's data and players")
    resume = command("resume", _resume, "go on with a stopped or killed run")
    resume.add_argument("--queue", action="store_true", help="wait until no other run trains on the same device")
    for sub in (train, resume):
        sub.add_argument("--quiet", action="store_true", help="no progress bars")
        port_argument(sub)
    sweep_command.add_launcher(train)
    sweep = command("sweep", sweep_command.run, "every combination of some settings, each a run; again, it goes on where it was")
    config_arguments(sweep)
    sweep_command.add_arguments(sweep)
    for sub in (train, resume, sweep):
        tracker_argument(sub)
    for name, function, help_text in (
        ("stop", _stop, "ask a run to save and stop"),
        ("show", _show, "what a run is and how far"),
    ):
        command(name, function, help_text).add_argument("run", metavar="RUN")
    resume.add_argument("run", metavar="RUN")
    resume.add_argument("--launcher", choices=("accelerate",), help="go on with another number of processes than before")
    process_arguments(resume)
    resume.add_argument("--set", dest="overrides", action="append", default=[], metavar="a.b=c", help="raise data.teacher's budget, say")
    command("runs", _runs, "list the runs")
    generate = command("generate", _generate, "trajectories with reflections and negative examples, as SFT sets")
    config_arguments(generate)
    generate.add_argument("--out", required=True, type=Path, metavar="D", help="folder to write to")
    evaluate_command.add_arguments(command("evaluate", evaluate_command.run, "success rate with its Wilson interval"))
    reproduce_command.add_arguments(command("reproduce", _reproduce, "a paper's table and figures, from runs"))
    select_command.add_arguments(command("select", select_command.run, "which prompts of a pool to have annotated, chosen without labels"))
    analyse_command.add_arguments(
        command("analyse", analyse_command.run, "what a run's reflections gained, computed beside its records for the app")
    )
    serve_command.add_arguments(command("serve", serve_command.run, "the command that serves a run's reflection player to other runs"))
    play = command("play", _play, "play an environment in the terminal")
    play.add_argument("env", nargs="?", metavar="ENV", help="a known environment, or package.module:ClassName of your own")
    play.add_argument("--run", metavar="RUN", help="have this run's players at hand, and its environment where ENV is left out")
    play.add_argument("--seed", type=int, default=0)
    play.add_argument("--task")
    play.add_argument("--stage")
    play.add_argument("--set", dest="overrides", action="append", default=[], metavar="a.b=c", help="such as env.options.horizon=30")
    for sub in commands.choices.values():
        sub.add_argument("--runs-dir", metavar="D", help="where runs are (default: $WORKBENCH_RUNS or runs/)")
    return parser


def _presets(arguments: argparse.Namespace) -> Result:
    rows = [(name, load_preset(name).description) for name in preset_names()]
    width = max(len(name) for name, _ in rows)
    for name, description in rows:
        print(f"{name:<{width}}  {description}")
    return {"presets": [{"preset": name, "description": description} for name, description in rows]}


def _train(arguments: argparse.Namespace) -> Result:
    config = config_of(arguments)
    if arguments.launcher in ("ray", "slurm") or arguments.dry_run:
        return sweep_command.train(arguments, config)
    root = run_root(arguments.runs_dir)
    parent = find_run(root, arguments.parent) if arguments.parent else None
    from workbench.recipes.execute import prepare_run  # torch takes seconds; a mistyped setting is told before

    named = any(override.partition("=")[0].strip() == "phases" for override in arguments.overrides)
    paths = prepare_run(root, config, parent=parent, phases_were_named=named)
    print(f"run {paths.run_id} in {paths.folder}")
    return _execute(paths, arguments, queue=False)


def _resume(arguments: argparse.Namespace) -> Result:
    paths = find_run(run_root(arguments.runs_dir), arguments.run)
    if overrides := [*arguments.overrides, *tracker_override(arguments), *process_overrides(arguments)]:
        from workbench.recipes.amend import amend

        amend(paths, overrides)
    return _execute(paths, arguments, queue=arguments.queue)


def _execute(paths: RunPaths, arguments: argparse.Namespace, *, queue: bool) -> Result:
    from workbench.recipes.execute import execute

    identity: Result = {"run": paths.run_id, "path": str(paths.folder)}
    try:
        progress = not arguments.quiet and sys.stderr.isatty()
        found = execute(paths, queue=queue, show_progress=progress, port=arguments.main_process_port)
    except RunStopped:
        print(f"stopped; `workbench resume {paths.run_id}` goes on")
        return {**identity, "state": "stopped"}
    if found:
        print(evaluate_command.rate_line(found))
    return {**identity, "state": "finished", **found}


def _reproduce(arguments: argparse.Namespace) -> Result:
    from workbench.pictures.study import draw_study  # plotly takes a second

    return reproduce_command.run(arguments, draw=draw_study)


def _stop(arguments: argparse.Namespace) -> Result:
    from workbench.jobs.launch import request_stop

    paths = find_run(run_root(arguments.runs_dir), arguments.run)
    state = request_stop(paths)
    print(f"run {paths.run_id} is {state}")
    return {"run": paths.run_id, "state": state}


def _runs(arguments: argparse.Namespace) -> Result:
    from workbench.store.reader import list_runs

    summaries = list_runs(run_root(arguments.runs_dir))
    rows = [
        {
            "run": one.run,
            "state": one.state,
            "recipe": one.recipe,
            "preset": one.preset,
            "model": one.model,
            "seed": one.seed,
            "phase": one.phase,
            "success_rate": one.success_rate,
            "low": one.low,
            "high": one.high,
            "problem": one.problem,
        }
        for one in summaries
    ]
    for row in rows:
        rate = "" if row["success_rate"] is None else f"{row['success_rate']:.3f}"
        print(f"{row['run']!s:<44} {row['state'] or '?'!s:<9} {row['phase'] or ''!s:<15} {rate:<6} {row['problem'] or ''}")
    return {"runs": rows}


def _show(arguments: argparse.Namespace) -> Result:
    from workbench.store.reader import Run

    paths = find_run(run_root(arguments.runs_dir), arguments.run)
    run = Run(paths)
    status, evaluations = run.status(), run.evaluations()
    last = json.loads(evaluations.iloc[-1].dropna().to_json()) if len(evaluations) else {}
    print(f"run      {paths.run_id}\nfolder   {paths.folder}\nstate    {status['state']}  {status.get('error') or ''}")
    print(f"phase    {status.get('phase', '')} {status.get('update', '')}/{status.get('total', '')}")
    if last:
        print(f"success  {evaluate_command.rate_line(last)}")
    print(f"repeat   workbench train --config {paths.config}")
    return {"run": paths.run_id, "path": str(paths.folder), "status": status, "evaluation": last, "config": run.config()}


def _generate(arguments: argparse.Namespace) -> Result:
    from workbench.data.sets import data_card
    from workbench.data.splits import split_tasks
    from workbench.envs.catalog import make_env
    from workbench.recipes.sets import asking_bar, make_sets

    config = config_of(arguments)
    env = make_env(config.env.name, **config.env.options)
    try:
        with asking_bar(show=sys.stderr.isatty()) as watch:
            examples, _ = make_sets(config, env, split_tasks(env, config.data, seed=config.seed), arguments.out, watch=watch)
    except OSError as error:
        raise DataError(f"{arguments.out}: cannot be written: {error.strerror or error}; name another folder with --out") from None
    card = data_card(examples, config.data)
    print(f"{card['examples']} examples of {card['states']} states in {arguments.out}")
    return {"out": str(arguments.out), **card}


def _play(arguments: argparse.Namespace) -> Result:
    from workbench.envs.catalog import make_env
    from workbench.screen import standard_screen
    from workbench.terminal import Advisor, play

    if not (arguments.env or arguments.run):
        raise ConfigError("name an ENV, such as taxi, or a run to play beside with --run")
    paths = find_run(run_root(arguments.runs_dir), arguments.run) if arguments.run else None
    config = load_config(paths.config) if paths else apply_overrides(RunConfig(), [f"env.name={arguments.env}"])
    if arguments.env and arguments.env != config.env.name:
        raise ConfigError(f"run {arguments.run} was trained on {config.env.name!r}, not on {arguments.env!r}; leave ENV out")
    config = apply_overrides(config, arguments.overrides)
    env = make_env(config.env.name, **config.env.options)
    advise: Advisor | None = None
    if paths:
        from workbench.recipes.advise import advisor  # torch takes seconds

        advise = advisor(paths)
    played = play(env, seed=arguments.seed, task=arguments.task, stage=arguments.stage, read=input, screen=standard_screen(), advise=advise)
    return {"env": config.env.name, **played._asdict()}
