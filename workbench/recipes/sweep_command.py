"""`workbench sweep`, and `train --launcher`: many runs or one, here, in processes of their own, on Ray or by Slurm."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.config import RunConfig, apply_overrides
from workbench.errors import ConfigError, StoreError, WorkbenchError
from workbench.jobs.combinations import Combination, combinations
from workbench.jobs.launch import LocalLauncher
from workbench.jobs.slurm import script, submit_script
from workbench.jobs.sweep import Foreman, Launcher, Row
from workbench.recipes.arguments import config_of, config_words, process_arguments, resource_arguments, resources_of
from workbench.store.layout import RunPaths, find_run, run_root
from workbench.store.summary import summarise

LAUNCHERS = ("local", "foreground", "accelerate", "ray", "slurm")
_DEVICE = re.compile(r"(cpu|cuda(:\d+)?)", re.ASCII)
Result = dict[str, Any]


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """For `train`: one run elsewhere than in this process."""
    parser.add_argument(
        "--launcher",
        choices=("accelerate", "ray", "slurm"),
        help="spread it over several processes, or carry it out on a Ray cluster or by Slurm; else in this process",
    )
    process_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="slurm: print the batch script, and do nothing")
    resource_arguments(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For `sweep`, beside those of a configuration."""
    parser.add_argument("--over", action="append", default=[], metavar="a.b=x,y", help="values of one setting; may be repeated")
    parser.add_argument("--from", dest="parent", metavar="RUN", help="start all of them from this run's data and players")
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="local",
        help="a process for each run, this process, several processes for each run, Ray or Slurm (default: %(default)s)",
    )
    process_arguments(parser)
    parser.add_argument("--devices", metavar="D,D", help="local: such as cuda:0,cuda:1; one run at a time on each")
    parser.add_argument(
        "--retries", type=int, default=2, metavar="N", help="launch a run that lost its process so often again (default: 2)"
    )
    parser.add_argument("--again", action="store_true", help="begin every combination anew, also where a run of it is finished")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--only", type=int, metavar="N", help=argparse.SUPPRESS)  # a batch script's tasks name theirs
    resource_arguments(parser)


def run(arguments: argparse.Namespace) -> Result:
    """Carry a sweep out, or say what it would do; gives a row for each combination.

    Raises:
        WorkbenchError: A combination cannot work here, or runs failed; the others are finished then.
    """
    rows = _rows(combinations(config_of(arguments), arguments.over), arguments.only)
    _one_process(rows, arguments.launcher)
    if arguments.retries < 0:
        raise ConfigError(f"--retries must be at least 0, found {arguments.retries}")
    devices = _devices(arguments.devices, arguments.launcher)
    root = run_root(arguments.runs_dir)
    parent = find_run(root, arguments.parent).run_id if arguments.parent else None
    if arguments.launcher == "slurm":
        return _slurm(arguments, rows, root, over=arguments.over)
    if arguments.dry_run:
        return _told(Foreman(root, rows, LocalLauncher(devices), _no_run, parent=parent, again=arguments.again).look())
    found = _carry_out(arguments, rows, root, devices, again=arguments.again)
    result = _told(found)
    if failed := [row for row in found if row.state == "failed"]:
        if arguments.json:
            print(json.dumps(result))
        raise StoreError(
            f"{len(failed)} of {len(found)} runs failed, the first: {failed[0].combination.told()}: {failed[0].error}; "
            "mend that, the same command goes on with them"
        )
    return result


def train(arguments: argparse.Namespace, config: RunConfig) -> Result:
    """One run by a launcher; gives its id, state and last evaluation.

    Raises:
        WorkbenchError: It cannot work here, or it failed.
    """
    rows, root = [Row(Combination({}, config))], run_root(arguments.runs_dir)
    _one_process(rows, arguments.launcher or "")
    if arguments.launcher == "slurm":
        return _slurm(arguments, rows, root, over=[])
    if arguments.dry_run:
        raise ConfigError("--dry-run prints the batch script of --launcher slurm; name that, or leave --dry-run out")
    (row,) = _carry_out(arguments, rows, root, [""], again=True)
    assert row.paths is not None
    if row.state == "failed":
        raise StoreError(f"run {row.paths.run_id} failed: {row.error}")
    return {"run": row.paths.run_id, "path": str(row.paths.folder), "state": row.state, **_success(row.paths)}


def _one_process(rows: Sequence[Row], launcher: str) -> None:
    number = max(row.combination.config.device.num_processes for row in rows)
    if launcher in ("ray", "slurm") and number > 1:
        raise ConfigError(
            f"--launcher {launcher} gives a run one process, found device.num_processes={number}; leave it at 1, or use accelerate"
        )


def _rows(found: Sequence[Combination], only: int | None) -> list[Row]:
    if only is not None and not 0 <= only < len(found):
        raise ConfigError(f"--only {only}: the combinations are numbered from 0 to {len(found) - 1}")
    return [Row(one) for one in (found if only is None else [found[only]])]


def _devices(text: str | None, launcher: str) -> list[str]:
    if text is None:
        return [""]
    if launcher != "local":
        raise ConfigError(f"--devices is for --launcher local, found {launcher}; leave it out")
    devices = [part.strip() for part in text.split(",")]
    wrong = next((one for one in devices if not _DEVICE.fullmatch(one)), None)
    if wrong is not None:
        raise ConfigError(f"--devices {wrong!r} is no device; name cpu, cuda or cuda:N, separated by commas")
    return list(dict.fromkeys(devices))


def _no_run(config: RunConfig, above: RunPaths | None) -> RunPaths:
    raise AssertionError("a dry run makes no run")


