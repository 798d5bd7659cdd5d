"""What became of every trajectory of a run, without its turns: which start states are solved, and when."""

import duckdb
import pandas as pd

from workbench.errors import StoreError
from workbench.store.layout import RunPaths
from workbench.store.parts import readable_files
from workbench.store.reader import while_parts_move

_COLUMNS = {"phase": "str", "update": "int64", "stage": "str", "task": "str", "success": "bool", "counted": "int64"}
_QUERY = """
    SELECT phase, "update", stage, task, success,
        len([command for command in admissible_commands if starts_with(command, $prefix)]) AS counted
    FROM read_parquet($files) WHERE "index" = 0 ORDER BY "update", trajectory_id"""


def outcomes(paths: RunPaths, *, counted: str = "") -> pd.DataFrame:
    """One row per recorded trajectory: phase, update, stage, task, success, and ``counted``.

    Args:
        paths: The run folder.
        counted: ``counted`` is how many commands of the first turn begin with this; ``go to `` counts the furniture of a
            household room.

    Raises:
        StoreError: The trajectories cannot be read.
    """

    def ask() -> pd.DataFrame:
        files = readable_files(paths.trajectories)
        if not files:
            return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _COLUMNS.items()})
        with duckdb.connect(":memory:") as connection:
            found: pd.DataFrame = connection.sql(_QUERY, params={"files": files, "prefix": counted}).df()
        return found

    try:
        return while_parts_move(paths.folder, ask)
    except duckdb.Error as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreError(f"{paths.folder}: trajectories cannot be read: {reason}; remove the damaged part") from None


def success_by(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Success of the trajectories that share ``keys``: columns ``keys``, ``trajectories``, ``success`` (a share); sorted by ``keys``."""
    grouped = frame.groupby(keys, sort=True, dropna=False)["success"]
    return grouped.agg(trajectories="size", success="mean").reset_index()
