"""Where the agent starts and whether it succeeds from there: a map for the worlds we know, a table for every other."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from workbench.dashboard import cache
from workbench.dashboard.components import escaped, problem
from workbench.dashboard.export import download_table
from workbench.dashboard.palette import GREY
from workbench.errors import WorkbenchError
from workbench.store.layout import RunPaths
from workbench.store.outcomes import success_by

_TAXI = re.compile(r"r(\d)c(\d)-([RGYB])-([RGYB])")
_LANDMARKS = {("0", "0"): "R", ("0", "4"): "G", ("4", "0"): "Y", ("4", "3"): "B"}
_MOST_CELLS = 60
_PARTS = {"all": (0.0, 1.0), "first fifth": (0.0, 0.2), "last fifth": (0.8, 1.0)}
"""Shares of the trajectories, in the order of their updates: parts of a live run grow with it."""
_LEAST_UPDATES = 10
_TABLE_ROWS = 2000

Place = tuple[str, str]
"""Row and column of the map."""


class View(NamedTuple):
    """One way of laying start states out."""

    rows: str
    columns: str
    place: Callable[[str, int], Place | None]
    """From a task id and what was counted at its start; None for a task of another form."""


def _taxi_field(task: str, counted: int) -> Place | None:
    match = _TAXI.fullmatch(task)
    return (match[1], match[2]) if match else None


def _taxi_way(task: str, counted: int) -> Place | None:
    match = _TAXI.fullmatch(task)
    return (match[3], match[4]) if match else None


def _explore(task: str, counted: int) -> Place | None:
    repository, slash, target = task.rpartition("#")[0].partition("/")
    return (repository, f"{target.count('/')}") if slash else None


def _household(task: str, counted: int) -> Place | None:
    kind, dash, _ = task.rpartition("-")
    return (kind, f"{counted:02d}") if dash else None


_VIEWS: dict[str, dict[str, View]] = {
    "taxi": {
        "field the taxi starts on": View("row", "column", _taxi_field),
        "passenger and destination": View("passenger at", "to", _taxi_way),
    },
    "explore": {"repository and depth of the file": View("repository", "folders above the file", _explore)},
    "household": {"task type and size of the room": View("task type", "pieces of furniture", _household)},
}
COUNTED = "go to "


def section(paths: RunPaths, stages: Sequence[str]) -> None:
    """Draw success by start state and stage."""
    try:
        found = cache.outcomes(paths, COUNTED)
    except WorkbenchError as error:
        problem("Start states cannot be shown", str(error))
        return
    if found.empty:
        return
    st.subheader("Start states", anchor=False)
    env = cache.config(paths).get("env")
    name = env.get("name") if isinstance(env, dict) else None
    views = _VIEWS.get(name, {}) if isinstance(name, str) else {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choice = st.segmented_control("Laid out by", [*views, "task"], default=[*views, "task"][0], key="starts_view", required=True)
        found = _chosen_updates(found)
    view = views.get(str(choice))
    if view is None:
        _table(paths, found)
        return
    placed = with_places(found, view)
    if placed.empty:
        st.caption("No task among these has the form of this world's tasks; the table shows them by name.")
        _table(paths, found)
        return
    st.plotly_chart(starts_figure(placed, view, stages, landmarks=view.place is _taxi_field), key="starts_figure")
    st.caption(
        "Yellow is always solved, dark blue never, an empty field was not played. Numbers are percent; point at a field to see how often."
    )


def _chosen_updates(found: pd.DataFrame) -> pd.DataFrame:
    phases = list(found["phase"].unique())
    phase = phases[0]
    if len(phases) > 1:
        words = {"rl": "online learning", "evaluate": "final evaluation"}
        phase = st.segmented_control(
            "Played in", phases, default=phase, key="starts_phase", format_func=lambda one: words.get(one, str(one)), required=True
        )
    found = found[found["phase"] == phase]
    if found["update"].nunique() < _LEAST_UPDATES:
        return found
    part = st.segmented_control("Updates", list(_PARTS), default="all", key="starts_part", required=True)
    low, high = (found["update"].quantile(share) for share in _PARTS[str(part)])
    return found[found["update"].between(low, high)]


def with_places(found: pd.DataFrame, view: View) -> pd.DataFrame:
    """``found`` with the columns ``row`` and ``column``, without the tasks that have no place."""
    starts = found[["task", "counted"]].drop_duplicates()
    places = {(task, counted): view.place(str(task), int(counted)) for task, counted in starts.itertuples(index=False)}
    every = [places[key] for key in zip(found["task"], found["counted"], strict=True)]
    known = [place is not None for place in every]
    rows, columns = [place[0] for place in every if place], [place[1] for place in every if place]
    return found[known].assign(row=rows, column=columns)


def starts_figure(placed: pd.DataFrame, view: View, stages: Sequence[str], *, landmarks: bool = False) -> go.Figure:
    """A map per stage, coloured by success; ``stages`` give the order, others follow."""
    played = list(dict.fromkeys([*(one for one in stages if one in set(placed["stage"])), *placed["stage"]]))
    rows, columns = sorted(placed["row"].unique())[:_MOST_CELLS], sorted(placed["column"].unique())[:_MOST_CELLS]
    figure = make_subplots(rows=1, cols=len(played), subplot_titles=[escaped(str(stage)) for stage in played], shared_yaxes=True)
    rates = success_by(placed, ["stage", "row", "column"])
    for number, stage in enumerate(played, start=1):
        own = rates[rates["stage"] == stage]
        success = own.pivot(index="row", columns="column", values="success").reindex(index=rows, columns=columns)
        count = own.pivot(index="row", columns="column", values="trajectories").reindex(index=rows, columns=columns).fillna(0)
        figure.add_heatmap(
            z=success.to_numpy(),
            x=[escaped(one) for one in columns],
            y=[escaped(one) for one in rows],
            customdata=count.to_numpy(),
            text=[["" if pd.isna(one) else f"{100 * one:.0f}" for one in line] for line in success.to_numpy()],
            texttemplate="%{text}",
            zmin=0,
            zmax=1,
            colorscale="Cividis",
            showscale=number == len(played),
            colorbar={"tickformat": ".0%", "title": {"text": "success"}},
            xgap=2,
            ygap=2,
            hovertemplate=f"{view.rows} %{{y}}, {view.columns} %{{x}}: %{{z:.1%}} of %{{customdata}}<extra>{escaped(str(stage))}</extra>",
            row=1,
            col=number,
        )
        for (row, column), letter in _LANDMARKS.items() if landmarks else ():
            if row in rows and column in columns:
                place = {"x": column, "y": row, "xshift": -20, "yshift": 13, "row": 1, "col": number}
                figure.add_annotation(text=f"<b>{letter}</b>", showarrow=False, font={"size": 11, "color": GREY}, **place)
    figure.update_xaxes(type="category", showgrid=False, title=view.columns)
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
    figure.update_yaxes(title=view.rows, col=1)
    figure.update_layout(height=min(900, 150 + max(46 * len(rows), 160)), margin={"l": 56, "r": 16, "t": 40, "b": 50})
    return figure


def _table(paths: RunPaths, found: pd.DataFrame) -> None:
    table = success_by(found, ["stage", "task"]).sort_values(["success", "trajectories"], ascending=[True, False], kind="stable")
    config = {"success": st.column_config.NumberColumn("success", format="percent")}
    st.dataframe(table.head(_TABLE_ROWS), hide_index=True, key="starts_table", column_config=config, height=300)
    cut = f" The {_TABLE_ROWS} worst of {len(table)} are shown." if len(table) > _TABLE_ROWS else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"The start states that are solved least often come first.{cut}", width="content")
        download_table(table, f"{paths.run_id}-starts", key="starts")
