"""What a run asks a cluster for. No torch."""

import re
from typing import NamedTuple

from workbench.errors import ConfigError

_TIME = re.compile(r"(\d{1,3}-)?\d{1,4}(:\d{2}){0,2}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,-]{0,99}", re.ASCII)


class Resources(NamedTuple):
    """For one run."""

    gpus: int = 0
    cpus: int = 1
    memory_gb: float | None = None
    """The cluster's own amount when None."""
    time: str | None = None
    """As Slurm writes it: minutes, ``HH:MM:SS`` or ``D-HH:MM:SS``."""
    partition: str | None = None

    @classmethod
    def checked(cls, *, gpus: int, cpus: int, memory_gb: float | None, time: str | None, partition: str | None) -> "Resources":
        """Resources that can be asked for.

        Raises:
            ConfigError: A number is out of range, or a word holds what it cannot.
        """
        if not 0 <= gpus <= 1024:
            raise ConfigError(f"--gpus must be between 0 and 1024, found {gpus}")
        if not 1 <= cpus <= 4096:
            raise ConfigError(f"--cpus must be between 1 and 4096, found {cpus}")
        if memory_gb is not None and not 0.1 <= memory_gb <= 1e5:
            raise ConfigError(f"--memory-gb must be between 0.1 and 100000, found {memory_gb:g}")
        if time is not None and not _TIME.fullmatch(time):
            raise ConfigError(f"--time {time!r} is not of the form MINUTES, HH:MM:SS or D-HH:MM:SS")
        if partition is not None and not _NAME.fullmatch(partition):
            raise ConfigError(f"--partition {partition!r} is no name of a partition; use letters, digits, - and _")
        return cls(gpus, cpus, memory_gb, time, partition)
