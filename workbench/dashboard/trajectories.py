"""The page of trajectories: find one, then go through it turn by turn. Every turn has its own address."""

from functools import partial

import pandas as pd
import streamlit as st

from workbench.dashboard import cache, links, turn_cache
from workbench.dashboard.components import UNKNOWN, all_runs, problem, run_picker
from workbench.dashboard.export import download_table
from workbench.dashboard.turn_filters import draw_filters
from workbench.dashboard.turn_view import show_trajectory
from workbench.errors import WorkbenchError
from workbench.records import Trajectory
from workbench.store.layout import RunPaths

_MOST_ROWS = 500
_COLUMNS = ("trajectory_id", "phase", "update", "stage", "task", "success", "turns", "total_reward", "disagreements", "first_error")


def page() -> None:
    """Draw the page."""
    st.title("Trajectories", anchor=False)
    name = run_picker(all_runs())
    if not name:
        with st.container(border=True):
            st.markdown("**No run yet.** Start one on the first page; its trajectories appear here as they are written.")
            links.link("runs", "To the runs", icon=":material/view_list:")
        return
    try:
        paths = cache.open_run(name)
        found = _filtered(paths)
    except (WorkbenchError, OSError) as error:
        problem("This run cannot be shown", str(error), hint="Choose another run above. Nothing in the folder was changed.")
        return
    _table(found)
    wanted = links.parameter("trajectory") or (str(found["trajectory_id"].iloc[0]) if len(found) else "")
    if wanted:
        _show(paths, wanted)


def _show(paths: RunPaths, trajectory_id: str) -> None:
    try:
        trajectory = cache.trajectory(paths, trajectory_id)
    except (WorkbenchError, OSError) as error:
        problem("This trajectory cannot be shown", str(error), hint="Choose one in the table above.")
        return
    if not trajectory.turns:
        problem("This trajectory cannot be shown", f"{trajectory_id} has no turns.", hint="Choose one in the table above.")
        return
    index = _turn_index(trajectory)
    st.query_params.update({"run": paths.run_id, "trajectory": trajectory_id, "turn": str(index)})
    show_trajectory(paths, trajectory, index)


def _turn_index(trajectory: Trajectory) -> int:
    """The turn that the address asks for; the first, with a word about it, when it has no such turn."""
    asked = links.parameter("turn")
    if not asked:
        return 0
    last = len(trajectory.turns) - 1
    if asked.isascii() and asked.isdecimal() and len(asked) < 10 and int(asked) <= last:
        return int(asked)
    problem(
        "The address asks for a turn that is not there",
        f"turn={asked[:40]} was asked for; this trajectory has turns 0 to {last}. Here is turn 0.",
    )
    return 0


def _filtered(paths: RunPaths) -> pd.DataFrame:
    """Draw the filters and give the trajectories that pass them."""
    everything = turn_cache.overview(paths)
    filters = draw_filters(everything)
    found = filters.apply(everything)
    if filters.text:
        found = found[found["trajectory_id"].isin(turn_cache.saying(paths, filters.text))]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_count(len(found), len(everything)), width="content")
        links.link("run", "Curves and state of this run", icon=":material/monitoring:", run=paths.run_id)
        if len(found):
            download_table(found, f"{paths.run_id}-trajectories", key="trajectories")
    return found.head(_MOST_ROWS)


def _count(found: int, all_of_run: int) -> str:
    if not all_of_run:
        return "This run has recorded no trajectory yet."
    listed = f"; the latest {_MOST_ROWS:,} are listed" if found > _MOST_ROWS else ""
    return f"{found:,} of {all_of_run:,} trajectories{listed}."


def _table(found: pd.DataFrame) -> None:
    if found.empty:
        return
    ids = [str(name) for name in found["trajectory_id"]]
    shown = found.assign(success=["✓ success" if success else "✗ no" for success in found["success"]])
    st.dataframe(
        shown,
        hide_index=True,
        height=min(248, 38 + 35 * len(shown)),
        key="trajectory_table",
        on_select=partial(_choose, ids),
        placeholder=UNKNOWN,
        selection_mode="single-row",
        column_order=list(_COLUMNS),
        column_config={
            "trajectory_id": "trajectory",
            "success": "outcome",
            "total_reward": st.column_config.NumberColumn("reward", format="%.2f"),
            "disagreements": st.column_config.NumberColumn(
                "off the suggestion", help="Turns whose choice differs from what the reflection suggests"
            ),
            "first_error": st.column_config.NumberColumn("first error", help="The first turn whose command is not the oracle's"),
        },
    )


def _choose(ids: list[str]) -> None:
    rows = st.session_state["trajectory_table"].selection.rows
    if rows and rows[0] < len(ids):
        st.query_params.update({"trajectory": ids[rows[0]], "turn": "0"})
