"""Figures of selections: pure functions from their tables to Plotly figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard.components import escaped
from workbench.dashboard.palette import FAINT, GREY, see_through, series_colour

_LEGEND = {"orientation": "h", "y": -0.15, "x": 0}
_MARGIN = {"l": 50, "r": 10, "t": 10, "b": 40}
_SYMBOLS = ("circle-open", "square-open", "diamond-open", "triangle-up-open", "cross-open", "x-open")
_MOST_GROUPS = 7
"""Tasks that get a colour of their own; the rest share one."""
_HOVER = 80
_DASHES = ("solid", "dash", "dot", "dashdot")


def map_figure(points: pd.DataFrame, axes: tuple[str, str], colour: str | None, chosen: Mapping[str, Sequence[int]]) -> go.Figure:
    """The pool in two dimensions with what each selection chose.

    Args:
        points: Rows of ``map.parquet``.
        axes: Its columns of coordinates.
        colour: Column that colours the pool; None leaves it grey.
        chosen: Places in the pool by selection.
    """
    figure = go.Figure()
    for trace in _pool_traces(points, axes, colour):
        figure.add_trace(trace)
    placed = points.set_index("row")
    for place, (name, rows) in enumerate(chosen.items()):
        known = placed.loc[placed.index.intersection(list(rows))]
        marker = {"symbol": _SYMBOLS[place % len(_SYMBOLS)], "size": 9 + 3 * place, "color": series_colour(place), "line": {"width": 2}}
        figure.add_trace(_dots(known, axes, escaped(name), marker))
    figure.update_layout(height=560, margin=_MARGIN, legend={**_LEGEND, "y": -0.06})
    figure.update_xaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, zeroline=False)
    return figure


def _pool_traces(points: pd.DataFrame, axes: tuple[str, str], colour: str | None) -> list[go.Scattergl]:
    if colour is None:
        return [_dots(points, axes, "the pool", {"size": 4, "color": see_through(GREY, 0.6)})]
    if colour.startswith("score "):
        bar = {"title": escaped(colour.removeprefix("score ")), "thickness": 10}
        return [_dots(points, axes, "the pool", {"size": 5, "color": points[colour], "colorscale": "Cividis", "colorbar": bar})]
    groups = points[colour].astype(str)
    largest = groups.value_counts().index[: _MOST_GROUPS - 1 if groups.nunique() > _MOST_GROUPS else _MOST_GROUPS]
    found = []
    for place, name in enumerate(largest):
        found.append(_dots(points[groups == name], axes, escaped(name), {"size": 4, "color": see_through(series_colour(place), 0.55)}))
    rest = points[~groups.isin(largest)]
    if len(rest):
        found.append(_dots(rest, axes, "others", {"size": 4, "color": FAINT}))
    return found


def _dots(points: pd.DataFrame, axes: tuple[str, str], name: str, marker: Mapping[str, Any]) -> go.Scattergl:
    texts = [escaped(str(text)[:_HOVER]).replace("\n", "<br>") for text in points["prompt"]]
    return go.Scattergl(
        x=points[axes[0]],
        y=points[axes[1]],
        mode="markers",
        name=name,
        marker=dict(marker),
        text=texts,
        hovertemplate="%{text}<extra></extra>",
    )


def overlap_figure(names: Sequence[str], shares: Sequence[Sequence[float]]) -> go.Figure:
    """Overlap of every two selections as a table of colours, in [0, 1]."""
    labels = [escaped(name) for name in names]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=labels,
            y=labels,
            zmin=0,
            zmax=1,
            colorscale="Blues",
            texttemplate="%{z:.2f}",
            hovertemplate="%{y} and %{x}: %{z:.1%}<extra></extra>",
        )
    )
    figure.update_layout(height=140 + 46 * len(labels), margin=_MARGIN)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(automargin=True)
    return figure


def coverage_figure(reports: Mapping[str, Mapping[str, Mapping[str, int]]]) -> go.Figure:
    """Of every task (or stage) the share of a selection that it has, beside its share of the pool.

    Args:
        reports: For every selection, ``{task: {"pool": count, "chosen": count}}`` from its report.
    """
    figure = go.Figure()
    first = next(iter(reports.values()))
    names = sorted(first, key=lambda name: -first[name]["pool"])
    labels = [escaped(name) for name in names]
    for place, (title, counts, what, colour) in enumerate(
        [
            ("the pool", first, "pool", GREY),
            *((name, found, "chosen", series_colour(at)) for at, (name, found) in enumerate(reports.items())),
        ]
    ):
        own = [counts[name][what] if name in counts else 0 for name in names]
        total = max(1, sum(own))
        figure.add_bar(
            x=[count / total for count in own],
            y=labels,
            orientation="h",
            name=escaped(title),
            marker={"color": colour},
            customdata=own,
            hovertemplate="%{y}: %{customdata} prompts, %{x:.1%}<extra></extra>",
            offsetgroup=str(place),
        )
    figure.update_layout(barmode="group", height=160 + 16 * len(names) * (1 + len(reports)), margin=_MARGIN, legend=_LEGEND)
    figure.update_xaxes(title="share of the prompts", tickformat=".0%")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def curves_figure(table: pd.DataFrame, designs: Sequence[str], metric: str) -> go.Figure:
    """A metric against the budget, a line per design with its 95 % interval over seeds.

    Args:
        table: Of one pool, from ``label_efficiency.curves``.
        designs: Lines to draw, in order.
        metric: Its name.
    """
    figure = go.Figure()
    for place, design in enumerate(designs):
        own = table[table["design"] == design].sort_values("budget")
        figure.add_scatter(
            x=own["budget"],
            y=own["mean"],
            error_y={"array": own["high"] - own["mean"], "arrayminus": own["mean"] - own["low"], "thickness": 1, "width": 3},
            mode="lines+markers",
            name=escaped(design),
            line={"color": series_colour(place), "width": 3 if design == "random" else 2, "dash": _DASHES[place // 7 % len(_DASHES)]},
            customdata=own["seeds"],
            hovertemplate=escaped(design) + ": %{y:.3f} with %{x} annotations, %{customdata} seeds<extra></extra>",
        )
    figure.update_layout(height=440, margin=_MARGIN, legend={**_LEGEND, "y": -0.2})
    figure.update_xaxes(
        title="annotations", type="log", tickvals=sorted(set(table["budget"])), ticktext=[f"{b:,}" for b in sorted(set(table["budget"]))]
    )
    figure.update_yaxes(title=escaped(metric.replace("_", " ")))
    return figure
