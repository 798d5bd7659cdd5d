"""What became of every trajectory of a run, without its turns: which start states are solved, and when."""

import pandas as pd

from workbench.store.ask import ask_turns
from workbench.store.layout import RunPaths

_QUERY = """
    SELECT phase, "update", stage, task, success,
        len([command for command in admissible_commands if starts_with(command, $prefix)]) AS counted
    FROM turns WHERE "index" = 0 ORDER BY "update", trajectory_id"""


def outcomes(paths: RunPaths, *, counted: str = "") -> pd.DataFrame:
    """One row per recorded trajectory: phase, update, stage, task, success, and ``counted``.

    Args:
        paths: The run folder.
        counted: ``counted`` is how many commands of the first turn begin with this; ``go to `` counts the furniture of a
            household room.

    Raises:
        StoreError: The trajectories cannot be read.
    """
    return ask_turns(paths, _QUERY, prefix=counted)


def success_by(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Success of the trajectories that share ``keys``: columns ``keys``, ``trajectories``, ``success`` (a share); sorted by ``keys``."""
    grouped = frame.groupby(keys, sort=True, dropna=False)["success"]
    return grouped.agg(trajectories="size", success="mean").reset_index()
