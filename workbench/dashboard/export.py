"""What can be taken away: tables as CSV and Parquet, a run's summary as an HTML file."""

import io
import re

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


def download_table(frame: pd.DataFrame, name: str, *, key: str) -> None:
    """Draw the buttons that give ``frame`` as files; they are made when one is pressed.

    Args:
        frame: The table, all of it, whatever part is shown.
        name: The files' name without its ending.
        key: Tells these buttons from others on the page.
    """

    def csv() -> bytes:
        return frame.to_csv(index=False).encode("utf-8", "replace")

    def parquet() -> bytes:
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()

    st.download_button("CSV", csv, file_name(name, "csv"), "text/csv", key=f"csv_{key}", icon=":material/download:", on_click="ignore")
    st.download_button(
        "Parquet",
        parquet,
        file_name(name, "parquet"),
        "application/vnd.apache.parquet",
        key=f"parquet_{key}",
        icon=":material/download:",
        on_click="ignore",
    )


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
