"""How soon every page of the app is there: with 50 runs, and for a run of 10,000 trajectories (200,000 turns).

    python benchmarks/pages.py [--runs 50] [--trajectories 10000] [--turns 20] [--repeat 3]

The store is made in a temporary folder with the real writer and removed afterwards. Each page runs from its first line to
its last in Streamlit's AppTest, without a browser: ``first`` with empty caches, as after the start of the app, ``again`` as
when a person comes back. Prints a table; exits with code 1 when a page misses its limit the first time.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import streamlit as st
from store import COMMANDS, write_run
from streamlit.testing.v1 import AppTest

from workbench.store.labels import relabel
from workbench.store.layout import RunPaths
from workbench.store.reader import list_runs

LIST_LIMIT_SECONDS, RUN_LIMIT_SECONDS = 1.0, 2.0
_SMALL_RUN_TRAJECTORIES = 64
_ROUTER = Path(__file__).resolve().parents[1] / "app.py"
# A page run directly, with the links that the router would have made: AppTest follows no address to a page made of a function.
_PAGE = """
import importlib
import streamlit as st
from workbench.dashboard import links
names = {names!r}
modules = {{name: importlib.import_module("workbench.dashboard." + name) for name in names}}
links.remember({{name: st.Page(module.page, url_path=name) for name, module in modules.items()}})
modules[{page!r}].page()
"""


def main() -> int:
    """Build, measure, print; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="runs in the list")
    parser.add_argument("--trajectories", type=int, default=10_000, help="of the large run")
    parser.add_argument("--turns", type=int, default=20, help="per trajectory")
    parser.add_argument("--repeat", type=int, default=3, help="the median of so many is told")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # of Streamlit, that no browser is there
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["WORKBENCH_RUNS"] = folder
        for seed in range(options.runs - 1):
            write_run(root, seed, _SMALL_RUN_TRAJECTORIES, 2)
        write_run(root, options.runs, options.trajectories, options.turns)
        large = next(one for one in list_runs(root) if one.preset == f"benchmark-{options.runs}")
        relabel(RunPaths(large.path), name="the large run", tags=[COMMANDS[0]])
        print(f"{options.runs} runs; the large run holds {options.trajectories:,} trajectories of {options.turns} turns\n")
        return report(large.run, options.repeat)


def report(large: str, repeat: int) -> int:
    """Time every page of the router and print a line for each."""
    names = page_names()
    page_seconds("runs", names, {})  # the libraries' own imports, which the app does once when it starts
    missed = 0
    print(f"{'page':<16}{'first, s':>10}{'again, s':>10}{'limit, s':>10}")
    for page in names:
        limit = LIST_LIMIT_SECONDS if page == "runs" else RUN_LIMIT_SECONDS
        parameters = {} if page == "runs" else {"run": large}
        firsts = []
        for _ in range(repeat):
            st.cache_data.clear()
            firsts.append(page_seconds(page, names, parameters))
        first = statistics.median(firsts)
        again = statistics.median(page_seconds(page, names, parameters) for _ in range(repeat))
        missed += first >= limit
        print(f"{page:<16}{first:>10.3f}{again:>10.3f}{limit:>10.1f}{'   MISSED' if first >= limit else ''}")
    return 1 if missed else 0


def page_names() -> list[str]:
    """The pages that the router offers: their modules are called as their addresses are."""
    test = AppTest.from_file(str(_ROUTER), default_timeout=120).run()
    if test.exception:
        raise SystemExit(f"the router does not run: {test.exception[0].message}")
    return list(test.session_state["workbench_pages"])


def page_seconds(page: str, names: list[str], parameters: dict[str, str]) -> float:
    """Seconds from the first line of a page's script to its last."""
    test = AppTest.from_string(_PAGE.format(names=names, page=page), default_timeout=120)
    for name, value in parameters.items():
        test.query_params[name] = value
    started = time.perf_counter()
    test.run()
    seconds = time.perf_counter() - started
    if test.exception:
        raise SystemExit(f"page {page}: {test.exception[0].message}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
