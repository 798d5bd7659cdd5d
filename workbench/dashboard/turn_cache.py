"""What the pages of turns read, kept for as long as the files behind it stay the same."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from workbench.dashboard import cache
from workbench.dashboard.cache import Stamp, stamp
from workbench.store import analysis, tokens, turns
from workbench.store.layout import RunPaths
from workbench.store.reader import Run


def overview(paths: RunPaths) -> pd.DataFrame:
    """A row per trajectory of the run, the last written first."""
    return _overview(str(paths.folder), stamp(paths.trajectories))


@st.cache_data(max_entries=8, show_spinner="Reading the trajectories …")
def _overview(folder: str, changed: Stamp) -> pd.DataFrame:
    return Run(RunPaths(Path(folder))).trajectories()


def saying(paths: RunPaths, text: str) -> set[str]:
    """Ids of the trajectories with a reflection that contains ``text``."""
    return _saying(str(paths.folder), stamp(paths.trajectories), text)


@st.cache_data(max_entries=32, show_spinner="Searching the reflections …")
def _saying(folder: str, changed: Stamp, text: str) -> set[str]:
    return turns.trajectories_saying(RunPaths(Path(folder)), text)


def history(paths: RunPaths, state_key: str) -> pd.DataFrame:
    """The probabilities of one state's commands over the run's updates."""
    return _history(str(paths.folder), stamp(paths.trajectories), state_key)


@st.cache_data(max_entries=32, show_spinner=False)
def _history(folder: str, changed: Stamp, state_key: str) -> pd.DataFrame:
    return turns.state_history(RunPaths(Path(folder)), state_key)


def advice(paths: RunPaths) -> pd.DataFrame:
    """Counts of turns by what the reflection suggested, per phase, stage and update."""
    return _advice(str(paths.folder), stamp(paths.trajectories))


@st.cache_data(max_entries=8, show_spinner="Reading the reflections …")
def _advice(folder: str, changed: Stamp) -> pd.DataFrame:
    return turns.advice_counts(RunPaths(Path(folder)))


def moments(paths: RunPaths) -> pd.DataFrame:
    """The same counts at the first turn, on the oracle's way and off it, per phase and stage."""
    return _moments(str(paths.folder), stamp(paths.trajectories))


@st.cache_data(max_entries=8, show_spinner=False)
def _moments(folder: str, changed: Stamp) -> pd.DataFrame:
    return turns.advice_by_moment(RunPaths(Path(folder)))


def wrong_advice(paths: RunPaths, limit: int) -> pd.DataFrame:
    """Turns whose reflection suggests another command than the oracle's."""
    return _wrong_advice(str(paths.folder), stamp(paths.trajectories), limit)


@st.cache_data(max_entries=8, show_spinner=False)
def _wrong_advice(folder: str, changed: Stamp, limit: int) -> pd.DataFrame:
    return turns.wrong_advice(RunPaths(Path(folder)), limit)


def token_texts(paths: RunPaths, token_ids: Sequence[int]) -> list[str] | None:
    """The text of each token of a reflection; None where the reflection player's tokenizer is not on this machine."""
    settings = cache.config(paths)
    # A reflection player without a model of its own takes the policy's.
    models = [part.get("model") for part in (settings.get("reflection"), settings.get("policy")) if isinstance(part, dict)]
    model = next((one for one in models if isinstance(one, str) and one), None)
    file = tokens.tokenizer_file(paths, model) if model is not None else None
    return _token_texts(str(file), stamp(file), tuple(token_ids)) if file is not None else None


@st.cache_data(max_entries=256, show_spinner=False)
def _token_texts(file: str, changed: Stamp, token_ids: tuple[int, ...]) -> list[str] | None:
    return tokens.token_texts(Path(file), token_ids)


def gains(paths: RunPaths) -> pd.DataFrame | None:
    """The run's reflection gains; None where they were not computed.

    Raises:
        StoreError: The file is damaged.
    """
    return _gains(str(paths.folder), stamp(paths.reflection_gain))


@st.cache_data(max_entries=8, show_spinner=False)
def _gains(folder: str, changed: Stamp) -> pd.DataFrame | None:
    return analysis.read_gains(RunPaths(Path(folder)))
