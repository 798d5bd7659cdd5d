"""Where selections are kept, and reading them back: what the page Selection shows. No torch, and nothing is computed.

runs/selections/<name>/
  selection.json       how it was chosen: design, budget, value, bound, picks per task
  selected.jsonl       a line per chosen prompt, in order of choice: what to annotate
  map.parquet          a row per prompt of the pool: coordinates in two dimensions, task, scores, which choice covers it
  features.npz         embeddings and scores, where a model looked at the pool
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import StoreError
from workbench.store.files import read_json
from workbench.store.layout import SELECTIONS, run_root

STUDIES = "label_budget"
"""Folder of studies' results, among the selections and in the documentation."""
CHOSEN_FILE, REPORT_FILE, FEATURES_FILE, MAP_FILE = "selected.jsonl", "selection.json", "features.npz", "map.parquet"
PROMPT_CHARACTERS = 600
"""How much of each prompt the map keeps."""
_NEEDED = {"order", "row", "id", "prompt"}


def selections_folder() -> Path:
    """The folder of all selections, beside the runs."""
    return run_root() / SELECTIONS


@dataclass(frozen=True)
class SelectionFolder:
    """One selection on disk."""

    folder: Path
    report: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def pool(self) -> str:
        """What tells its pool from others."""
        return str(self.report.get("fingerprint", ""))

    def chosen(self) -> pd.DataFrame:
        """A row per chosen prompt in order of choice: order, row, id, prompt, and task, stage, gain, covers where they are known.

        Raises:
            StoreError: The file is missing or damaged.
        """
        path = self.folder / CHOSEN_FILE
        try:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            frame = pd.DataFrame(rows)
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(f"{path}: cannot be read ({str(error).splitlines()[0]}); run `workbench select` again") from None
        if not set(frame.columns) >= _NEEDED:
            raise StoreError(f"{path}: lacks {', '.join(sorted(_NEEDED - set(frame.columns)))}; run `workbench select` again")
        if not all(pd.api.types.is_integer_dtype(frame[name]) for name in ("order", "row")):
            raise StoreError(f"{path}: order and row have to be whole numbers; run `workbench select` again")
        return frame

    def shares(self, kind: str) -> dict[str, dict[str, int]]:
        """How many prompts of each task (or stage) are in the pool and were chosen; empty where the report does not say.

        Args:
            kind: ``tasks`` or ``stages``.
        """
        found = self.report.get(kind)
        counts = {str(name): value for name, value in found.items() if isinstance(value, dict)} if isinstance(found, dict) else {}
        return {name: {what: _count(value.get(what)) for what in ("pool", "chosen")} for name, value in counts.items()}

    def map(self) -> pd.DataFrame | None:
        """A row per drawn prompt of the pool; None where the selection made no map.

        Raises:
            StoreError: The file is damaged.
        """
        path = self.folder / MAP_FILE
        if not path.is_file():
            return None
        try:
            frame: pd.DataFrame = pq.read_table(path).to_pandas()
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path}: cannot be read ({' '.join(str(error).split())[:120]}); run `workbench select` again") from None
        if not {"row", "prompt", "covered_by"} <= set(frame.columns):
            raise StoreError(f"{path}: is no map of a pool; run `workbench select` again")
        return frame


def list_selections(root: Path) -> list[SelectionFolder]:
    """Every complete selection in ``root``, newest first; other folders are passed over."""
    found = []
    for folder in root.iterdir() if root.is_dir() else ():
        report = read_json(folder / REPORT_FILE)
        if report is not None and "design" in report:
            found.append((_time(folder / REPORT_FILE), SelectionFolder(folder, report)))
    return [selection for _, selection in sorted(found, key=lambda item: (-item[0], item[1].name))]


def study_files(*roots: Path) -> list[Path]:
    """Results of the studies of annotation budgets in these folders; the first of a name counts."""
    found: dict[str, Path] = {}
    for root in roots:
        for path in sorted(root.glob("*.csv")) if root.is_dir() else ():
            if not path.stem.endswith("-pools"):
                found.setdefault(path.stem, path)
    return list(found.values())


def overlap(chosen: Sequence[frozenset[int]]) -> list[list[float]]:
    """Shared share of every two choices: size of what both hold over size of what either holds (Jaccard), in [0, 1].

    Example:
        >>> overlap([frozenset({1, 2}), frozenset({2, 3})])
        [[1.0, 0.3333333333333333], [0.3333333333333333, 1.0]]
    """
    return [[len(one & other) / max(1, len(one | other)) for other in chosen] for one in chosen]


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
