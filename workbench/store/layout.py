"""Where a run keeps what: names, run ids, making a run folder and finding one.

Every file name of a run is here and nowhere else. A run folder appears whole or not at all.
"""

import os
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.config import RunConfig, dump_config
from workbench.errors import StoreError, nearest
from workbench.store.files import json_bytes, now, read_json, sync_folder, write_whole, writing
from workbench.store.provenance import provenance
from workbench.store.status import process_identity

SCHEMA_VERSION = 1
SELECTIONS = "selections"
"""Folder beside the runs that holds what `workbench select` chose."""
STUDIES = "studies"
"""Folder beside the runs that holds tables and figures of `workbench reproduce`."""
START = "start"
"""Phase of the checkpoint that a parent run gave."""
MANIFEST = "manifest.json"
"""In a checkpoint: every other file of it; written last."""
TENSORBOARD = "tensorboard"
"""In a run: folder of TensorBoard's event files, where the run is mirrored to it."""
TOKENIZER = "tokenizer"
"""In a checkpoint: folder of the tokenizer that was trained for this run."""


def run_root(explicit: Path | str | None = None) -> Path:
    """The folder that holds the runs: the argument, else ``WORKBENCH_RUNS``, else ``runs``."""
    return Path(explicit or os.environ.get("WORKBENCH_RUNS") or "runs")


@dataclass(frozen=True)
class RunPaths:
    """Where one run keeps what."""

    folder: Path

    @property
    def run_id(self) -> str:
        """The folder's own name."""
        return self.folder.name or self.folder.resolve().name

    @property
    def config(self) -> Path:
        """The whole resolved configuration."""
        return self.folder / "config.yaml"

    @property
    def meta(self) -> Path:
        """Schema version, code and package versions, parent, start."""
        return self.folder / "meta.json"

    @property
    def status(self) -> Path:
        """State, process and heartbeat."""
        return self.folder / "status.json"

    @property
    def metrics(self) -> Path:
        """A line per update."""
        return self.folder / "metrics.jsonl"

    @property
    def evaluations(self) -> Path:
        """A line per evaluation."""
        return self.folder / "evaluations.jsonl"

    @property
    def events(self) -> Path:
        """Stage changes, checkpoints, warnings."""
        return self.folder / "events.jsonl"

    @property
    def reflections(self) -> Path:
        """What a reflection player behind a server answered, and who that was: a line each."""
        return self.folder / "reflections.jsonl"

    @property
    def served(self) -> Path:
        """Folder of the reflection player as a plain model, for a server."""
        return self.folder / "served"

    @property
    def trajectories(self) -> Path:
        """Folder of Parquet parts, one row per turn."""
        return self.folder / "trajectories"

    @property
    def data(self) -> Path:
        """Folder of the SFT sets of this run."""
        return self.folder / "data"

    @property
    def problems(self) -> Path:
        """The problems with worked solutions that a run learns from, a line each."""
        return self.data / "problems.jsonl"

    @property
    def solutions(self) -> Path:
        """Folder of worked solutions, their rewrites and scores, and of what their tokens were worth."""
        return self.folder / "solutions"

    @property
    def checkpoints(self) -> Path:
        """Folder of ``<phase>/<step>``."""
        return self.folder / "checkpoints"

    @property
    def logs(self) -> Path:
        """Folder of ``attempt-N.log`` and ``launch.log``."""
        return self.folder / "logs"

    @property
    def launch_log(self) -> Path:
        """What a detached process says before it has a log of its own."""
        return self.logs / "launch.log"

    @property
    def branches(self) -> Path:
        """Folder of what was played on from a step of the run: a JSON file each."""
        return self.folder / "branches"

    @property
    def demonstrations(self) -> Path:
        """Folder of the training rows that people saved: a JSON-lines file each."""
        return self.folder / "demonstrations"

    @property
    def analysis(self) -> Path:
        """Folder of what was computed about the run after it was played."""
        return self.folder / "analysis"

    @property
    def analysis_status(self) -> Path:
        """How far the analysis is."""
        return self.analysis / "status.json"

    @property
    def reflection_gain(self) -> Path:
        """A row per analysed turn and checkpoint."""
        return self.analysis / "reflection_gain.parquet"

    @property
    def analysis_log(self) -> Path:
        """What a detached analysis says."""
        return self.logs / "analyse.log"

    @property
    def labels(self) -> Path:
        """What people call the run: display name, tags, archived or not."""
        return self.folder / "labels.json"

    @property
    def stop(self) -> Path:
        """Its presence asks the run to save and stop."""
        return self.folder / "stop"

    def attempt_logs(self) -> dict[int, Path]:
        """The log of each attempt by number, oldest first."""
        try:
            names = [path.name for path in self.logs.iterdir() if not path.is_symlink()]
        except OSError:
            return {}
        matches = [match for name in names if (match := re.fullmatch(r"attempt-(\d{1,9})\.log", name))]
        return {int(match[1]): self.logs / match[0] for match in sorted(matches, key=lambda match: int(match[1]))}


