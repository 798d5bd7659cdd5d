"""Serves the app: ``python -m workbench.dashboard [options of streamlit run]``, as ``make app`` does.

``streamlit run app.py`` is the same app, but loads what it needs when the first visitor comes; here the app has run once, unseen,
before the server answers, so that the first visit finds its page ready.
"""

import sys
from contextlib import suppress
from pathlib import Path

# Loaded by Streamlit only at the first table or figure.
import duckdb  # noqa: F401
import plotly.graph_objects  # noqa: F401
import pyarrow.parquet  # noqa: F401
from streamlit.testing.v1 import AppTest
from streamlit.web import cli

_SECONDS = 60.0
"""Most that the unseen run may take; an app that is slower, or broken, is served all the same and says why itself."""


def main() -> None:
    """Serve the app that stands beside the package."""
    app = Path(__file__).resolve().parents[2] / "app.py"
    if not app.is_file():
        print(f"error: found no {app.name} in {app.parent}; start the app from a clone of the repository", file=sys.stderr)
        raise SystemExit(2)
    with suppress(RuntimeError):  # what AppTest raises when time is up
        AppTest.from_file(str(app), default_timeout=_SECONDS).run()
    cli.main(["run", str(app), *sys.argv[1:]], prog_name="streamlit")


if __name__ == "__main__":
    main()
