"""The address of a recorded turn: what the app shows in the browser, and what a notebook opens it by."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from workbench.errors import StoreError
from workbench.records import Trajectory, Turn
from workbench.store.layout import RunPaths, find_run
from workbench.store.reader import Run

APP = "http://localhost:8501"
"""Where `make app` listens."""
PAGE = "trajectories"


class Step(NamedTuple):
    """A turn of a recorded trajectory."""

    paths: RunPaths
    trajectory: Trajectory
    turn: Turn


def permalink(run: str, trajectory: str, turn: int = 0, *, app: str = APP) -> str:
    """The app's address of a turn.

    Example:
        >>> permalink("taxi-1", "rl-000003-0001", 2)
        'http://localhost:8501/trajectories?run=taxi-1&trajectory=rl-000003-0001&turn=2'
    """
    return f"{app}/{PAGE}?{urlencode({'run': run, 'trajectory': trajectory, 'turn': turn})}"


def solution_permalink(run: str, update: int, sample: int, *, app: str = APP) -> str:
    """The app's address of a solution in an update of RLMEC, token by token.

    Example:
        >>> solution_permalink("arithmetic-1", 40, 7)
        'http://localhost:8501/rewards?run=arithmetic-1&of=tokens&update=40&sample=7&visit=0'
    """
    query = urlencode({"run": run, "of": "tokens", "update": update, "sample": sample, "visit": 0})
    return f"{app}/rewards?{query}"


def open_permalink(root: Path | str, link: str) -> Step:
    """What an address of the app shows, read from the run root.

    Args:
        root: The run root.
        link: The address, copied from the browser; whatever host it names, the runs are those of ``root``.

    Raises:
        StoreError: It is no address of a trajectory, or there is no such run, trajectory or turn.
    """
    parts = urlsplit(link)
    values = parse_qs(parts.query)
    if parts.path.strip("/").rpartition("/")[2] != PAGE or not {"run", "trajectory"} <= values.keys():
        raise StoreError(f"{link[:120]!r} is no address of a trajectory; copy one from the app's page Trajectories")
    paths = find_run(root, values["run"][0], allow_paths=False)
    trajectory = Run(paths).trajectory(values["trajectory"][0])
    number = values.get("turn", ["0"])[0]
    if not number.isdecimal() or int(number) >= len(trajectory.turns):
        raise StoreError(f"trajectory {trajectory.trajectory_id} has turns 0 to {len(trajectory.turns) - 1}, found turn {number[:20]!r}")
    return Step(paths, trajectory, trajectory.turns[int(number)])
