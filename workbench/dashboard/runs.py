"""The page of all runs: start one, see how each is doing, open one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import pandas as pd
import streamlit as st

from workbench.config import apply_overrides, load_preset, preset_names
from workbench.dashboard import cache, links
from workbench.dashboard.components import UNKNOWN, age, problem, rate_words, state_words
from workbench.errors import WorkbenchError
from workbench.jobs import launch
from workbench.store.layout import run_root
from workbench.store.reader import RunSummary
from workbench.store.status import LIVE

FIRST_PRESET = "taxi-quickstart"
_REFRESH_SECONDS = 3
_SUCCESS_HELP = "Of the last evaluation, with its 95 % Wilson interval; before there is one, of the last update"


def page() -> None:
    """Draw the page."""
    st.title("workbench", anchor=False)
    st.markdown(
        "Language-model agents that reflect, act and learn by reinforcement learning in text worlds. "
        "A run generates data, warms up both players, fine-tunes the policy online and evaluates it."
    )
    _start_form()
    own = cache.own_runs()
    live = any(summary.state in LIVE for summary in own)
    st.fragment(own_table, run_every=_REFRESH_SECONDS if live else None)()
    examples = cache.recorded_examples()
    if examples:
        st.subheader("Recorded examples", anchor=False)
        st.caption("They came with the workbench, to look at before anything has been trained here.")
        _table(examples, key="examples")


def _start_form() -> None:
    presets = preset_names()
    with st.container(border=True, horizontal=True, vertical_alignment="bottom"):
        preset = st.selectbox(
            "Preset", presets, index=presets.index(FIRST_PRESET) if FIRST_PRESET in presets else 0, key="preset", width=260
        )
        seed = st.number_input("Seed", min_value=0, max_value=2**31 - 1, value=0, step=1, key="seed", width=140)
        clicked = st.button(f"Start {preset}", type="primary", icon=":material/play_arrow:", key="start")
        st.caption(load_preset(preset).description or "A ready configuration.")
    if clicked:
        _start(preset, int(seed))


def _start(preset: str, seed: int) -> None:
    try:
        run_id = launch.submit(apply_overrides(load_preset(preset), [f"seed={seed}"]), run_root())
    except (WorkbenchError, OSError) as error:
        problem("The run could not be started", str(error))
        return
    links.go("run", run=run_id)


def own_table() -> None:
    """Draw the runs of the run root; as a fragment, alone, while one of them is live."""
    own = cache.own_runs()
    if not own:
        with st.container(border=True):
            st.markdown(":material/rocket_launch: **No run yet.** Press **Start** above, or run this in a terminal:")
            st.code(f"workbench train {FIRST_PRESET}", language="bash")
            st.caption("Everything that a run writes appears here while it is being written.")
        return
    _table(own, key="own")


def _table(summaries: Sequence[RunSummary], *, key: str) -> None:
    names = [summary.run for summary in summaries]
    st.dataframe(
        run_table(summaries, datetime.now(UTC)),
        hide_index=True,
        key=f"runs_{key}",
        on_select=partial(_remember_choice, key, names),
        selection_mode="single-row",
        column_config={
            "Run": st.column_config.TextColumn(width=280),
            "Success": st.column_config.TextColumn(width=150, help=_SUCCESS_HELP),
        },
    )
    if st.session_state.pop(f"open_{key}", None):
        links.go("run", run=st.session_state["last_run"])
    st.caption("Click the box at the left of a row to open the run.")
    for summary in summaries:
        if summary.problem:
            problem("This folder cannot be read", f"{summary.run}: {summary.problem}")


def _remember_choice(key: str, names: list[str]) -> None:
    rows = st.session_state[f"runs_{key}"].selection.rows
    if rows and rows[0] < len(names):
        st.session_state["last_run"] = names[rows[0]]
        st.session_state[f"open_{key}"] = True


def run_table(summaries: Sequence[RunSummary], now: datetime) -> pd.DataFrame:
    """What the table of runs shows, a row per run, as words; ``now`` is what ages are counted from."""
    return pd.DataFrame([_row(summary, now) for summary in summaries])


def _progress(summary: RunSummary) -> str:
    if summary.state == "finished":
        return "all done"
    return f"{summary.update} / {summary.total_updates}" if summary.update is not None and summary.total_updates else UNKNOWN


def _row(summary: RunSummary, now: datetime) -> dict[str, object]:
    return {
        "State": "✗ unreadable" if summary.problem else state_words(summary.state),
        "Run": summary.run,
        "Preset": summary.preset or UNKNOWN,
        "Seed": UNKNOWN if summary.seed is None else str(summary.seed),
        "Model": summary.model or UNKNOWN,
        "Phase": summary.phase or UNKNOWN,
        "Update": _progress(summary),
        "Success": rate_words(summary.success_rate, summary.low, summary.high),
        "Started": f"{summary.started_at.astimezone():%Y-%m-%d %H:%M}" if summary.started_at else UNKNOWN,
        "Age": age(summary.started_at, now),
    }
