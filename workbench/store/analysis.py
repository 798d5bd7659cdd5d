"""What was computed about a run after it was played, beside its records; a run resumes exactly as one without."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import StoreError
from workbench.store.ask import ask_turns
from workbench.store.files import json_bytes, now, parse_time, read_json, write_whole, writing
from workbench.store.layout import RunPaths
from workbench.store.status import QUEUED_GRACE_SECONDS, is_alive, process_identity

UNDER_WAY = ("starting", "running")
GAIN_COLUMNS = {
    **dict.fromkeys(("checkpoint", "trajectory_id", "phase", "stage"), "str"),
    **dict.fromkeys(("order", "turn", "update"), "int64"),
    **dict.fromkeys(("right_command", "suggested_command", "command", "reflection"), "str"),
    **dict.fromkeys(("log_prob_with", "log_prob_without", "log_prob_other", "gain", "gain_over_other"), "float64"),
}
"""``order`` counts the checkpoints from the oldest, 0; log-probabilities and gains are of the oracle's command, nats."""
_SAMPLE = """
    SELECT trajectory_id, "index" AS turn, phase, stage, "update", task_statement, observation, admissible_commands, labels,
        label_token_ids, prompt_token_ids, reflection, reflection_token_ids, suggested_command, oracle_command, command
    FROM turns WHERE oracle_command IS NOT NULL AND reflection <> '' AND list_contains(admissible_commands, oracle_command)
    QUALIFY row_number() OVER (PARTITION BY stage ORDER BY md5(concat($seed, ' ', trajectory_id, ' ', "index"))) <= $count
    ORDER BY trajectory_id, "index" """


def sampled_turns(paths: RunPaths, *, per_stage: int, seed: int) -> list[dict[str, Any]]:
    """Recorded turns with a reflection and an oracle's command, at most ``per_stage`` of each stage, by their columns.

    Which ones follows from ``seed`` and their names alone.

    Raises:
        StoreError: The parts cannot be read.
    """
    frame = ask_turns(paths, _SAMPLE, count=per_stage, seed=str(seed))
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def write_gains(paths: RunPaths, rows: list[dict[str, Any]]) -> None:
    """Replace the run's reflection gains.

    Args:
        paths: The run folder.
        rows: Values by the names of ``GAIN_COLUMNS``.

    Raises:
        StoreError: The folder cannot be written.
    """
    frame = pd.DataFrame(rows, columns=list(GAIN_COLUMNS)).astype(GAIN_COLUMNS)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), buffer, compression="zstd")
    with writing(paths.folder):
        paths.analysis.mkdir(exist_ok=True)
        write_whole(paths.reflection_gain, buffer.getvalue())


def read_gains(paths: RunPaths) -> pd.DataFrame | None:
    """The run's reflection gains in the columns of ``GAIN_COLUMNS``; None where they were not computed.

    Raises:
        StoreError: The file is damaged or is something else.
    """
    path = paths.reflection_gain
    if not path.is_file() or path.is_symlink():
        return None
    try:
        frame: pd.DataFrame = pq.read_table(path).to_pandas()
        return frame[list(GAIN_COLUMNS)].astype(GAIN_COLUMNS)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreError(f"{path}: cannot be read: {reason}; compute it again with `workbench analyse {paths.run_id}`") from None


def note_state(paths: RunPaths, state: str, **fields: Any) -> None:
    """Write how far the analysis of a run is: ``starting``, ``running`` (by this process), ``finished`` or ``failed``.

    Raises:
        StoreError: The folder cannot be written.
    """
    value = {"state": state, "heartbeat": now(), **(process_identity() if state == "running" else {}), **fields}
    with writing(paths.folder):
        paths.analysis.mkdir(exist_ok=True)
        write_whole(paths.analysis_status, json_bytes(value, indent=2), durable=False)


def analysis_state(paths: RunPaths) -> Mapping[str, Any]:
    """How far the analysis is: ``state`` is ``none``, ``starting``, ``running``, ``finished`` or ``failed``, the last with an ``error``.

    None is running without its process, nor starting for longer than a minute.
    """
    found = read_json(paths.analysis_status)
    if found is None or found.get("state") not in (*UNDER_WAY, "finished", "failed"):
        return {"state": "none"}
    if found["state"] == "running" and not is_alive(found):
        return {**found, "state": "failed", "error": f"its process ended without a word; {paths.analysis_log} may say why"}
    begun = parse_time(found.get("heartbeat"))
    if found["state"] == "starting" and (begun is None or (datetime.now(UTC) - begun).total_seconds() > QUEUED_GRACE_SECONDS):
        return {**found, "state": "failed", "error": f"no process took it up; {paths.analysis_log} may say why"}
    return found
