"""The page that compares: one task under two checkpoints, two runs, or with and without reflection, aligned by state."""

from functools import partial

import pandas as pd
import streamlit as st

from workbench.dashboard import cache, links
from workbench.dashboard.compare_sides import Side, by_task, draw_side
from workbench.dashboard.compare_view import show_alignment
from workbench.dashboard.components import all_runs, problem
from workbench.dashboard.export import download_table
from workbench.errors import WorkbenchError
from workbench.store.settings import changed

_HINT = "Choose others above. Nothing in any folder was changed."


def page() -> None:
    """Draw the page."""
    st.title("Compare", anchor=False)
    runs = all_runs()
    if not runs:
        with st.container(border=True):
            st.markdown("**No run yet.** Start one on the first page; two of its updates, or two runs, can be compared here.")
            links.link("runs", "To the runs", icon=":material/view_list:")
        return
    default = links.parameter("run") or str(st.session_state.get("last_run") or runs[0].run)
    try:
        columns = st.columns(2, gap="medium")
        with columns[0]:
            left = draw_side("Left", "run", "at", default_run=default)
        with columns[1]:
            right = draw_side("Right", "other", "other_at", default_run=left.paths.run_id, against=left)
        _settings(left, right)
        _compare(left, right)
    except (WorkbenchError, OSError) as error:
        problem("This cannot be compared", str(error), hint=_HINT)


def _settings(left: Side, right: Side) -> None:
    """Say how the runs differ; with and without reflection is a setting like any other."""
    if left.paths.folder == right.paths.folder:
        return
    differing = changed([cache.config(left.paths), cache.config(right.paths)])
    with st.expander(f"Settings that differ: {len(differing)}"):
        rows = [{"setting": name, "left": values[0], "right": values[1]} for name, values in differing.items()]
        st.dataframe(rows, hide_index=True)
        download_table(pd.DataFrame(rows), f"settings-{left.paths.run_id}-{right.paths.run_id}", key="settings")


def _compare(left: Side, right: Side) -> None:
    tasks = by_task(left.plays, right.plays)
    if tasks.empty:
        problem(
            "The two have no task in common",
            f"{left.name}: {len(left.plays):,} trajectories; {right.name}: {len(right.plays):,}.",
            hint="Choose other updates, or “any update” on both sides. A run keeps some trajectories of each update it records.",
        )
        return
    plays = int(tasks["plays_left"].sum()), int(tasks["plays_right"].sum())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{len(tasks):,} tasks in common ({plays[0]:,} and {plays[1]:,} plays). Mean over tasks: success "
            f"{tasks['success_left'].mean():.1%} and {tasks['success_right'].mean():.1%}, reward {tasks['reward_left'].mean():.2f} and "
            f"{tasks['reward_right'].mean():.2f}. The tasks where the right one lost most come first.",
            width="stretch",
        )
        download_table(tasks, f"compare-{left.paths.run_id}-{right.paths.run_id}", key="tasks")
    names = list(zip(tasks["stage"], tasks["task"], strict=True))
    share = partial(st.column_config.NumberColumn, format="percent")
    st.dataframe(
        tasks,
        hide_index=True,
        height=min(248, 38 + 35 * len(tasks)),
        key="task_table",
        on_select=partial(_choose_task, names),
        selection_mode="single-row",
        column_config={
            "plays_left": "plays, left",
            "plays_right": "plays, right",
            "success_left": share("success, left"),
            "success_right": share("success, right"),
            "reward_left": st.column_config.NumberColumn("reward, left", format="%.2f"),
            "reward_right": st.column_config.NumberColumn("reward, right", format="%.2f"),
            "difference": st.column_config.NumberColumn("difference", format="%+.2f"),
        },
    )
    asked = links.parameter("stage"), links.parameter("task")
    # Where nothing is asked for, the task that shows the most: one where the two differ.
    stage, task = asked if asked in names else names[int(tasks["difference"].abs().to_numpy().argmax())]
    ids = [_pick(side, stage, task, which) for side, which in ((left, "left"), (right, "right"))]
    st.query_params.update({"run": left.paths.run_id, "at": left.moment, "other": right.paths.run_id, "other_at": right.moment})
    st.query_params.update({"stage": stage, "task": task, "left": ids[0], "right": ids[1]})
    show_alignment(left, right, cache.trajectory(left.paths, ids[0]), cache.trajectory(right.paths, ids[1]))


def _choose_task(names: list[tuple[str, str]]) -> None:
    rows = st.session_state["task_table"].selection.rows
    if rows and rows[0] < len(names):
        for parameter in ("left", "right"):
            st.query_params.pop(parameter, None)
        st.query_params.update({"stage": names[rows[0]][0], "task": names[rows[0]][1]})


def _pick(side: Side, stage: str, task: str, which: str) -> str:
    """Which of a side's plays of the task is shown: the address decides, else the latest; drawn where there are several."""
    plays = side.plays[(side.plays["stage"] == stage) & (side.plays["task"] == task)]
    ids = [str(name) for name in plays["trajectory_id"]]
    asked = links.parameter(which)
    chosen = asked if asked in ids else ids[0]
    if len(ids) > 1:
        key = f"compare_play_{which}"
        st.session_state[key] = chosen
        outcome = dict(zip(ids, plays["success"], strict=True))
        st.selectbox(
            f"Play of this task, {which}",
            ids,
            key=key,
            format_func=lambda name: f"{name}   {'✓ success' if outcome[name] else '✗ no success'}",
            on_change=_choose_play,
            args=(key, which),
        )
    return chosen


def _choose_play(key: str, which: str) -> None:
    st.query_params[which] = st.session_state[key]
