"""What the pages read, kept between reruns for as long as the files behind it stay the same.

Source data is cached, keyed on path, size and time of change; filtering and drawing happen outside.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from workbench.errors import StoreError
from workbench.records import Trajectory
from workbench.store.files import read_json
from workbench.store.layout import RunPaths, find_run, run_root
from workbench.store.outcomes import outcomes as store_outcomes
from workbench.store.reader import Run, RunSummary, list_runs

Stamp = tuple[tuple[str, int, int], ...]
"""Name, size in bytes and time of change in nanoseconds of every file that an answer depends on."""


def example_root() -> Path:
    """Folder of the recorded examples that come with the workbench; they are read and never written."""
    return Path(__file__).resolve().parents[2] / "examples" / "runs"


def is_example(paths: RunPaths) -> bool:
    """True for a recorded example."""
    return paths.folder.resolve().is_relative_to(example_root())


def open_run(name: str) -> RunPaths:
    """The run called ``name``: one of the run root, else a recorded example.

    Raises:
        StoreError: No such run, the name leaves the root, or the folder is damaged, foreign or of a newer schema.
    """
    try:
        return find_run(run_root(), name, allow_paths=False)
    except StoreError:
        if name in {summary.run for summary in _summaries(str(example_root()))}:
            return find_run(example_root(), name, allow_paths=False)
        raise


def own_runs() -> list[RunSummary]:
    """Runs of the run root, newest first."""
    return _summaries(str(run_root()))


def recorded_examples() -> list[RunSummary]:
    """Runs that come with the workbench, newest first."""
    return _summaries(str(example_root()))


# Whether a process lives is in no file, so this answer is kept for the length of a click only.
@st.cache_data(ttl=1.5, show_spinner=False)
def _summaries(root: str) -> list[RunSummary]:
    return list_runs(Path(root)) if Path(root).is_dir() else []


def stamp(*places: Path) -> Stamp:
    """Changes whenever a file, or a file in one of the folders, does."""
    files = [file for place in places for file in (sorted(place.iterdir()) if place.is_dir() else [place])]
    found = []
    for file in files:
        try:
            status = file.stat()
        except OSError:  # gone since it was listed, or never there
            continue
        found.append((str(file), status.st_size, status.st_mtime_ns))
    return tuple(found)


def metrics(paths: RunPaths) -> pd.DataFrame:
    """A row per recorded update of any phase."""
    return _metrics(str(paths.folder), stamp(paths.metrics))


@st.cache_data(max_entries=32, show_spinner=False)
def _metrics(folder: str, changed: Stamp) -> pd.DataFrame:
    return _numeric(Run(RunPaths(Path(folder))).metrics(), words=("phase", "time"))


def evaluations(paths: RunPaths) -> pd.DataFrame:
    """A row per evaluation."""
    return _evaluations(str(paths.folder), stamp(paths.evaluations))


@st.cache_data(max_entries=32, show_spinner=False)
def _evaluations(folder: str, changed: Stamp) -> pd.DataFrame:
    return _numeric(Run(RunPaths(Path(folder))).evaluations(), words=("phase", "time", "stage", "split"))


def _numeric(frame: pd.DataFrame, *, words: Sequence[str]) -> pd.DataFrame:
    """``frame`` with finite numbers or NaN in every column but ``words``: a line may hold anything, and figures calculate."""
    numbers = frame.drop(columns=[name for name in words if name in frame])
    finite = numbers.apply(pd.to_numeric, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    return frame.assign(**{str(name): finite[name] for name in finite})


def events(paths: RunPaths) -> pd.DataFrame:
    """A row per event: stage changes, checkpoints, warnings."""
    return _events(str(paths.folder), stamp(paths.events))


@st.cache_data(max_entries=32, show_spinner=False)
def _events(folder: str, changed: Stamp) -> pd.DataFrame:
    return Run(RunPaths(Path(folder))).events()


def outcomes(paths: RunPaths, counted: str = "") -> pd.DataFrame:
    """A row per trajectory without its turns; ``counted`` as in the store.

    Raises:
        StoreError: The trajectories cannot be read.
    """
    return _outcomes(str(paths.folder), stamp(paths.trajectories), counted)


@st.cache_data(max_entries=32, show_spinner=False)
def _outcomes(folder: str, changed: Stamp, counted: str) -> pd.DataFrame:
    return store_outcomes(RunPaths(Path(folder)), counted=counted)


def trajectory(paths: RunPaths, trajectory_id: str) -> Trajectory:
    """One whole trajectory.

    Raises:
        StoreError: The run has none of that id.
    """
    return _trajectory(str(paths.folder), stamp(paths.trajectories), trajectory_id)


@st.cache_data(max_entries=128, show_spinner=False)
def _trajectory(folder: str, changed: Stamp, trajectory_id: str) -> Trajectory:
    return Run(RunPaths(Path(folder))).trajectory(trajectory_id)


def summary(paths: RunPaths) -> RunSummary | None:
    """How a run is doing now; None when its folder is gone."""
    root = str(paths.folder.parent)
    found = _named(_summaries(root), paths.run_id)
    if found is None and paths.folder.is_dir():  # begun since the list was made
        _summaries.clear(root)
        found = _named(_summaries(root), paths.run_id)
    return found


def _named(summaries: Sequence[RunSummary], run_id: str) -> RunSummary | None:
    return next((summary for summary in summaries if summary.run == run_id), None)


def config(paths: RunPaths) -> dict[str, Any]:
    """The run's settings as its file has them; empty when they cannot be read."""
    return _config(str(paths.folder), stamp(paths.config))


@st.cache_data(max_entries=32, show_spinner=False)
def _config(folder: str, changed: Stamp) -> dict[str, Any]:
    try:
        return Run(RunPaths(Path(folder))).config()
    except StoreError:
        return {}


def parent(paths: RunPaths) -> str | None:
    """Id of the run that this one was forked from, if it was; that run may be gone."""
    found = (read_json(paths.meta) or {}).get("parent")
    return found if isinstance(found, str) else None


def forget_summaries() -> None:
    """Look at the runs anew: something was just started or stopped."""
    _summaries.clear()
