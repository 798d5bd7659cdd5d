"""What can be taken away: tables as CSV and Parquet."""

import io
import re

import pandas as pd
import streamlit as st


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