def _carry_out(arguments: argparse.Namespace, rows: list[Row], root: Path, devices: list[str], *, again: bool) -> list[Row]:
    launcher = _launcher(arguments, devices)  # what is missing is told before torch is imported
    parent = find_run(root, arguments.parent) if arguments.parent else None
    from workbench.recipes.execute import prepare_run
    from workbench.recipes.preflight import preflight

    foreman = Foreman(
        root,
        rows,
        launcher,
        lambda config, above: prepare_run(root, _within(config, arguments), parent=above or parent),
        parent=parent.run_id if parent else None,
        retries=getattr(arguments, "retries", 2),
        again=again,
        tell=lambda line: print(line, flush=True),
    )
    try:
        for row in foreman.look():
            if row.paths is None:
                try:
                    preflight(row.combination.config)
                except WorkbenchError as error:
                    raise ConfigError(f"{row.combination.told()}: {error}") from None
        return foreman.carry_out()
    except KeyboardInterrupt:
        theirs = "runs under way go on by themselves; " if arguments.launcher in ("local", "accelerate") else ""
        print(f"{theirs}the same command goes on with the sweep", file=sys.stderr)
        raise
    finally:
        launcher.close()


def _within(config: RunConfig, arguments: argparse.Namespace) -> RunConfig:
    """On a cluster a run takes the cores that it asked for, where its configuration leaves them open."""
    cores = arguments.launcher in ("ray", "slurm") and config.device.num_threads == 0
    return apply_overrides(config, [f"device.num_threads={arguments.cpus}"]) if cores else config


def launcher_of(arguments: argparse.Namespace, *, starts: bool = True) -> Launcher:
    """The launcher that ``--launcher`` and ``--devices`` name.

    Args:
        arguments: Of the command line.
        starts: False where nothing will be started, so that no cluster is asked for.

    Raises:
        ConfigError: A device is none, or does not go with the launcher, which may lack what it needs here.
        StoreError: A cluster cannot be reached.
    """
    devices = _devices(arguments.devices, arguments.launcher)
    return _launcher(arguments, devices) if starts else LocalLauncher(devices)


def _launcher(arguments: argparse.Namespace, devices: list[str]) -> Launcher:
    if arguments.launcher == "ray":
        from workbench.recipes.ray_launcher import RayLauncher

        return RayLauncher(resources_of(arguments))
    if arguments.launcher == "foreground":
        return Foreground(show_progress=sys.stderr.isatty())
    return LocalLauncher(devices)  # a run that is spread over several processes starts them itself


class Foreground:
    """Carries each run out in this process, one after another.

    Args:
        show_progress: Draw progress bars.
    """

    devices = ("",)

    def __init__(self, *, show_progress: bool) -> None:
        self.show_progress = show_progress

    def launch(self, paths: RunPaths) -> None:
        """Carry the run on to its end; how it ended stands in its folder.

        Raises:
            KeyboardInterrupt: A signal stopped it, which is meant for all that would come after it as well.
        """
        from workbench.errors import RunStopped
        from workbench.recipes.execute import execute

        try:
            execute(paths, queue=False, show_progress=self.show_progress)
        except RunStopped as stopped:
            if stopped.by_signal:
                raise KeyboardInterrupt from stopped
        except WorkbenchError:
            return

    def problem(self, paths: RunPaths) -> str | None:
        """Nothing that the run folder does not say."""
        return None

    def is_gone(self, paths: RunPaths) -> bool:
        """A run is over when :meth:`launch` comes back."""
        return True

    def close(self) -> None:
        """Nothing is held."""


def _slurm(arguments: argparse.Namespace, rows: list[Row], root: Path, *, over: list[str]) -> Result:
    command = [sys.executable, "-m", "workbench", "sweep", *config_words(arguments)]
    if _within(rows[0].combination.config, arguments) != rows[0].combination.config:
        command += ["--set", f"device.num_threads={arguments.cpus}"]
    command += [word for one in over for word in ("--over", one)]
    command += [
        word for flag, value in (("--from", arguments.parent), ("--runs-dir", str(root.resolve()))) if value for word in (flag, value)
    ]
    text = script(
        [*command, "--launcher", "foreground", "--only"],
        name=rows[0].combination.config.preset,
        runs=len(rows),
        root=root,
        folder=Path.cwd(),
        resources=resources_of(arguments),
    )
    if arguments.dry_run:
        print(text, end="")
        return {"script": text, "runs": len(rows), "submitted": None}
    root.mkdir(parents=True, exist_ok=True)
    said = submit_script(text)
    print(said)
    return {"script": text, "runs": len(rows), "submitted": said}


def _told(rows: Sequence[Row]) -> Result:
    """Print a line for each combination; gives them all."""
    width = max(len(row.combination.told()) for row in rows)
    listed = []
    for row in rows:
        success = _success(row.paths) if row.paths else {}
        run_id = row.paths.run_id if row.paths else None
        rate = f"{success['success_rate']:.3f} [{success['low']:.3f}, {success['high']:.3f}]" if success.get("low") is not None else ""
        print(f"{row.combination.told():<{width}}  {row.state:<9}  {rate:<22}  {run_id or ''}".rstrip())
        listed.append({"over": row.combination.over, "run": run_id, "state": row.state, "error": row.error, **success})
    counts = {state: sum(row.state == state for row in rows) for state in ("finished", "stopped", "failed")}
    return {"sweep": listed, **counts}


def _success(paths: RunPaths) -> Result:
    found = summarise(paths)
    return {"success_rate": found.success_rate, "low": found.low, "high": found.high}
