"""Trajectories as columns and back: one row per turn."""

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.records import Reflection, Trajectory, Turn

TOKEN_IDS, CHANCES, WORDS = pa.list_(pa.int32()), pa.list_(pa.float32()), pa.list_(pa.string())

SCHEMA = pa.schema(
    [
        ("trajectory_id", pa.string()),
        ("phase", pa.string()),
        ("update", pa.int64()),
        ("task", pa.string()),
        ("stage", pa.string()),
        ("seed", pa.int64()),
        ("task_statement", pa.string()),
        ("success", pa.bool_()),
        ("turns", pa.int32()),
        ("total_reward", pa.float64()),
        ("index", pa.int32()),
        ("observation", pa.string()),
        ("state_key", pa.string()),
        ("admissible_commands", WORDS),
        ("labels", WORDS),
        ("probabilities", CHANCES),
        ("command", pa.string()),
        ("reflection", pa.string()),
        ("reflection_token_ids", TOKEN_IDS),
        ("reflection_log_probs", CHANCES),
        ("reflection_finished", pa.bool_()),
        ("suggested_command", pa.string()),
        ("prompt_token_ids", TOKEN_IDS),
        ("label_token_ids", TOKEN_IDS),
        ("log_prob", pa.float64()),
        ("reward", pa.float64()),
        ("return_to_go", pa.float64()),
        ("entropy", pa.float64()),
        ("terminated", pa.bool_()),
        ("truncated", pa.bool_()),
        ("prompt_was_cut", pa.bool_()),
        ("oracle_command", pa.string()),
        ("value", pa.float64()),
        ("advantage", pa.float64()),
    ]
)
"""Token ids, nats (``log_prob``, ``reflection_log_probs``, ``entropy``) and environment units (rewards, ``value``)."""

_OF_TRAJECTORY = ("trajectory_id", "phase", "update", "task", "stage", "seed", "task_statement", "success")
_OF_TURN = (
    *("index", "observation", "state_key", "command", "log_prob", "reward", "terminated", "truncated"),
    *("prompt_was_cut", "oracle_command", "value", "advantage"),
)
_WORDS_OF_TURN = ("admissible_commands", "labels")
_NUMBERS_OF_TURN = ("probabilities", "prompt_token_ids", "label_token_ids")


def rows(batch: Sequence[Trajectory], advantages: Sequence[float | None] | None = None) -> pa.Table:
    """One row per turn of every trajectory, in order, in the columns of ``SCHEMA``; ``advantages``, one a turn, replace the turns' own."""
    turns = [turn for trajectory in batch for turn in trajectory.turns]
    reflections = [turn.reflection for turn in turns]
    columns: dict[str, pa.Array] = {}
    counts = [len(trajectory.turns) for trajectory in batch]
    owner = pa.array(np.repeat(np.arange(len(batch)), counts))
    for name in _OF_TRAJECTORY:
        columns[name] = _column(name, [getattr(trajectory, name) for trajectory in batch]).take(owner)
    columns["turns"] = _column("turns", counts).take(owner)
    columns["total_reward"] = _column("total_reward", [trajectory.total_reward for trajectory in batch]).take(owner)
    columns["return_to_go"] = _column("return_to_go", list(chain.from_iterable(trajectory.returns_to_go() for trajectory in batch)))
    for name in _OF_TURN:
        columns[name] = _column(name, list(map(attrgetter(name), turns)))
    if advantages is not None:
        columns["advantage"] = _column("advantage", list(advantages))
    for name in _WORDS_OF_TURN:
        columns[name] = _words(list(map(attrgetter(name), turns)))
    for name in _NUMBERS_OF_TURN:
        columns[name] = _numbers(name, list(map(attrgetter(name), turns)))
    columns["reflection"] = _column("reflection", [reflection.text for reflection in reflections])
    columns["reflection_token_ids"] = _numbers("reflection_token_ids", [reflection.token_ids for reflection in reflections])
    columns["reflection_log_probs"] = _numbers("reflection_log_probs", [reflection.log_probs for reflection in reflections])
    columns["reflection_finished"] = _column("reflection_finished", [reflection.finished for reflection in reflections])
    columns["suggested_command"] = _column("suggested_command", [reflection.suggested_command for reflection in reflections])
    columns["entropy"] = pa.array(_entropies([turn.probabilities for turn in turns]))
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _column(name: str, values: list[Any]) -> pa.Array:
    kind = SCHEMA.field(name).type
    return _texts(values) if kind == pa.string() else pa.array(values, kind)


def _texts(values: list[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot hold
        return pa.array([None if value is None else value.encode("utf-8", "replace").decode() for value in values], pa.string())


def _numbers(name: str, values: list[tuple[float, ...]]) -> pa.Array:
    """A list column of numbers, through flat buffers: several times faster than value by value."""
    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    kind = SCHEMA.field(name).type.value_type.to_pandas_dtype()
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.fromiter(chain.from_iterable(values), kind, int(ends[-1]))))


def _words(values: list[tuple[str, ...]]) -> pa.Array:
    """A list column of words; the few lists that there are, commands and labels, are converted once each."""
    places: dict[tuple[str, ...], int] = {}
    owner = [places.setdefault(value, len(places)) for value in values]
    ends = np.cumsum([0, *map(len, places)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), _texts(list(chain.from_iterable(places)))).take(pa.array(owner))


def _entropies(probabilities: list[tuple[float, ...]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Entropy of each distribution, nats; 0 for an empty one."""
    lengths = [len(chances) for chances in probabilities]
    flat = np.fromiter(chain.from_iterable(probabilities), np.float64, sum(lengths))
    terms = -flat * np.log(np.where(flat > 0, flat, 1.0))
    entropies = np.zeros(len(lengths))
    np.add.at(entropies, np.repeat(np.arange(len(lengths)), lengths), terms)
    return entropies


def trajectory_from_rows(turn_rows: Sequence[dict[str, Any]]) -> Trajectory:
    """The trajectory whose turns are ``turn_rows``, which hold every column of ``SCHEMA`` and are in order."""
    first = turn_rows[0]
    return Trajectory(turns=tuple(_turn(row) for row in turn_rows), **{name: first[name] for name in _OF_TRAJECTORY})


def _turn(row: dict[str, Any]) -> Turn:
    reflection = Reflection(
        text=row["reflection"],
        token_ids=tuple(row["reflection_token_ids"]),
        log_probs=tuple(row["reflection_log_probs"]),
        finished=row["reflection_finished"],
        suggested_command=row["suggested_command"],
    )
    fields = {name: row[name] for name in _OF_TURN}
    fields |= {name: tuple(row[name]) for name in (*_WORDS_OF_TURN, *_NUMBERS_OF_TURN)}
    return Turn(reflection=reflection, **fields)
