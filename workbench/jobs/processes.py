"""One run on several processes: the command of accelerate that starts them, its port, and what became of them. No torch."""

import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from workbench.errors import ConfigError
from workbench.store.layout import RunPaths

_SHARDED = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM")
_ENDED = re.compile(r"rank\s*: (\d+) \(local_rank: \d+\)\s+exitcode\s*: (-?\d+)", re.ASCII)
"""How torch's launcher, which accelerate calls, lists the processes that failed."""
_HOST = "127.0.0.1"


def launch_command(module: str, *words: str, processes: int, threads: int, port: int) -> list[str]:
    """The command that starts ``python -m module words`` as ``processes`` processes of one machine.

    Args:
        module: What each of them runs.
        words: Its arguments.
        processes: How many, at least 2.
        threads: CPU threads of each.
        port: On which they meet, on the loopback interface.
    """
    return [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        # Named for GPUs, this is the way through torch's launcher, which knows CPUs as well; accelerate's --cpu asks for MPI.
        "--multi_gpu",
        *("--num_machines", "1", "--num_processes", str(processes), "--num_cpu_threads_per_process", str(threads)),
        *("--main_process_port", str(port), "--mixed_precision", "no", "--dynamo_backend", "no", "--gpu_ids", "all"),
        *("--module", module, *words),
    ]


def launch_environment(*, on_cpu: bool, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the processes find in their environment.

    Raises:
        ConfigError: It asks for weights that are spread over the processes.
    """
    asked = next((name for name in _SHARDED if environment.get(name, "").lower() in ("1", "true", "yes")), None)
    if asked is not None:
        raise ConfigError(
            f"{asked}={environment[asked]}: every process holds the whole model, spread weights are not supported; unset it, "
            "and let policy.load_in_4bit or gradient_checkpointing make the model fit"
        )
    ours = {"ACCELERATE_USE_CPU": str(on_cpu).lower(), "PYTHONUNBUFFERED": "1"}
    if sys.platform == "linux":
        ours["GLOO_SOCKET_IFNAME"] = "lo"  # a machine's own name need not lead back to it
    return {**environment, **ours}


def checked_port(port: int | None) -> int:
    """``port`` where it is free; any free one when None.

    Raises:
        ConfigError: It is no port, or in use.
    """
    if port is not None and not 1024 <= port <= 65535:
        raise ConfigError(f"--main-process-port must be between 1024 and 65535, found {port}")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        # As the launcher's own server does: a port of a run that has just ended is free.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((_HOST, port or 0))
        except OSError as error:
            raise ConfigError(f"--main-process-port {port} is in use ({error.strerror}); name another, or none for any free one") from None
        return int(one.getsockname()[1])


def error_file(paths: RunPaths, rank: int) -> Path:
    """Where a process that does not lead says in one line why it ended."""
    return paths.logs / f"process-{rank}.error"


def what_ended(paths: RunPaths, *, processes: int, log_start: int) -> str | None:
    """Why the processes of a run ended before it, in one line; None where nothing is known.

    Args:
        paths: The run folder.
        processes: How many there were.
        log_start: Bytes of ``logs/launch.log`` that are of earlier processes.
    """
    for rank in range(processes):
        try:
            told = error_file(paths, rank).read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if told:
            return f"process {rank} of {processes}: {told}"
    try:
        log = paths.launch_log.read_bytes()[log_start:].decode(errors="replace")
    except OSError:
        return None
    ended = [(int(rank), int(code)) for rank, code in _ENDED.findall(log)]
    # Where one is killed, the launcher terminates the others, and they may fail first for want of it.
    rank, code = next((one for one in ended if one[1] in (-9, -11, -6, -7)), ended[0] if ended else (0, 0))
    if code == 0:
        return None
    return f"process {rank} of {processes} {f'was killed by signal {-code}' if code < 0 else f'ended with exit code {code}'}"
