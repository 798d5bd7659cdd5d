"""Figures of a run: pure functions from the run's tables to Plotly figures."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard.escaping import escaped
from workbench.dashboard.palette import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, see_through, series_colour

SMOOTH_UPDATES = 9

_TIME_PARTS = (
    ("reflect", BLUE, ("time/reflect_seconds",)),
    ("act", SKY, ("time/act_seconds",)),
    ("world", GREEN, ("time/env_seconds",)),
    ("update", ORANGE, ("time/update_seconds",)),
    ("evaluate", PURPLE, ("time/evaluate_seconds",)),
    ("write", VERMILLION, ("time/write_seconds",)),
    ("save", VERMILLION, ("time/save_seconds",)),
)
_SUPERVISED = {"sft-reflection": "reflection player", "sft-policy": "policy player", "reward-model": "reward model"}
_FEW_UPDATES = 10
"""So many get a number each; with fewer, Plotly would number halves."""
_LEAST_SHARE = 0.0005
"""Of the whole time; what took less is not drawn."""


class Band(NamedTuple):
    """Consecutive updates of one stage."""

    first: float
    last: float
    stage: str
    place: int


def stage_bands(metrics: pd.DataFrame, stages: Sequence[str]) -> list[Band]:
    """Which stage was played when, from ``curriculum/stage``; names come from ``stages``, by position."""
    if "curriculum/stage" not in metrics:
        return []
    known = metrics.dropna(subset=["curriculum/stage", "update"])
    bands: list[Band] = []
    for update, place in zip(known["update"], known["curriculum/stage"], strict=True):
        index = int(place)
        if bands and bands[-1].place == index:
            bands[-1] = bands[-1]._replace(last=float(update))
        else:
            name = stages[index] if 0 <= index < len(stages) else f"stage {index + 1}"
            bands.append(Band(float(update), float(update), name, index))
    return bands


def stage_changes(events: pd.DataFrame) -> pd.DataFrame:
    """Changes of stage: ``update`` (the first of the new stage), ``from``, ``to``, ``rate`` (success that stood then), ``reason``."""
    names = {"update": "update", "from_stage": "from", "to_stage": "to", "rate": "rate", "message": "reason"}
    if "kind" not in events or "update" not in events:
        return pd.DataFrame({name: [] for name in names.values()})
    found = events[events["kind"].astype(str) == "stage"].reindex(columns=list(names)).rename(columns=names)
    for name in ("update", "rate"):
        found[name] = pd.to_numeric(found[name], errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    for name in ("from", "to", "reason"):
        found[name] = found[name].map(lambda value: value if isinstance(value, str) else "?")
    return found.dropna(subset=["update"])


def _add_changes(figure: go.Figure, changes: pd.DataFrame) -> None:
    if changes.empty:
        return
    known = changes["rate"].notna()
    lines = [
        {
            "type": "line",
            "x0": one - 0.5,
            "x1": one - 0.5,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": GREY, "dash": "dot", "width": 1.5},
        }
        for one in changes["update"]
    ]
    figure.update_layout(shapes=[*figure.layout.shapes, *lines])
    figure.add_scatter(
        x=changes["update"] - 0.5,
        y=changes["rate"].where(known, 1.0),
        mode="markers",
        marker={"symbol": "triangle-right", "size": 12, "color": PURPLE, "line": {"width": 1, "color": "white"}},
        name="stage change, success then",
        customdata=[[escaped(row["from"]), escaped(row["to"]), escaped(row["reason"])] for _, row in changes.iterrows()],
        hovertemplate="%{customdata[0]} to %{customdata[1]}: %{customdata[2]}<extra>stage change</extra>",
    )


def success_figure(
    metrics: pd.DataFrame, evaluations: pd.DataFrame, bands: Sequence[Band], changes: pd.DataFrame | None = None
) -> go.Figure:
    """Success rate of every update, its running mean in each stage, evaluations with their intervals, and the changes of stage."""
    figure = base_figure("Success rate", "share of trajectories", bands)
    for band in bands or [Band(float("-inf"), float("inf"), "training", 0)]:
        if "success/rate" not in metrics:
            break
        inside = metrics[metrics["update"].between(band.first, band.last)].dropna(subset=["success/rate"])
        colour = series_colour(band.place)
        name = escaped(band.stage)
        figure.add_scatter(
            x=inside["update"],
            y=inside["success/rate"],
            mode="markers",
            marker={"color": colour, "size": 5, "opacity": 0.6},
            hovertemplate="update %{x}: %{y:.1%}<extra>" + name + "</extra>",
            showlegend=False,
        )
        smooth = inside["success/rate"].rolling(SMOOTH_UPDATES, min_periods=1).mean()
        figure.add_scatter(x=inside["update"], y=smooth, mode="lines", line={"color": colour, "width": 2.5}, name=name, hoverinfo="skip")
    _add_evaluations(figure, evaluations)
    if changes is not None:
        _add_changes(figure, changes)
    _number_each(figure, metrics)
    figure.update_yaxes(range=[-0.03, 1.05], tickformat=".0%")
    return figure


def _add_evaluations(figure: go.Figure, evaluations: pd.DataFrame) -> None:
    if not {"success_rate", "low", "high"} <= set(evaluations.columns):
        return
    shown = evaluations.dropna(subset=["success_rate", "low", "high", "update"])
    rate = shown["success_rate"]
    figure.add_scatter(
        x=shown["update"],
        y=rate,
        error_y={"array": shown["high"] - rate, "arrayminus": rate - shown["low"], "color": GREY},
        mode="markers",
        marker={"symbol": "diamond", "size": 9, "color": VERMILLION, "line": {"width": 1, "color": "white"}},
        name="evaluation, 95 % interval",
        hovertemplate="update %{x}: %{y:.1%}<extra>evaluation</extra>",
    )


def _number_each(figure: go.Figure, metrics: pd.DataFrame) -> None:
    if "update" in metrics and len(metrics) and metrics["update"].max() <= _FEW_UPDATES:
        figure.update_xaxes(dtick=1)


def curve_figure(metrics: pd.DataFrame, key: str, title: str, unit: str, bands: Sequence[Band]) -> go.Figure:
    """One metric over the updates, with its running mean."""
    figure = base_figure(title, unit, bands, height=280, legend=False)
    values = metrics.dropna(subset=[key])
    _number_each(figure, metrics)
    smooth = values[key].rolling(SMOOTH_UPDATES, min_periods=1).mean()
    figure.add_scatter(
        x=values["update"], y=values[key], mode="lines", line={"color": see_through(GREY, 0.5), "width": 1.5}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=values["update"], y=smooth, mode="lines", line={"color": BLUE, "width": 2.5}, hovertemplate="update %{x}: %{y:.3g}<extra></extra>"
    )
    return figure


def warmup_figure(metrics: pd.DataFrame) -> go.Figure:
    """Loss of the supervised phases over their steps."""
    figure = base_figure("Warm-up loss", "nats per token", [], x_title="step")
    for place, (phase, name) in enumerate(_SUPERVISED.items()):
        rows = metrics[metrics["phase"] == phase].dropna(subset=["loss/sft"])
        if rows.empty:
            continue
        figure.add_scatter(
            x=rows["update"],
            y=rows["loss/sft"],
            name=name,
            mode="lines+markers",
            marker={"size": 4},
            line={"color": series_colour(place), "width": 2.5, "dash": "solid" if place == 0 else "dash"},
            hovertemplate="step %{x}: %{y:.3g}<extra>" + name + "</extra>",
        )
    return figure


def time_figure(metrics: pd.DataFrame) -> go.Figure:
    """Seconds spent on each part of the online phase, one after the other as within an update, and all together."""
    parts = time_parts(metrics)
    whole = sum(seconds for _, _, seconds in parts)
    names = [*(name for name, _, _ in parts), "all"]
    seconds = [*(seconds for _, _, seconds in parts), whole]
    starts = [*(sum(seconds[:place]) for place in range(len(parts))), 0.0]
    figure = base_figure("Where the time went", "", [], x_title="seconds", height=110 + 30 * len(names), legend=False)
    figure.add_bar(
        x=seconds,
        y=names,
        base=starts,
        orientation="h",
        marker={"color": [*(colour for _, colour, _ in parts), GREY]},
        text=[f"{value:.1f} s, {_share(value, whole)}" for value in seconds],
        textposition="auto",
        cliponaxis=False,
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(range=[0, 1.2 * whole or 1.0])  # room for the words behind the last bars
    figure.update_layout(hovermode="closest", margin={"l": 110})
    return figure


def time_parts(metrics: pd.DataFrame) -> list[tuple[str, str, float]]:
    """Name, colour and seconds of each part that took any time; the parts do not overlap."""
    parts = [(name, colour, sum(_total(metrics, key) for key in keys)) for name, colour, keys in _TIME_PARTS]
    inside_collect = sum(_total(metrics, f"time/{part}_seconds") for part in ("reflect", "act", "env"))
    parts.insert(3, ("other collecting", SKY, max(0.0, _total(metrics, "time/collect_seconds") - inside_collect)))
    whole = sum(seconds for _, _, seconds in parts) or 1.0
    return [part for part in parts if part[2] / whole >= _LEAST_SHARE]


def _share(seconds: float, whole: float) -> str:
    share = 100 * seconds / whole if whole else 0.0
    return f"{share:.0f} %" if share >= 1 else "<1 %"


def _total(metrics: pd.DataFrame, key: str) -> float:
    return float(pd.to_numeric(metrics[key], errors="coerce").sum()) if key in metrics else 0.0


def base_figure(
    title: str, unit: str, bands: Sequence[Band], *, x_title: str = "update", height: int = 320, legend: bool = True
) -> go.Figure:
    """An empty figure in the app's style, with the stages as areas behind what is drawn; ``title`` may hold no foreign tags."""
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 16}},
        height=height,
        margin={"l": 56, "r": 16, "t": 56, "b": 86 if legend else 44},
        hovermode="x unified",
        showlegend=legend,
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0, "traceorder": "normal"},
        xaxis={"title": x_title, "zeroline": False},
        yaxis={"title": unit, "exponentformat": "e"},
    )
    # All at once: add_vrect goes over the whole layout again for each.
    return figure.update_layout(shapes=[_ground(band) for band in bands], annotations=[_band_name(band) for band in bands])


def _ground(band: Band) -> dict[str, Any]:
    place = {"type": "rect", "x0": band.first - 0.5, "x1": band.last + 0.5, "yref": "paper", "y0": 0, "y1": 1}
    return {**place, "fillcolor": see_through(series_colour(band.place), 0.09), "line": {"width": 0}, "layer": "below"}


def _band_name(band: Band) -> dict[str, Any]:
    place = {"x": band.first - 0.5, "xanchor": "left", "yref": "paper", "y": 1, "yanchor": "bottom"}
    return {**place, "text": escaped(band.stage), "font": {"size": 11}, "opacity": 0.75, "showarrow": False}
