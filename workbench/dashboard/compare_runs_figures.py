"""Figures of several runs: pure functions from their tables to Plotly figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard.escaping import escaped
from workbench.dashboard.palette import SERIES, see_through, series_colour
from workbench.dashboard.run_figures import SMOOTH_UPDATES, base_figure
from workbench.evaluation.seeds import over_seeds

_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seed; one run is a group, too."""

    name: str
    titles: Sequence[str]
    metrics: Sequence[pd.DataFrame]
    """Of the online phase, a table per run."""
    evaluations: Sequence[pd.DataFrame]


def comparison_figure(groups: Sequence[Group], key: str) -> go.Figure:
    """The running mean of one metric of every run; groups as their mean and its interval."""
    figure = base_figure(escaped(key), "", [], height=340)
    for place, group in enumerate(groups):
        _add_group(figure, group, [_smooth(one, key) for one in group.metrics], place, mode="lines")
    if key == "success/rate":
        figure.update_yaxes(range=[-0.03, 1.05], tickformat=".0%")
    return figure


def evaluations_figure(groups: Sequence[Group]) -> go.Figure:
    """Success rate of the evaluations; of a single run with its own intervals, of a group with the interval of its mean."""
    figure = base_figure("Success of evaluations", "share of trajectories", [], height=340)
    for place, group in enumerate(groups):
        _add_group(figure, group, [_rates(one) for one in group.evaluations], place, mode="lines+markers")
        known = [one for one in group.evaluations if len(_rates(one))]
        if len(known) == 1 and {"low", "high"} <= set(known[0].columns):
            _add_interval(figure, known[0].dropna(subset=["update", "low", "high"]), group, place)
    figure.update_yaxes(range=[-0.03, 1.05], tickformat=".0%")
    return figure


def _rates(evaluations: pd.DataFrame) -> "pd.Series[Any]":
    if not {"update", "success_rate"} <= set(evaluations.columns):
        return pd.Series(dtype=float)
    return evaluations.dropna(subset=["update", "success_rate"]).set_index("update")["success_rate"]


def _smooth(metrics: pd.DataFrame, key: str) -> "pd.Series[Any]":
    if key not in metrics or "update" not in metrics:
        return pd.Series(dtype=float)
    values = metrics.dropna(subset=[key, "update"]).set_index("update")[key]
    return values.rolling(SMOOTH_UPDATES, min_periods=1).mean()


def _add_group(figure: go.Figure, group: Group, curves: Sequence["pd.Series[Any]"], place: int, *, mode: str) -> None:
    """``curves`` has one for every run of the group, empty where a run has none."""
    known = [(title, curve) for title, curve in zip(group.titles, curves, strict=True) if len(curve)]
    if not known:
        return
    colour, dash = series_colour(place), _DASHES[place // len(SERIES) % len(_DASHES)]
    name, whole = escaped(group.name), over_seeds([curve for _, curve in known])
    # A mean of fewer runs than the group has must not pass for that of all.
    shown = name if len(known) == len(group.titles) else f"{name}, {len(known)} of them here"
    if len(known) > 1:
        _add_area(figure, whole.index, whole["low"], whole["high"], group, place)
        thin = {"color": see_through(colour, 0.45), "width": 1}
        for title, curve in known:
            figure.add_scatter(
                x=curve.index, y=curve, mode="lines", line=thin, showlegend=False, hoverinfo="skip", name=escaped(title), legendgroup=name
            )
    figure.add_scatter(
        x=whole.index,
        y=whole["mean"],
        mode=mode,
        line={"color": colour, "width": 2.5, "dash": dash},
        name=shown,
        legendgroup=name,
        hovertemplate="%{y:.4g}<extra>" + shown + "</extra>",
    )


def _add_interval(figure: go.Figure, found: pd.DataFrame, group: Group, place: int) -> None:
    _add_area(figure, found["update"], found["low"], found["high"], group, place)


def _add_area(figure: go.Figure, x: Any, low: Any, high: Any, group: Group, place: int) -> None:
    name = escaped(group.name)
    quiet = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip", "legendgroup": name}
    figure.add_scatter(x=x, y=low, **quiet)
    figure.add_scatter(x=x, y=high, fill="tonexty", fillcolor=see_through(series_colour(place), 0.15), **quiet)
