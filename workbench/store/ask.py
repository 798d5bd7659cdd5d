"""Questions in SQL to the recorded turns of one run, also while its parts are merged."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pandas as pd

from workbench.errors import StoreError
from workbench.store.layout import RunPaths
from workbench.store.parts import readable_files
from workbench.store.schema import SCHEMA

_ATTEMPTS = 5
Answer = TypeVar("Answer")


def ask_turns(paths: RunPaths, query: str, **values: Any) -> pd.DataFrame:
    """The answer to ``query`` over the table ``turns`` of one run: the columns of ``SCHEMA``, and ``place``, the order of writing.

    Args:
        paths: The run folder; without any part the table is empty.
        query: SQL of our own; what comes from elsewhere is handed over in ``values``.
        values: Its ``$name`` parameters.

    Raises:
        StoreError: The parts cannot be read.
    """
    found: pd.DataFrame = _answer(paths, query, values, lambda relation: relation.df())
    return found


def ask_rows(paths: RunPaths, query: str, **values: Any) -> list[dict[str, Any]]:
    """As :func:`ask_turns`, as one dictionary of plain Python values a row.

    Raises:
        StoreError: The parts cannot be read.
    """
    return _answer(paths, query, values, lambda relation: relation.to_arrow_table().to_pylist())


def _answer(paths: RunPaths, query: str, values: Mapping[str, Any], read: Callable[[duckdb.DuckDBPyRelation], Answer]) -> Answer:
    def ask() -> Answer:
        files = readable_files(paths.trajectories)
        with duckdb.connect(":memory:") as connection:
            if files:
                connection.execute("SET VARIABLE files = $files", {"files": files})
                connection.execute("""
                    CREATE VIEW turns AS SELECT *, {'file': filename, 'row': file_row_number} AS place
                    FROM read_parquet(getvariable('files'), filename = true, file_row_number = true)""")
            else:
                connection.from_arrow(SCHEMA.empty_table()).create("no_turns")
                connection.execute("CREATE VIEW turns AS SELECT *, 0 AS place FROM no_turns")
            return read(connection.sql(query, params=dict(values)))

    try:
        return while_parts_move(paths.folder, ask)
    except duckdb.Error as error:
        raise _unreadable(paths.folder, error) from None


def while_parts_move(folder: Path, ask: Callable[[], Answer]) -> Answer:
    """``ask()``, again when a part it had listed was merged away before it was read.

    Raises:
        StoreError: The parts cannot be read.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return ask()
        except (duckdb.IOException, FileNotFoundError) as error:
            if attempt == _ATTEMPTS - 1:
                raise _unreadable(folder, error) from None
    raise AssertionError("unreachable")


def _unreadable(folder: Path, error: Exception) -> StoreError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return StoreError(f"{folder}: trajectories cannot be read: {reason}; remove the damaged part")
