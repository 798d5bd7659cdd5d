"""What the page Token rewards reads, kept for as long as the files stay the same."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import streamlit as st

from workbench.dashboard.cache import Stamp, config, stamp
from workbench.errors import DataError
from workbench.evaluation.solution_errors import ErrorType, error_type
from workbench.evaluation.token_credit import visited
from workbench.solutions import Problem, Response, Rewrite
from workbench.store.layout import RunPaths
from workbench.store.solution_tokens import PROBES, TOKENS, read_tokens, recorded_updates, table_path
from workbench.store.solutions import read_problems, read_rewrites, read_samples, round_folder


class Round(NamedTuple):
    """What one round sampled: parallel lists; rewrites are missing where the method needs none."""

    responses: list[Response]
    rewrites: list[Rewrite]
    kinds: dict[int, ErrorType]
    """By number of the response."""


def tokens(paths: RunPaths, update: int, kind: str = TOKENS) -> pd.DataFrame:
    """The tokens of one update, or of the solutions that are followed, with ``visit``.

    Raises:
        DataError: The table cannot be read.
    """
    return _tokens(str(paths.folder), update, kind, stamp(table_path(paths, update, kind)))


@st.cache_data(max_entries=16, show_spinner=False)
def _tokens(folder: str, update: int, kind: str, changed: Stamp) -> pd.DataFrame:
    return visited(read_tokens(RunPaths(Path(folder)), update, kind=kind).to_pandas())


def probes(paths: RunPaths) -> pd.DataFrame:
    """The tokens of the solutions that are followed, of every update they were looked at; empty where none are.

    Raises:
        DataError: A table cannot be read.
    """
    updates = recorded_updates(paths, kind=PROBES)
    return _probes(str(paths.folder), stamp(*(table_path(paths, update, PROBES) for update in updates)))


@st.cache_data(max_entries=8, show_spinner="Reading the solutions that are followed …")
def _probes(folder: str, changed: Stamp) -> pd.DataFrame:
    paths = RunPaths(Path(folder))
    found = [read_tokens(paths, update, kind=PROBES).to_pandas() for update in recorded_updates(paths, kind=PROBES)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def round_of(paths: RunPaths, number: int) -> Round:
    """The answers of a round with their rewrites; empty where there are none.

    Raises:
        DataError: They are damaged.
    """
    settings = config(paths).get("rlmec")
    if isinstance(settings, dict) and settings.get("method") == "sft":
        return Round([], [], {})  # it learns from reference solutions, whose numbers are not those of answers
    folder = round_folder(paths, number)
    return _round(str(paths.folder), number, stamp(folder) if folder.is_dir() else ())


@st.cache_resource(max_entries=8, show_spinner=False)
def _round(folder: str, number: int, changed: Stamp) -> Round:
    paths = RunPaths(Path(folder))
    if not changed:
        return Round([], [], {})
    responses = read_samples(paths, number)
    try:
        rewrites = read_rewrites(paths, number)
    except DataError:  # a method that needs no rewrites has none
        rewrites = []
    kinds = {place: error_type(response, rewrite) for place, (response, rewrite) in enumerate(zip(responses, rewrites, strict=False))} or {
        place: "none" for place, response in enumerate(responses) if response.is_right
    }
    return Round(responses, rewrites, kinds)


def problems(paths: RunPaths) -> dict[str, Problem]:
    """The run's problems by their ids.

    Raises:
        DataError: They are missing or damaged.
    """
    return _problems(str(paths.folder), stamp(paths.problems))


@st.cache_resource(max_entries=8, show_spinner=False)
def _problems(folder: str, changed: Stamp) -> dict[str, Problem]:
    return {problem.problem_id: problem for problem in read_problems(RunPaths(Path(folder)))}
