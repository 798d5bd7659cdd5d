"""SQL over all runs: DuckDB views on what the runs have written."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from workbench.errors import StoreError
from workbench.store.ask import while_parts_move
from workbench.store.layout import RunPaths, folder_problem, run_names
from workbench.store.parts import readable_files
from workbench.store.reader import LINE_COLUMNS, lines_frame
from workbench.store.schema import SCHEMA

_NO_LIMIT = 2**62
_DISAGREEMENTS = """
    SELECT run, trajectory_id, phase, "update", task, stage, "index", observation, reflection, suggested_command, command,
        oracle_command, reward, success
    FROM turns WHERE suggested_command <> command ORDER BY run DESC, "update" DESC, trajectory_id, "index" LIMIT $limit"""


def connect(root: Path | str) -> duckdb.DuckDBPyConnection:
    """A connection with ``turns``, ``metrics``, ``evaluations`` and ``events`` of every readable run below ``root``.

    Each has a column ``run``; times are UTC. They stand for the moment of the call: connect again to see what came later.
    Files outside ``root`` cannot be reached, extensions cannot be loaded, and the settings are locked.
    """
    return _connect(Path(root).resolve(), tuple(LINE_COLUMNS))


def query(root: Path | str, sql: str) -> pd.DataFrame:
    """The answer to one reading statement over the tables of :func:`connect`.

    Raises:
        StoreError: The SQL is wrong, is more than one statement, or does more than read.
    """
    root = Path(root).resolve()

    def ask() -> pd.DataFrame:
        with connect(root) as connection:
            answer: pd.DataFrame = connection.sql(sql).df()
            return answer

    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise StoreError("query: expected one statement that only reads, such as SELECT or DESCRIBE; send others through `connect`")
        return while_parts_move(root, ask)
    except duckdb.Error as error:
        raise StoreError(f"query: {' '.join(str(error).split())[:300]}") from None


def disagreements(root: Path | str, limit: int | None = None) -> pd.DataFrame:
    """Turns of all runs whose reflection names another command than the one chosen, newest runs first."""
    root = Path(root).resolve()

    def ask() -> pd.DataFrame:
        with _connect(root, ()) as connection:
            most = _NO_LIMIT if limit is None else max(0, limit)
            turns: pd.DataFrame = connection.sql(_DISAGREEMENTS, params={"limit": most}).df()
            return turns

    return while_parts_move(root, ask)


def _connect(root: Path, line_files: tuple[str, ...]) -> duckdb.DuckDBPyConnection:
    runs = [paths for name in run_names(root) if folder_problem((paths := RunPaths(root / name)).folder) is None]
    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    try:
        _add_turns(connection, runs)
        for name in line_files:
            _add_lines(connection, name, runs)
        quoted = str(root).replace("'", "''")  # SET takes no parameters
        connection.execute(f"SET allowed_directories = ['{quoted}']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


def _add_turns(connection: duckdb.DuckDBPyConnection, runs: list[RunPaths]) -> None:
    files = [file for paths in runs for file in readable_files(paths.trajectories)]
    if not files:
        connection.from_arrow(SCHEMA.empty_table()).create("no_turns")
        connection.execute("CREATE VIEW turns AS SELECT NULL::VARCHAR AS run, * FROM no_turns")
        return
    # A view takes no parameters; a variable keeps file names out of the text of the statement.
    connection.execute("SET VARIABLE turn_files = $files", {"files": files})
    connection.execute("""
        CREATE VIEW turns AS SELECT string_split(replace(filename, '\\', '/'), '/')[-3] AS run, * EXCLUDE (filename)
        FROM read_parquet(getvariable('turn_files'), filename = true, union_by_name = true)""")


def _add_lines(connection: duckdb.DuckDBPyConnection, name: str, runs: list[RunPaths]) -> None:
    first = LINE_COLUMNS[name]
    frames = []
    for paths in runs:
        frame = lines_frame(getattr(paths, name), first)
        frame.insert(0, "run", paths.run_id)
        frames.append(frame)
    filled = [frame for frame in frames if len(frame)]
    if filled:
        lines = pd.concat(filled, ignore_index=True)
    else:
        lines = lines_frame(Path(), first)
        lines.insert(0, "run", pd.Series(dtype="str"))
    lines["time"] = lines["time"].dt.tz_localize(None)
    connection.register("lines", lines.apply(_one_type))
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM lines")  # one of three names, given above
    connection.unregister("lines")


def _one_type(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Values of several types, and lists and objects, as JSON text: SQL columns have one type."""
    if column.isna().all() and column.dtype == object:
        return column.astype("float64")
    if column.dtype != object:
        return column
    return column.map(lambda value: value if isinstance(value, str) else json.dumps(value), na_action="ignore").astype("str")
