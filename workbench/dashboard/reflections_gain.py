"""The part of the reflections page that needs a model: what was computed is shown, and what was not can be started."""

from functools import partial

import pandas as pd
import streamlit as st

from workbench.dashboard import cache, links, turn_cache
from workbench.dashboard.components import UNKNOWN, problem
from workbench.dashboard.export import download_table
from workbench.dashboard.reflections_figures import gain_figure, gain_over_training_figure
from workbench.dashboard.run_sections import stage_names
from workbench.errors import WorkbenchError
from workbench.jobs.analyse import start_analysis
from workbench.store.analysis import UNDER_WAY, analysis_state
from workbench.store.checkpoints import list_checkpoints
from workbench.store.layout import RunPaths

_KINDS = {"no reflection": "gain", "the reflection of another state": "gain_over_other"}
_WORST = 300
_REFRESH_SECONDS = 2.0
_WHAT = (
    "**Reflection gain**: log p(right command | reflection) minus log p(right command | none), in nats, per recorded turn. Above 0 the "
    "reflection makes the oracle's command likelier. The policy was trained on prompts with a reflection, so a prompt without one is "
    "unusual to it; the comparison with the reflection of another state keeps the form and takes away the advice."
)


def section(paths: RunPaths) -> None:
    """Draw the gains of a run, or how to get them."""
    st.subheader("Reflection gain", anchor=False)
    st.caption(_WHAT)
    state = analysis_state(paths)
    running = state["state"] in UNDER_WAY
    st.fragment(_progress, run_every=_REFRESH_SECONDS if running else None)(paths, running)
    gains = turn_cache.gains(paths)
    if gains is None or gains.empty:
        return
    _show(paths, gains)


def _progress(paths: RunPaths, was_running: bool) -> None:
    state = analysis_state(paths)
    if was_running != (state["state"] in UNDER_WAY):
        st.rerun()  # the whole page: there are results, or an end
    if was_running:
        st.info("The gains are being computed; they appear here by themselves.", icon=":material/hourglass_top:")
        return
    if state["state"] == "failed":
        problem("The last computation ended without a result", str(state.get("error", ""))[:500])
    _start_button(paths)


def _start_button(paths: RunPaths) -> None:
    if cache.is_example(paths):
        st.caption("This is a recorded example without checkpoints: its gains cannot be computed. Train a run to see them.")
        return
    if not list_checkpoints(paths, role="policy"):
        st.caption("This run keeps no checkpoint of its policy, which the gains are computed with.")
        return
    again = turn_cache.gains(paths) is not None
    if st.button("Compute again" if again else "Compute the gains", icon=":material/calculate:", key="analyse"):
        try:
            start_analysis(paths.folder.parent, paths.run_id)
        except (WorkbenchError, OSError) as error:
            problem("The computation could not be started", str(error))
            return
        st.rerun()  # the whole page: it refreshes itself from now on
    st.caption("Or in a terminal:")
    st.code(f"workbench analyse {paths.run_id}", language="bash")


def _show(paths: RunPaths, gains: pd.DataFrame) -> None:
    kind = st.segmented_control("Compared with", list(_KINDS), default="no reflection", key="gain_kind")
    column = _KINDS[kind or "no reflection"]
    newest = gains[gains["order"] == gains["order"].max()]
    with st.container(horizontal=True):
        st.metric("Mean gain, nats", f"{newest[column].mean():+.3f}", border=True)
        st.metric("Median", f"{newest[column].median():+.3f}", border=True)
        st.metric("Turns that it helps", f"{(newest[column] > 0).mean():.1%}", border=True)
        st.metric("Turns", f"{len(newest):,}", border=True)
    st.text(f"At checkpoint {newest['checkpoint'].iloc[0]}; the same turns at every checkpoint.")
    stages = stage_names(paths)
    left, right = st.columns(2, gap="medium")
    with left:
        st.caption("By stage")
        st.plotly_chart(gain_figure(gains, column, stages), key="gain_figure")
    with right:
        st.caption("Over training")
        st.plotly_chart(gain_over_training_figure(gains, column, stages), key="gain_over_training")
    worst = newest.sort_values(column).reset_index(drop=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Where it harms most, first; {min(_WORST, len(worst)):,} of {len(worst):,} are listed. A row's box opens its turn.")
        download_table(gains, f"{paths.run_id}-reflection-gain", key="gains")
    links_of = list(zip(worst["trajectory_id"], worst["turn"], strict=True))[:_WORST]
    st.dataframe(
        worst.head(_WORST),
        hide_index=True,
        height=300,
        placeholder=UNKNOWN,
        key="gain_table",
        on_select=partial(open_turn, "gain_table", links_of),
        selection_mode="single-row",
        column_order=[column, "stage", "update", "suggested_command", "right_command", "command", "reflection", "trajectory_id", "turn"],
        column_config={column: st.column_config.NumberColumn("gain, nats", format="%+.3f")},
    )
    leave_for_turn(paths, "gain_table")


def open_turn(key: str, turns: list[tuple[str, int]]) -> None:
    """Remember which row of the table ``key`` was chosen; a callback may not leave the page itself."""
    rows = st.session_state[key].selection.rows
    if rows and rows[0] < len(turns):
        st.session_state[f"open_{key}"] = turns[rows[0]]


def leave_for_turn(paths: RunPaths, key: str) -> None:
    """Open the turn that was chosen in the table ``key``, if one was."""
    chosen = st.session_state.pop(f"open_{key}", None)
    if chosen is not None:
        links.go("trajectories", run=paths.run_id, trajectory=str(chosen[0]), turn=str(int(chosen[1])))
