"""The page of the reflection player: is its advice right, is it followed, and does it help?"""

from functools import partial

import pandas as pd
import streamlit as st

from workbench.dashboard import cache, links, reflections_gain, turn_cache
from workbench.dashboard.components import UNKNOWN, all_runs, percent, problem, run_picker
from workbench.dashboard.export import download_table
from workbench.dashboard.reflections_figures import CASES, RATES, cases_figure, rates_figure
from workbench.dashboard.reflections_gain import leave_for_turn, open_turn
from workbench.dashboard.run_sections import stage_names
from workbench.errors import WorkbenchError
from workbench.store.layout import RunPaths
from workbench.store.turns import MOMENTS

_MOST_ROWS = 300


def page() -> None:
    """Draw the page."""
    st.title("Reflections", anchor=False)
    name = run_picker(all_runs())
    if not name:
        with st.container(border=True):
            st.markdown("**No run yet.** Start one on the first page; what its reflection player says is judged here.")
            links.link("runs", "To the runs", icon=":material/view_list:")
        return
    try:
        paths = cache.open_run(name)
        st.query_params["run"] = paths.run_id
        _show(paths)
    except (WorkbenchError, OSError) as error:
        problem("This run cannot be shown", str(error), hint="Choose another run above. Nothing in the folder was changed.")


def _show(paths: RunPaths) -> None:
    counts = turn_cache.advice(paths)
    if counts.empty:
        problem("Nothing was recorded yet", "This run has recorded no trajectory yet.", hint="They appear here as they are written.")
        return
    phase = st.segmented_control("Turns of", ["all phases", *dict.fromkeys(counts["phase"])], default="all phases", key="advice_phase")
    chosen = counts if phase in (None, "all phases") else counts[counts["phase"] == phase]
    if not chosen["named"].sum():
        st.info("No reflection of these turns names a command: the run has no reflection player, or it says something else.")
        return
    _numbers(chosen)
    if not chosen["judged"].sum():
        st.caption("The run noted no oracle's commands (`record.oracle_commands`), so nothing says whether the advice was right.")
    left, right = st.columns([55, 45], gap="medium")
    with left:
        st.subheader("Over training", anchor=False)
        if (counts["phase"] == "rl").any():
            st.plotly_chart(rates_figure(counts), key="rates_figure")
        else:
            st.caption("The run recorded no turn of its online phase.")
    with right:
        st.subheader("By stage", anchor=False)
        st.plotly_chart(cases_figure(chosen, stage_names(paths)), key="cases_figure")
        _tables(paths, counts)
    _moments(paths, phase)
    _wrong(paths)
    reflections_gain.section(paths)


def _numbers(counts: pd.DataFrame) -> None:
    totals = counts.sum(numeric_only=True)
    with st.container(horizontal=True):
        for name, (part, whole, _) in RATES.items():
            rate = percent(float(totals[part] / totals[whole])) if totals[whole] else UNKNOWN
            st.metric(name.capitalize(), rate, border=True, help=f"{int(totals[part]):,} of {int(totals[whole]):,} turns")
        st.metric("Turns", f"{int(totals['turns']):,}", border=True)


def _tables(paths: RunPaths, counts: pd.DataFrame) -> None:
    with st.expander("As a table"):
        st.dataframe(counts, hide_index=True, height=220)
        download_table(counts, f"{paths.run_id}-advice", key="advice")
    said = {name: int(counts[column].sum()) for column, (name, _) in CASES.items()}
    st.caption(" · ".join(f"{name}: {count:,}" for name, count in said.items()))


def _moments(paths: RunPaths, phase: str | None) -> None:
    """Draw how advice does before anything was done, on the oracle's way, and off it."""
    found = turn_cache.moments(paths)
    found = found if phase in (None, "all phases") else found[found["phase"] == phase]
    if found.empty:
        return
    st.subheader("Before and after a mistake", anchor=False)
    st.caption(
        "A reflection player that was taught on mistakes is worth something after one, and costs something where it sees one that is none. "
        "Turns by what was done just before."
    )
    sums = found.groupby("moment")[["turns", "suggestion_right", "followed", "choice_right"]].sum().reindex(MOMENTS).dropna()
    shares = sums.drop(columns="turns").div(sums["turns"], axis=0)
    shares.insert(0, "turns", sums["turns"].astype(int))
    st.dataframe(
        shares.reset_index(),
        hide_index=True,
        column_config={
            "moment": st.column_config.TextColumn("what was done before", width=240),
            "suggestion_right": st.column_config.NumberColumn("suggestion is the oracle's", format="percent"),
            "followed": st.column_config.NumberColumn("choice is the suggestion", format="percent"),
            "choice_right": st.column_config.NumberColumn("choice is the oracle's", format="percent"),
        },
    )


def _wrong(paths: RunPaths) -> None:
    """Draw the turns with wrong advice, worst first."""
    found = turn_cache.wrong_advice(paths, _MOST_ROWS)
    st.subheader("Wrong advice", anchor=False)
    if found.empty:
        st.caption("No suggestion differs from the oracle's command.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "Suggestions that are not the oracle's command; those that were followed first, then the least likely rescue. Where several "
            "commands are equally good, such a suggestion may be right. A row's box opens its turn.",
            width="stretch",
        )
        download_table(found, f"{paths.run_id}-wrong-advice", key="wrong")
    turns = list(zip(found["trajectory_id"], found["turn"], strict=True))
    st.dataframe(
        found,
        hide_index=True,
        height=min(300, 38 + 35 * len(found)),
        placeholder=UNKNOWN,
        key="wrong_table",
        on_select=partial(open_turn, "wrong_table", turns),
        selection_mode="single-row",
        column_order=[
            *("suggested_command", "oracle_command", "command", "p_right", "return_to_go"),
            *("reflection", "stage", "update", "task", "trajectory_id", "turn"),
        ],
        column_config={
            "suggested_command": st.column_config.TextColumn("suggested", width=82),
            "oracle_command": st.column_config.TextColumn("oracle", width=82),
            "command": st.column_config.TextColumn("chosen", width=82),
            "reflection": st.column_config.TextColumn(width=352),
            "p_right": st.column_config.NumberColumn("p(oracle's)", format="percent"),
            "return_to_go": st.column_config.NumberColumn("return to go", format="%.2f"),
        },
    )
    leave_for_turn(paths, "wrong_table")