def create_run(root: Path | str, config: RunConfig, *, parent: str | None = None, state: str = "queued") -> RunPaths:
    """Make a run folder ``<preset>-<yyyymmdd-hhmmss>-<4 hex>`` below ``root``.

    Args:
        root: The run root; made when missing.
        config: What the run will do; written to ``config.yaml``.
        parent: Id of the run whose data and players this one starts from.
        state: First state; any but ``queued`` names this process as the one that runs it.

    Raises:
        StoreError: The run root cannot be written, or the disk is full.
    """
    root = Path(root)
    # Lists show these four; reading them here spares parsing the YAML of every run.
    shown = {"preset": config.preset, "recipe": config.recipe, "model": config.policy.model, "seed": config.seed}
    meta = {"schema_version": SCHEMA_VERSION, "parent": parent, **shown, **provenance()}
    status: dict[str, Any] = {"state": state, "heartbeat": now()}
    if state != "queued":
        status |= process_identity()
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        part = root / f".new-{secrets.token_hex(8)}"
        try:
            part.mkdir()
            paths = RunPaths(part)
            for folder in (paths.trajectories, paths.data, paths.checkpoints, paths.logs):
                folder.mkdir()
            write_whole(paths.config, dump_config(config).encode())
            write_whole(paths.meta, json_bytes(meta, indent=2))
            write_whole(paths.status, json_bytes(status, indent=2))
            folder = _rename_to_free_name(part, root, config.preset)
            sync_folder(root)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return RunPaths(folder)


def _rename_to_free_name(part: Path, root: Path, preset: str) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", preset).strip(".-")[:60] or "run"
    while True:
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        folder = root / f"{name}-{moment}-{secrets.token_hex(2)}"
        if not folder.exists():
            return part.rename(folder)


def find_run(root: Path | str, name: str, *, allow_paths: bool = True) -> RunPaths:
    """The run called ``name`` below ``root``, or the run folder that a path names.

    Args:
        root: The run root.
        name: A run id, or a path with a separator to a run folder anywhere.
        allow_paths: False refuses paths: for names that come from a browser.

    Raises:
        StoreError: There is no such run, the name leaves the run root, or the folder is foreign,
            damaged or written by a newer workbench.
    """
    root = Path(root)
    folder = _folder_of(root, str(name), allow_paths)
    problem = folder_problem(folder)
    if problem is not None:
        raise StoreError(f"{folder}: {problem}")
    return RunPaths(folder)


def _folder_of(root: Path, name: str, allow_paths: bool) -> Path:
    shown = repr(name[:80])
    is_path = "/" in name or os.sep in name or name in (".", "..")
    if is_path and not allow_paths:
        raise StoreError(f"run {shown}: the name leaves the run root {root}; give the id of a run, as `workbench runs` lists them")
    try:
        if is_path and Path(name).is_dir():
            return Path(name)
        # A hidden folder is a run that is being made; a link may lead out of the root.
        if not is_path and name and not name.startswith(".") and (root / name).is_dir() and not (root / name).is_symlink():
            return root / name
    except (OSError, ValueError):  # longer than a file name may be, or a NUL character: no run is called that
        pass
    known = run_names(root)
    hint = nearest(name[:80], known) if known else f"there are no runs in {root}; start one with `workbench train PRESET`"
    raise StoreError(f"unknown run {shown}; {hint}")


def run_names(root: Path) -> list[str]:
    """Names of the runs' folders below ``root``, sorted: hidden ones, links and the folders of selections and studies left out."""
    try:
        with os.scandir(root) as entries:
            return sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.name not in (SELECTIONS, STUDIES) and entry.is_dir(follow_symlinks=False)
            )
    except OSError:
        return []


def folder_problem(folder: Path) -> str | None:
    """Why ``folder`` cannot be read as a run, in one line; None when it can."""
    path = RunPaths(folder).meta
    if not path.exists():
        return "not a run folder: it has no meta.json; give a folder that `workbench train` made"
    meta = read_json(path)
    version = meta.get("schema_version") if meta else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        return "damaged run folder: meta.json is not readable or names no schema version; restore it from a copy"
    if version > SCHEMA_VERSION:
        return f"written by a newer workbench (schema {version}, this one reads up to {SCHEMA_VERSION}); upgrade"
    return None
