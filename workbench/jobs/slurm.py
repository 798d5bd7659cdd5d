"""A batch script for Slurm: one array task for each run, which goes on with its run when it is queued again. No torch.

A small template, since what has to stand in it is little; submitit would pickle a function where a command line says it all.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from workbench.errors import ConfigError, StoreError
from workbench.jobs.resources import Resources

TASK = '"$SLURM_ARRAY_TASK_ID"'
_WAIT_SECONDS = 60
_SECONDS_TO_SAVE = 120
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./@:+=,~-]+", re.ASCII)


def script(command: Sequence[str], *, name: str, runs: int, root: Path, folder: Path, resources: Resources) -> str:
    """The script.

    Args:
        command: Words of the command that carries one run out; the task's number, from 0, is added as its last word.
        name: Of the job; characters that a name cannot have are left out.
        runs: How many.
        root: The run root; the tasks' output goes to files in it.
        folder: Where the command is called.
        resources: What each run asks for.

    Raises:
        ConfigError: The run root's path has characters that a batch script's options cannot hold.
    """
    root = root.resolve()
    if not _PLAIN_PATH.fullmatch(str(root)):
        raise ConfigError(f"run root {str(root)!r}: Slurm needs a path of letters, digits and ./_-; name another with --runs-dir")
    options = {
        "job-name": re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:60] or "workbench",
        "array": f"0-{runs - 1}" if runs > 1 else "0",
        "output": f"{root}/slurm-%A_%a.log",
        "open-mode": "append",
        "cpus-per-task": str(resources.cpus),
    }
    if resources.gpus:
        options["gres"] = f"gpu:{resources.gpus}"
    if resources.memory_gb is not None:
        options["mem"] = f"{round(resources.memory_gb * 1024)}M"
    options |= {key: value for key, value in (("time", resources.time), ("partition", resources.partition)) if value is not None}
    lines = [f"#SBATCH --{key}={value}" for key, value in options.items()]
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            "#SBATCH --requeue",
            "# Before the time is up a run is asked to save and stop; the same script again goes on with it.",
            f"#SBATCH --signal=TERM@{_SECONDS_TO_SAVE}",
            "set -euo pipefail",
            f"cd -- {shlex.quote(str(folder.resolve()))}",
            'export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"',
            f"exec srun {shlex.join(command)} {TASK}",
            "",
        ]
    )


def submit_script(text: str) -> str:
    """Hand a script to ``sbatch``; gives what it says.

    Raises:
        StoreError: There is no ``sbatch`` here, or it refuses.
    """
    program = shutil.which("sbatch")
    if program is None:
        raise StoreError("sbatch is not on this machine; --dry-run prints the script, to be handed in where it is")
    try:
        answer = subprocess.run([program], input=text, capture_output=True, text=True, timeout=_WAIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise StoreError(f"sbatch gave no answer within {_WAIT_SECONDS} s; see `squeue` before trying again") from None
    if answer.returncode:
        reason = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]
        raise StoreError(f"sbatch refuses: {reason[:200]}")
    return answer.stdout.strip()
