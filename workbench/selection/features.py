"""What one pass of a model over a pool leaves behind: embeddings, scores, lengths; and the file that keeps them."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from workbench.errors import ConfigError, DataError, nearest
from workbench.selection.inputs import Doubles, Floats, Integers, check_column, check_embeddings
from workbench.store.files import write_whole

QUANTITIES = ("entropy", "least-confidence", "margin", "surprisal")
"""Per token: entropy; 1 - p of the token taken; 1 - the lead of the first token over the second; -log p of the token taken."""
REDUCERS = ("mean", "max", "sum")
SCORES = tuple(f"{quantity}-{reducer}" for quantity, reducer in product(QUANTITIES, REDUCERS))
"""``margin-max`` is the paper's min margin, ``surprisal-sum`` ranks as 1 - the response's probability does."""
_PREFIX = "score "


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What designs may look at.

    Args:
        embeddings: One unit row a prompt. Float32, (N, D).
        scores: By name (``SCORES``): uncertainty about the model's own response, larger means annotate first. Float64, (N,) each.
        lengths: Tokens of that response, its end-of-text included. Int64, (N,).
        facts: How they were made (model, pooling, longest response).
    """

    embeddings: Floats
    scores: Mapping[str, Doubles] = field(default_factory=dict)
    lengths: Integers | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def score(self, name: str) -> Doubles:
        """One column of scores.

        Raises:
            ConfigError: There is none of that name.
        """
        if name not in self.scores:
            have = nearest(name, self.scores) if self.scores else "these features hold embeddings only; make scores with --model"
            raise ConfigError(f"no score {name!r}; {have}")
        return self.scores[name]

    def length_correlations(self) -> dict[str, float | None]:
        """Spearman's correlation of every score with the length of the response; None where either does not vary."""
        return {name: _spearman(values, self.lengths) for name, values in self.scores.items()}


def _spearman(values_N: Doubles, lengths_N: Integers | None) -> float | None:
    if lengths_N is None or np.ptp(values_N) == 0 or np.ptp(lengths_N) == 0:
        return None
    return float(spearmanr(values_N, lengths_N).statistic)


def save_features(path: Path, features: Features, *, fingerprint: str) -> None:
    """Write ``path`` (``.npz``, no pickle) whole or not at all, with the fingerprint of the pool it belongs to."""
    arrays: dict[str, Any] = {"embeddings": features.embeddings, "fingerprint": np.array(fingerprint)}
    arrays |= {_PREFIX + name: values for name, values in features.scores.items()}
    if features.lengths is not None:
        arrays["lengths"] = features.lengths
    arrays |= {f"fact {name}": np.array(str(value)) for name, value in features.facts.items()}
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    write_whole(path, buffer.getvalue())


def load_features(path: Path, *, pool: int, fingerprint: str) -> Features:
    """Read what :func:`save_features` wrote, or a ``.npy`` table of embeddings.

    Args:
        path: The file.
        pool: Prompts that there have to be.
        fingerprint: Of the pool; a ``.npy`` file carries none and is only counted.

    Raises:
        DataError: The file cannot be read, or belongs to another pool.
    """
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        arrays = {"embeddings": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; name a file made by `workbench select`") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: no file of embeddings ({reason}); name a .npy table, or a file made by `workbench select`") from None
    if "embeddings" not in arrays:
        raise DataError(
            f"{path}: holds no `embeddings`, found {', '.join(sorted(arrays)) or 'nothing'}; name a file made by `workbench select`"
        )
    made_for = str(arrays.get("fingerprint", fingerprint))
    if made_for != fingerprint:
        raise DataError(f"{path}: made for other prompts (pool {made_for[:12]}, this one is {fingerprint[:12]}); run again with --model")
    embeddings_ND = check_embeddings(arrays["embeddings"])
    if len(embeddings_ND) != pool:
        raise DataError(f"{path}: has {len(embeddings_ND)} rows but the pool has {pool} prompts; name the file of this pool")
    scores = {
        name.removeprefix(_PREFIX): check_column(values, pool, name.removeprefix(_PREFIX))
        for name, values in arrays.items()
        if name.startswith(_PREFIX)
    }
    lengths = arrays.get("lengths")
    facts = {name.removeprefix("fact "): str(value) for name, value in arrays.items() if name.startswith("fact ")}
    counts_N = None if lengths is None else check_column(lengths, pool, "response lengths").astype(np.int64)
    return Features(embeddings_ND, scores, counts_N, facts)
