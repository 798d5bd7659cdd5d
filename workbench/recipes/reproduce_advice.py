"""Whose advice was right, and when: the reflection players of a study's arms at the first turn, on the oracle's way and off it.

A reflection player that was taught on mistakes is worth something after a mistake, and costs something where it sees one that is none; the
success of an arm adds both up, so that it tells neither.
"""

from collections.abc import Sequence

import pandas as pd

from workbench.recipes.reproduce import Piece
from workbench.store.turns import MOMENTS, advice_by_moment

COUNTS = ("turns", "suggestion_right", "followed", "choice_right")
_COLUMNS = ["world", "arm", "seed", "stage", "moment", *COUNTS]


def advice_table(pieces: Sequence[Piece]) -> pd.DataFrame:
    """Counts of turns of the last evaluation of every finished run that is shown: world, arm, seed, stage, moment, then ``COUNTS``.

    Runs without recorded advice and oracle's commands have no row.

    Raises:
        StoreError: A run cannot be read.
    """
    frames = []
    for piece in pieces:
        if piece.is_shown and piece.row.state == "finished" and piece.row.paths is not None:
            found = advice_by_moment(piece.row.paths)
            own = found[found["phase"] == "evaluate"]
            frames.append(own.assign(world=piece.world.name, arm=piece.arm, seed=piece.seed)[_COLUMNS])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=_COLUMNS)


def advice_rows(table: pd.DataFrame, world: str) -> list[tuple[str, list[str]]]:
    """Arms of ``world`` and their cells, all stages and seeds together: at each moment its share of the turns, advice right, followed."""
    own = table[table["world"] == world]
    rows = []
    for arm, of_arm in own.groupby("arm", sort=False):
        sums = of_arm.groupby("moment")[list(COUNTS)].sum().reindex(MOMENTS, fill_value=0)
        cells = []
        for turns, right, followed in sums[list(COUNTS[:3])].to_numpy(dtype=int):
            cells += [f"{turns / sums['turns'].sum():.3f}", *(f"{part / turns:.3f}" if turns else "" for part in (right, followed))]
        rows.append((str(arm), cells))
    return rows
