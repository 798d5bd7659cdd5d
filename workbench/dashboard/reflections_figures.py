"""Figures of the reflection player: how its advice did over training, and how much it helped."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard.escaping import escaped
from workbench.dashboard.palette import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, see_through, series_colour
from workbench.evaluation.statistics import wilson_interval

RATES = {
    "names a command": ("named", "turns", PURPLE),
    "suggestion is the oracle's": ("suggestion_right", "named_and_judged", GREEN),
    "choice is the suggestion": ("followed", "named", BLUE),
    "choice is the oracle's": ("choice_right", "judged", ORANGE),
}
"""Name of a rate: what is counted, among what, and its colour; columns of ``workbench.store.turns.advice_counts``."""
CASES = {
    "right_followed": ("right, followed", GREEN),
    "advice_wasted": ("right, not followed", BLUE),
    "resisted": ("wrong, but the oracle's chosen", ORANGE),
    "misled": ("wrong, followed", VERMILLION),
}
_SYMBOLS = ("circle", "square", "diamond", "triangle-up")
_LEGEND = {"orientation": "h", "y": -0.25, "x": 0, "traceorder": "normal"}


def rates_figure(counts: pd.DataFrame) -> go.Figure:
    """The rates over the updates of the online phase, with 95 % Wilson intervals as areas."""
    updates = counts[counts["phase"] == "rl"].groupby("update").sum(numeric_only=True).reset_index()
    figure = go.Figure()
    for place, (name, (part, whole, colour)) in enumerate(RATES.items()):
        known = updates[updates[whole] > 0]
        found = [wilson_interval(int(hits), int(trials)) for hits, trials in zip(known[part], known[whole], strict=True)]
        _add_band(figure, known["update"], [one.low for one in found], [one.high for one in found], colour)
        figure.add_scatter(
            x=known["update"],
            y=[one.rate for one in found],
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2},
            marker={"symbol": _SYMBOLS[place], "size": 7},
            customdata=known[whole],
            hovertemplate=name + "<br>update %{x}: %{y:.1%} of %{customdata} turns<extra></extra>",
        )
    figure.update_layout(height=340, margin={"l": 60, "r": 10, "t": 10, "b": 40}, legend=_LEGEND)
    figure.update_xaxes(title="update")
    figure.update_yaxes(title="share of turns", tickformat=".0%")
    return figure


def _add_band(figure: go.Figure, x: Any, low: Sequence[float], high: Sequence[float], colour: str) -> None:
    quiet = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    figure.add_scatter(x=x, y=low, **quiet)
    figure.add_scatter(x=x, y=high, fill="tonexty", fillcolor=see_through(colour, 0.15), **quiet)


def in_order(found: Iterable[Any], stages: Sequence[str]) -> list[str]:
    """The stages among ``found`` once each: those of the curriculum ``stages`` in its order, others after them."""
    names = list(dict.fromkeys(str(stage) for stage in found))
    return [*(stage for stage in stages if stage in names), *(name for name in names if name not in stages)]


def cases_figure(counts: pd.DataFrame, order: Sequence[str] = ()) -> go.Figure:
    """For every stage, in the curriculum's ``order``, shares of the turns by whether the advice was right and whether it was followed."""
    stages = counts.groupby("stage", sort=False).sum(numeric_only=True)
    stages = stages.reindex(in_order(stages.index, order))
    totals = stages[list(CASES)].sum(axis=1).where(lambda total: total > 0)
    figure = go.Figure()
    for column, (name, colour) in CASES.items():
        shares = stages[column] / totals
        figure.add_bar(
            x=shares,
            y=[escaped(str(stage)) for stage in stages.index],
            orientation="h",
            name=name,
            marker={"color": colour},
            customdata=stages[column],
            hovertemplate=name + ": %{customdata} turns, %{x:.1%}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack", height=110 + 44 * len(stages), margin={"l": 10, "r": 20, "t": 10, "b": 40}, legend={**_LEGEND, "y": -0.45}
    )
    figure.update_xaxes(title="share of turns with advice and an oracle", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(automargin=True, autorange="reversed")
    return figure


def gain_figure(gains: pd.DataFrame, column: str, order: Sequence[str] = ()) -> go.Figure:
    """The distribution of a gain by stage, a box per stage and checkpoint, nats.

    Args:
        gains: Rows in the columns of ``workbench.store.analysis.GAIN_COLUMNS``.
        column: ``gain`` or ``gain_over_other``.
        order: The curriculum's stages.
    """
    figure = go.Figure()
    names = gains[["order", "checkpoint"]].drop_duplicates().sort_values("order")["checkpoint"]
    for place, name in enumerate(names):
        own = gains[gains["checkpoint"] == name]
        figure.add_box(
            x=[escaped(str(stage)) for stage in own["stage"]],
            y=own[column],
            name=escaped(str(name)),
            marker={"color": series_colour(place), "size": 3},
            boxmean=True,
            boxpoints="outliers",
        )
    figure.add_hline(y=0, line={"color": see_through(GREY, 0.8), "width": 1, "dash": "dash"})
    figure.update_layout(boxmode="group", height=380, margin={"l": 60, "r": 10, "t": 10, "b": 40}, legend=_LEGEND)
    stages = [escaped(stage) for stage in in_order(gains["stage"], order)]
    figure.update_xaxes(categoryorder="array", categoryarray=stages)
    figure.update_yaxes(title="gain, nats", zeroline=False)
    return figure


def gain_over_training_figure(gains: pd.DataFrame, column: str, stages: Sequence[str] = ()) -> go.Figure:
    """The mean gain of the same turns at every checkpoint, a line per stage, with two standard errors."""
    figure = go.Figure()
    order = gains[["order", "checkpoint"]].drop_duplicates().sort_values("order")
    for place, stage in enumerate(in_order(gains["stage"], stages)):
        found = gains[gains["stage"] == stage].groupby("order")[column].agg(["mean", "sem", "size"]).reindex(order["order"])
        figure.add_scatter(
            x=[escaped(str(name)) for name in order["checkpoint"]],
            y=found["mean"],
            error_y={"array": 2 * found["sem"].fillna(0.0), "thickness": 1, "width": 3},
            mode="lines+markers",
            name=escaped(str(stage)),
            line={"color": series_colour(place), "width": 2},
            marker={"symbol": _SYMBOLS[place % len(_SYMBOLS)], "size": 8},
            customdata=found["size"],
            hovertemplate="%{x}: %{y:+.3f} nats, mean of %{customdata} turns<extra></extra>",
        )
    figure.add_hline(y=0, line={"color": see_through(GREY, 0.8), "width": 1, "dash": "dash"})
    figure.update_layout(height=380, margin={"l": 60, "r": 10, "t": 10, "b": 40}, legend=_LEGEND, showlegend=True)
    figure.update_xaxes(type="category")
    figure.update_yaxes(title="mean gain, nats", zeroline=False)
    return figure
