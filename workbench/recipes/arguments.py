"""Arguments of the command line that several commands share: a configuration, and what a run asks a cluster for."""

import argparse
import json
from pathlib import Path

from workbench.config import RunConfig, apply_overrides, load_config, load_preset
from workbench.errors import ConfigError
from workbench.jobs.processes import checked_port
from workbench.jobs.resources import Resources

MOST_PROCESSES = 64


def config_arguments(parser: argparse.ArgumentParser) -> None:
    """A preset or a file, and changes of it."""
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="a ready configuration, see `workbench presets`")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a configuration file instead of a preset")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="a.b=c", help="change one setting; may be repeated")
    parser.add_argument("--seed", type=int, help="the run's seed")


def tracker_argument(parser: argparse.ArgumentParser) -> None:
    """Who else is told of a run's numbers."""
    parser.add_argument("--report-to", metavar="T,T", help="tensorboard, mlflow, wandb or trackio: --set tracking.report_to=[T,T]")


def tracker_override(arguments: argparse.Namespace) -> list[str]:
    """What :func:`tracker_argument` read, as ``--set`` takes it; empty when it was not given."""
    text = getattr(arguments, "report_to", None)
    return [] if text is None else [f"tracking.report_to={json.dumps([part.strip() for part in text.split(',')])}"]


def config_of(arguments: argparse.Namespace) -> RunConfig:
    """The configuration that :func:`config_arguments` describe.

    Raises:
        ConfigError: None or both of the two are named, or a setting is refused.
    """
    if (arguments.preset is None) == (arguments.config is None):
        raise ConfigError("name either a PRESET or --config FILE; `workbench presets` lists the presets")
    config = load_preset(arguments.preset) if arguments.preset else load_config(arguments.config)
    seed = [] if arguments.seed is None else [f"seed={arguments.seed}"]
    return apply_overrides(config, [*arguments.overrides, *seed, *tracker_override(arguments), *process_overrides(arguments)])


def config_words(arguments: argparse.Namespace) -> list[str]:
    """The arguments that :func:`config_arguments` read, as words of a command that may be called from another folder."""
    words = [arguments.preset] if arguments.preset else ["--config", str(arguments.config.resolve())]
    words += [word for override in [*arguments.overrides, *tracker_override(arguments)] for word in ("--set", override)]
    return words if arguments.seed is None else [*words, "--seed", str(arguments.seed)]


def resource_arguments(parser: argparse.ArgumentParser) -> None:
    """What each run asks a cluster for."""
    asked = parser.add_argument_group("asked of a cluster, for each run (ray, slurm)")
    asked.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs (default: none)")
    asked.add_argument("--cpus", type=int, default=1, metavar="N", help="CPU cores (default: 1)")
    asked.add_argument("--memory-gb", type=float, metavar="GB", help="memory, gigabytes (default: the cluster's)")
    asked.add_argument("--time", metavar="HH:MM:SS", help="slurm: longest time (default: the partition's)")
    asked.add_argument("--partition", metavar="NAME", help="slurm: where (default: the cluster's)")


def resources_of(arguments: argparse.Namespace) -> Resources:
    """What :func:`resource_arguments` read.

    Raises:
        ConfigError: A number or name cannot be used.
    """
    return Resources.checked(
        gpus=arguments.gpus, cpus=arguments.cpus, memory_gb=arguments.memory_gb, time=arguments.time, partition=arguments.partition
    )


def process_arguments(parser: argparse.ArgumentParser) -> None:
    """One run on several processes."""
    parser.add_argument("--num-processes", type=int, metavar="N", help="accelerate: processes of one run, on CUDA a device each")


def port_argument(parser: argparse.ArgumentParser) -> None:
    """Where the processes of one run meet."""
    parser.add_argument("--main-process-port", type=int, metavar="PORT", help="accelerate: where they meet (default: any free one)")


def process_overrides(arguments: argparse.Namespace) -> list[str]:
    """What :func:`process_arguments` read, as ``--set`` takes it; empty without ``--launcher accelerate``.

    Raises:
        ConfigError: The number is missing, impossible, or given to another launcher; or the port is in use.
    """
    number, port, launcher = (getattr(arguments, name, None) for name in ("num_processes", "main_process_port", "launcher"))
    if launcher == "accelerate":
        if port is not None:
            checked_port(port)  # told before a run folder is made
        if number is None:
            raise ConfigError("--launcher accelerate needs --num-processes N: how many processes the run is spread over")
        if not 1 <= number <= MOST_PROCESSES:
            raise ConfigError(f"--num-processes must be between 1 and {MOST_PROCESSES}, found {number}")
        return [f"device.num_processes={number}"]
    for flag, given in (("--num-processes", number), ("--main-process-port", port)):
        if given is not None:
            found = f"found --launcher {launcher}" if launcher else "and there is no --launcher"
            raise ConfigError(f"{flag} is for --launcher accelerate, {found}; add that, or leave {flag} out")
    return []
