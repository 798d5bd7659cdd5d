"""What every token of worked solutions was worth to an update of the policy: tables written whole, one row a token.

::

    solutions/tokens/000040.parquet           everything that made up the loss of update 40
    solutions/probes/000050.parquet           the same few solutions, after update 50
    solutions/evaluations/000150.parquet      the solutions of an evaluation (written by ``store/solutions.py``)
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import DataError
from workbench.store.files import write_whole, writing
from workbench.store.layout import RunPaths

TOKENS, PROBES, EVALUATIONS = "tokens", "probes", "evaluations"
"""Kinds of tables that belong to an update."""
TOKEN_SCHEMA = pa.schema(
    [
        ("round", pa.int32()),
        ("update", pa.int32()),
        ("sample", pa.int32()),
        ("problem_id", pa.string()),
        ("side", pa.string()),
        ("place", pa.int32()),
        ("token_id", pa.int32()),
        ("token", pa.string()),
        ("policy_prob", pa.float64()),
        ("old_policy_prob", pa.float64()),
        ("reward_model_prob", pa.float64()),
        ("reward", pa.float64()),
        ("is_edited", pa.bool_()),
        ("imitation_weight", pa.float64()),
        ("rl_contribution", pa.float64()),
        ("imitation_contribution", pa.float64()),
        ("contribution", pa.float64()),
    ]
)
"""``side`` is ``original`` or ``rewrite``; a right solution is its own rewrite and stands there once, as ``original``. The contributions
of an update's tokens sum to its ``loss/total``. ``is_edited`` is the true edit set (``original``) or what the rewrite put there
(``rewrite``)."""


def table_path(paths: RunPaths, update: int, kind: str) -> Path:
    """Where a table of an update is."""
    return paths.solutions / kind / f"{update:06d}.parquet"


def write_tokens(paths: RunPaths, update: int, columns: Mapping[str, Sequence[Any]], *, kind: str = TOKENS) -> None:
    """Every token of one update (``tokens``), or of the solutions that are followed (``probes``)."""
    with writing(paths.folder):
        path = table_path(paths, update, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        put_table(path, pa.table(dict(columns), schema=TOKEN_SCHEMA))


def read_tokens(paths: RunPaths, update: int, *, kind: str = TOKENS) -> pa.Table:
    """What :func:`write_tokens` wrote.

    Raises:
        DataError: It is missing, damaged, or no table of tokens.
    """
    return read_table(table_path(paths, update, kind), TOKEN_SCHEMA)


def recorded_updates(paths: RunPaths, *, kind: str = TOKENS) -> list[int]:
    """The updates whose tokens were written, ascending."""
    folder = paths.solutions / kind
    return sorted(int(path.stem) for path in folder.glob("[0-9]*.parquet") if path.stem.isdecimal()) if folder.is_dir() else []


def forget_tokens(paths: RunPaths, after: int) -> None:
    """Delete what was written of updates that are about to be done again."""
    with writing(paths.folder):
        for kind in (TOKENS, PROBES, EVALUATIONS):
            for update in recorded_updates(paths, kind=kind):
                if update > after:
                    table_path(paths, update, kind).unlink(missing_ok=True)


def put_table(path: Path, table: pa.Table) -> None:
    """Write a table whole or not at all."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_whole(path, buffer.getvalue())


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """What :func:`put_table` wrote.

    Raises:
        DataError: It is missing or damaged, or has other columns.
    """
    mend = "delete the run's solutions/ and resume to make it again"
    try:
        table = pq.read_table(path)
        missing = [name for name in schema.names if name not in table.column_names]
        if not missing:
            return table.select(schema.names).cast(schema)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read ({first_line(error)}); {mend}") from None
    raise DataError(f"{path}: lacks the columns {', '.join(missing)}; {mend}")


def first_line(error: BaseException) -> str:
    """The beginning of what an error says."""
    return (str(error).splitlines() or ["no reason given"])[0][:200]
