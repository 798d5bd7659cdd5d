"""Branches: what was played on from a step of a run, kept beside the run and never among its own trajectories.

A branch is one JSON file in the run's ``branches/``. Training neither reads nor counts these, so a run with branches resumes exactly as
one without.
"""

import os
import re
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workbench.errors import StoreError
from workbench.records import Trajectory
from workbench.store.files import json_bytes, now, write_whole, writing
from workbench.store.layout import RunPaths

_NAME = re.compile(r"branch-[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")
_MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class Branch:
    """A trajectory that left another one, or began afresh."""

    trajectory: Trajectory
    """Of phase ``branch``; its first ``turn`` turns are the parent's own."""
    parent: str | None
    """Id of the recorded trajectory; None for a fresh start."""
    turn: int
    """Number of the first turn that is not the parent's."""
    checkpoint: str
    """Which policy was asked, such as ``rl/120``."""
    players: tuple[str, ...]
    """Who chose at each turn: ``record``, ``person`` or ``agent``."""
    edits: dict[int, list[str]] = field(default_factory=dict)
    """What a person changed before a turn: ``reflection``, ``labels``, ``observation``."""
    time: str = ""


def new_branch_id() -> str:
    """A name that no other branch has."""
    return f"branch-{now()[:19].replace('-', '').replace(':', '').replace('T', '-')}-{secrets.token_hex(2)}"


def write_branch(paths: RunPaths, branch: Branch) -> None:
    """Keep a branch beside its run; a reader sees all of it or nothing.

    Raises:
        StoreError: The folder cannot be written, or the branch has no turns.
    """
    name = branch.trajectory.trajectory_id
    if not _NAME.fullmatch(name) or not branch.trajectory.turns:
        raise StoreError(f"branch {name[:60]!r} cannot be kept: it has no turns or its name is not one that new_branch_id() gives")
    with writing(paths.folder):
        paths.branches.mkdir(exist_ok=True)
        write_whole(paths.branches / f"{name}.json", json_bytes({**asdict(branch), "time": now()}))


def list_branches(paths: RunPaths) -> list[str]:
    """Names of the branches of a run, newest first."""
    try:
        with os.scandir(paths.branches) as entries:
            names = [entry.name.removesuffix(".json") for entry in entries if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []
    return sorted((name for name in names if _NAME.fullmatch(name)), reverse=True)


def read_branch(paths: RunPaths, name: str) -> Branch:
    """A branch by name.

    Raises:
        StoreError: There is none of that name, or its file is damaged or foreign.
    """
    if name not in list_branches(paths):
        raise StoreError(f"no branch is called {name[:60]!r}; the page of the run lists them")
    path = paths.branches / f"{name}.json"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise StoreError(f"{path}: larger than a branch can be; delete it")
        branch: Branch = _ADAPTER.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreError(f"{path}: not a branch that can be read ({str(error).splitlines()[0]}); delete it") from None
    count = len(branch.trajectory.turns)
    if not count or not 0 <= branch.turn <= count or len(branch.players) != count:
        raise StoreError(f"{path}: not a whole branch: {count} turns, {len(branch.players)} players, branched at {branch.turn}; delete it")
    return branch


_ADAPTER: TypeAdapter[Any] = TypeAdapter(Branch)
