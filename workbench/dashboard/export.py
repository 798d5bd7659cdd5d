"""What can be taken away: tables as CSV and Parquet, a run's summary as an HTML file."""

import io
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from workbench.dashboard import cache
from workbench.dashboard.components import rate_words
from workbench.dashboard.export_html import run_html
from workbench.store.layout import RunPaths
from workbench.store.settings import flat


def file_name(name: str, ending: str) -> str:
    """A file name made of ``name`` that every system takes."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('.-')[:120] or 'workbench'}.{ending}"


def download_table(table: pd.DataFrame | Callable[[], pd.DataFrame], name: str, *, key: str, what: str = "") -> None:
    """Draw the two buttons that give a table as files, CSV and Parquet; the files are made when a button is pressed.

    Args:
        table: All of it, whatever part is shown; or what makes it, where that takes long.
        name: The files' name without its ending; it may hold anything.
        key: Tells these buttons from others on the page.
        what: Said before the buttons, our own text; nothing where the table stands beside them.
    """
    with st.container(horizontal=True, width="content", vertical_alignment="center", gap="small"):
        if what:
            st.caption(what, width="content")
        for label, ending, kind, written in (
            ("CSV", "csv", "text/csv", csv_bytes),
            ("Parquet", "parquet", "application/vnd.apache.parquet", parquet_bytes),
        ):
            st.download_button(
                label,
                partial(_written, table, written),
                file_name(name, ending),
                kind,
                key=f"{ending}_{key}",
                icon=":material/download:",
                type="tertiary",
                on_click="ignore",
            )


def _written(table: pd.DataFrame | Callable[[], pd.DataFrame], write: Callable[[pd.DataFrame], bytes]) -> bytes:
    return write(table() if callable(table) else table)


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """``frame`` as CSV (RFC 4180) in UTF-8, its columns in the first line."""
    # Only what ends a line is quoted, so a carriage return in a text would end one if it were not part of that.
    return _plain(frame).to_csv(index=False, lineterminator="\r\n").encode("utf-8")


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """``frame`` as a Parquet file."""
    buffer = io.BytesIO()
    _plain(frame).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with columns that either format takes: lists and columns of mixed kinds become text."""
    return pd.DataFrame({_text(name): _plain_column(frame[name]) for name in frame.columns})


def _plain_column(values: "pd.Series[Any]") -> "pd.Series[Any]":
    if values.dtype != object or {type(value) for value in values} == {bool}:
        return values
    return values.map(_text, na_action="ignore")


def _text(value: object) -> str:
    words = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return words.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate has no place in a file


def download_run(paths: RunPaths) -> None:
    """Draw the button that gives a run's summary as one HTML file."""
    st.download_button(
        "HTML file",
        lambda: run_file(paths),
        file_name(paths.run_id, "html"),
        "text/html",
        key="html_run",
        icon=":material/download:",
        help="Curves, evaluations and settings of this run in one file that works anywhere",
        on_click="ignore",
    )


def run_file(paths: RunPaths) -> str:
    """A run's summary as one HTML file."""
    summary = cache.summary(paths)
    facts: dict[str, object] = {}
    if summary is not None:
        facts = {
            "state": summary.state,
            "recipe": summary.recipe or "",
            "preset": summary.preset or "",
            "model": summary.model or "",
            "seed": "" if summary.seed is None else summary.seed,
            "success, 95 % interval": rate_words(summary.success_rate, summary.low, summary.high),
            "started": f"{summary.started_at:%Y-%m-%d %H:%M} UTC" if summary.started_at else "",
        }
    return run_html(paths.run_id, facts, cache.metrics(paths), cache.evaluations(paths), flat(cache.config(paths)))
