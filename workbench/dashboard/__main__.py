"""Serves the app: ``python -m workbench.dashboard [options of streamlit run]``, as ``make app`` does.

``streamlit run app.py`` is the same app, but imports what the pages need when the first visitor comes; here the server
answers only when that is done, so that the first visit finds its page ready.
"""

import inspect
import sys
from pathlib import Path

# Imported for the first visitor: the pages, and the libraries that they and Streamlit load only at their first table or figure.
import duckdb  # noqa: F401
import plotly.graph_objects  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pydantic  # noqa: F401
import streamlit.elements.arrow
import streamlit.emojis  # noqa: F401
from streamlit.web import cli

from workbench.dashboard import compare, data, launch, reflections, run, runs, selection, trajectories, what_if  # noqa: F401


def main() -> None:
    """Serve the app that stands beside the package."""
    app = Path(__file__).resolve().parents[2] / "app.py"
    if not app.is_file():
        print(f"error: found no {app.name} in {app.parent}; start the app from a clone of the repository", file=sys.stderr)
        raise SystemExit(2)
    inspect.stack()  # Streamlit asks for it at the first element; Python then finds out, once, which file every module is from
    cli.main(["run", str(app), *sys.argv[1:]], prog_name="streamlit")


if __name__ == "__main__":
    main()
