"""What the page Selection reads, kept for as long as the files stay the same."""

from pathlib import Path

import pandas as pd
import streamlit as st

from workbench.dashboard.cache import Stamp, stamp
from workbench.evaluation.label_efficiency import curves, half_budgets, read_results
from workbench.store.files import read_json
from workbench.store.selections import (
    CHOSEN_FILE,
    MAP_FILE,
    REPORT_FILE,
    STUDIES,
    SelectionFolder,
    list_selections,
    selections_folder,
    study_files,
)


def recorded_studies() -> Path:
    """Folder of the results that come with the workbench."""
    return Path(__file__).resolve().parents[2] / "docs" / STUDIES


def selections() -> list[SelectionFolder]:
    """Selections of the run root, newest first."""
    return list_selections(selections_folder())


def chosen_of(found: SelectionFolder) -> pd.DataFrame:
    """A row per chosen prompt.

    Raises:
        StoreError: The file is missing or damaged.
    """
    return _chosen(str(found.folder), stamp(found.folder / CHOSEN_FILE))


@st.cache_data(max_entries=32, show_spinner=False)
def _chosen(folder: str, changed: Stamp) -> pd.DataFrame:
    return _opened(folder).chosen()


def map_of(found: SelectionFolder) -> pd.DataFrame | None:
    """A row per drawn prompt of the pool, or None.

    Raises:
        StoreError: The file is damaged.
    """
    return _map(str(found.folder), stamp(found.folder / MAP_FILE))


@st.cache_data(max_entries=16, show_spinner=False)
def _map(folder: str, changed: Stamp) -> pd.DataFrame | None:
    return _opened(folder).map()


def _opened(folder: str) -> SelectionFolder:
    return SelectionFolder(Path(folder), read_json(Path(folder) / REPORT_FILE) or {})


def studies() -> dict[str, Path]:
    """Results of studies by name: those of ``selections/label_budget`` under the run root, then those that came with the workbench."""
    return {path.stem: path for path in study_files(selections_folder() / STUDIES, recorded_studies())}


def study(path: Path) -> pd.DataFrame:
    """A study's rows.

    Raises:
        DataError: The file cannot be read.
    """
    return _study(str(path), stamp(path))


@st.cache_data(max_entries=8, show_spinner=False)
def _study(path: str, changed: Stamp) -> pd.DataFrame:
    return read_results(Path(path))


def study_tables(path: Path, metric: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The curves of one metric and the answers for half budgets.

    Raises:
        DataError: The file cannot be read or lacks the metric.
    """
    return _study_tables(str(path), stamp(path), metric)


@st.cache_data(max_entries=16, show_spinner=False)
def _study_tables(path: str, changed: Stamp, metric: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    results = read_results(Path(path))
    return curves(results, metric), half_budgets(results, metric)
