"""Which checkpoints a run has, for lists and pages: read from names and sizes alone, without torch."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from workbench.config import PHASES
from workbench.errors import CheckpointError, nearest
from workbench.store.layout import MANIFEST, START, RunPaths


class Checkpoint(NamedTuple):
    """One complete checkpoint of a run."""

    phase: str
    step: int
    path: Path
    roles: tuple[str, ...]
    """Players whose weights it holds: ``policy``, ``reflection``."""

    @property
    def name(self) -> str:
        """Phase and step as people write them: ``rl/120``."""
        return f"{self.phase}/{self.step}"


def list_checkpoints(paths: RunPaths, *, role: str | None = None) -> list[Checkpoint]:
    """Complete checkpoints in the order in which a run makes them; only those with ``role``'s weights where one is named.

    They are not verified: that takes reading every byte, and is done where one is loaded.
    """
    found = []
    for phase in (START, *PHASES):
        folder = paths.checkpoints / phase
        for path in sorted(_folders(folder), key=lambda path: int(path.name)):
            roles = tuple(name for name in ("policy", "reflection") if (path / name).is_dir())
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
