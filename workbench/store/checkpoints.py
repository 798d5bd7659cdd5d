"""Which checkpoints a run has, for lists and pages: read from names and sizes alone, without torch."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from workbench.config import Phase
from workbench.errors import CheckpointError, nearest
from workbench.store.layout import MANIFEST, START, RunPaths

ROLES = ("policy", "reflection", "reward")


class Checkpoint(NamedTuple):
    """One complete checkpoint of a run."""

    phase: str
    step: int
    path: Path
    roles: tuple[str, ...]
    """Players whose weights it holds: ``policy``, ``reflection``, ``reward``."""

    @property
    def name(self) -> str:
        """Phase and step as people write them: ``rl/120``."""
        return f"{self.phase}/{self.step}"


def list_checkpoints(paths: RunPaths, *, role: str | None = None) -> list[Checkpoint]:
    """Complete checkpoints by phase, in the order in which a run begins them, and step; with ``role``, those that hold its weights.

    They are not verified: that takes reading every byte, and is done where one is loaded.
    """
    found = []
    for phase in (START, *get_args(Phase)):
        folder = paths.checkpoints / phase
        for path in sorted(_folders(folder), key=lambda path: int(path.name)):
            roles = tuple(name for name in ROLES if (path / name).is_dir())
            if (path / MANIFEST).is_file() and (role is None or role in roles):
                found.append(Checkpoint(phase, int(path.name), path, roles))
    return found


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if re.fullmatch(r"[0-9]{6,12}", path.name) and not path.is_symlink()]
    except OSError:
        return []


def named_checkpoint(checkpoints: Sequence[Checkpoint], name: str) -> Checkpoint:
    """The one called ``name``, such as ``rl/120``.

    Raises:
        CheckpointError: None is: it was never made, or a newer one has taken its place.
    """
    for one in checkpoints:
        if one.name == name:
            return one
    raise CheckpointError(f"no checkpoint is called {name[:40]!r}; {nearest(name[:40], [one.name for one in checkpoints])}")
