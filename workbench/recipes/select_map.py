"""What `workbench select` leaves for looking at: a row per prompt with its place in two dimensions and the choice that covers it."""

import io
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.selection.features import Features
from workbench.selection.inputs import Selection
from workbench.selection.layout import cover, drawn_places, pca_coordinates, umap_coordinates
from workbench.selection.pool import Pool
from workbench.store.selections import PROMPT_CHARACTERS


class PoolMap(NamedTuple):
    """A pool to look at."""

    table: bytes
    """Parquet: row, prompt (its beginning), id, task and stage where known, x and y by PCA, umap_x and umap_y where UMAP is installed,
    covered_by (place in the order of choice), distance to that choice, and every score."""
    covers: list[int]
    """How many prompts of the whole pool each choice covers, itself included, in order of choice."""
    facts: dict[str, Any]
    """For the report: points drawn, share of variance of both axes, whether there is UMAP."""


def pool_map(pool: Pool, features: Features, chosen: Selection, *, seed: int) -> PoolMap:
    """Draw ``pool`` as its embeddings have it."""
    places = chosen.indices.tolist()
    covered = cover(features.embeddings, places)
    drawn = drawn_places(len(pool), places, seed=seed)
    points = features.embeddings[drawn]
    flat, variance = pca_coordinates(points, seed=seed)
    bent = umap_coordinates(points, seed=seed)
    rows = drawn.tolist()
    columns: dict[str, Any] = {
        "row": drawn,
        "id": [_plain(pool.ids[row]) for row in rows],
        "prompt": [_plain(pool.prompts[row]) for row in rows],
        **{name: [_plain(own[row]) for row in rows] for name, own in (("task", pool.tasks), ("stage", pool.stages)) if own is not None},
        "x": flat[:, 0],
        "y": flat[:, 1],
        **({} if bent is None else {"umap_x": bent[:, 0], "umap_y": bent[:, 1]}),
        "covered_by": covered.by_N[drawn],
        "distance": covered.distance_N[drawn],
        **{f"score {name}": values[drawn] for name, values in features.scores.items()},
    }
    counts = np.bincount(covered.by_N, minlength=len(places)).tolist()
    facts = {"points": len(rows), "variance": variance, "umap": bent is not None}
    return PoolMap(_parquet(columns), counts, facts)


def shares(names: tuple[str, ...], places: list[int]) -> dict[str, dict[str, int]]:
    """How many prompts of each name the pool has, and how many of them were chosen."""
    chosen = Counter(names[place] for place in places)
    return {name: {"pool": count, "chosen": chosen[name]} for name, count in sorted(Counter(names).items())}


def _plain(text: str) -> str:
    # Half a surrogate pair, which JSON may hold, is no text for Parquet.
    return text[:PROMPT_CHARACTERS].encode("utf-8", "replace").decode()


def _parquet(columns: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), buffer, compression="zstd")
    return buffer.getvalue()
