"""A study's figures: learning curves with their bands, and performance profiles."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard.palette import SERIES, see_through, series_colour
from workbench.pictures.figure import figure_svg
from workbench.recipes.reproduce_report import curve_picture
from workbench.recipes.reproduce_results import WorldResults
from workbench.recipes.reproduce_study import Study
from workbench.store.files import write_whole

_DASHES = ("solid", "dash", "dot", "dashdot")


def draw_study(study: Study, results: Sequence[WorldResults], tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """``curves-<world>.svg`` and ``profile.svg`` in ``folder``, as far as there is something to draw."""
    for found in results:
        own = tables["curves"][tables["curves"]["world"] == found.world.name]
        if len(own):
            figure = band_figure(study, own, x="update", y="mean", x_title="updates", y_title="success on validation tasks")
            title = f"Success by update, a line per arm with its 95 % band over seeds: {found.world.title}"
            write_whole(folder / curve_picture(found.world.name), figure_svg(figure, label=title).encode())
    if len(tables["profile"]):
        figure = band_figure(study, tables["profile"], x="threshold", y="share", x_title="score", y_title="share of runs above it")
        label = "Share of runs whose score exceeds each threshold, a line per arm with its 95 % band"
        write_whole(folder / "profile.svg", figure_svg(figure, label=label).encode())


def band_figure(study: Study, table: pd.DataFrame, *, x: str, y: str, x_title: str, y_title: str) -> go.Figure:
    """A line per arm over its band: columns ``arm``, ``x``, ``y``, ``low``, ``high``."""
    figure = go.Figure()
    names = list(dict.fromkeys(table["arm"]))
    for place, name in enumerate(names):
        own = table[table["arm"] == name].sort_values(x)
        colour, known = series_colour(place), own.dropna(subset=["low", "high"])
        if len(known) > 1:
            figure.add_scatter(
                x=[*known[x], *known[x][::-1]],
                y=[*known["high"].clip(upper=1), *known["low"].clip(lower=0)[::-1]],
                mode="lines",
                line={"width": 0},
                fill="toself",
                fillcolor=see_through(colour, 0.12),
                showlegend=False,
            )
        dash = _DASHES[place // len(SERIES) % len(_DASHES)]
        figure.add_scatter(
            x=own[x], y=own[y], mode="lines", name=study.arm(str(name)).title, line={"color": colour, "width": 2, "dash": dash}
        )
    figure.update_layout(width=760, height=420)
    figure.update_xaxes(title_text=x_title)
    figure.update_yaxes(title_text=y_title, range=[-0.02, 1.02])
    return figure
