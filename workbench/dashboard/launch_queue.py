"""What trains now and what waits, with a way out of the queue. It lives in the run folders: neither app nor browser keeps it."""

from pathlib import Path

import streamlit as st

from workbench.dashboard import cache, links
from workbench.dashboard.components import UNKNOWN, problem, state_words
from workbench.errors import WorkbenchError
from workbench.jobs.launch import request_stop
from workbench.jobs.waiting import Waiting, queue
from workbench.store.layout import find_run

_REFRESH_SECONDS = 3


def show(root: Path) -> None:
    """Draw the queue; alone, every few seconds, while there is one."""
    st.subheader("Training and waiting", anchor=False)
    live = queue(root)
    st.fragment(_draw, run_every=_REFRESH_SECONDS if live else None)(root, bool(live))


def _draw(root: Path, was_live: bool) -> None:
    live = queue(root)
    if bool(live) != was_live:
        st.rerun()
    if not live:
        st.caption("Nothing trains now: what you start below begins at once. One run trains on a device at a time, the others wait here.")
        return
    for one in live:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(f"{state_words(one.state)}   {place_words(one)}   {one.run}")
            links.link("run", "Open", icon=":material/monitoring:", run=one.run)
            stop = "Cancel" if one.state == "queued" else "Stop"
            if one.state != "stopping" and st.button(stop, key=f"cancel_{one.run}", icon=":material/close:"):
                _cancel(root, one.run)


def place_words(one: Waiting) -> str:
    """Where a run stands, in words."""
    device = one.device or UNKNOWN
    if one.state != "queued":
        return f"on {device}"
    return "its process is starting" if one.position is None else f"number {one.position} in the queue of {device}"


def _cancel(root: Path, run: str) -> None:
    try:
        request_stop(find_run(root, run, allow_paths=False))
    except (WorkbenchError, OSError) as error:
        problem("That did not work", str(error))
        return
    cache.forget_summaries()
    st.rerun()
