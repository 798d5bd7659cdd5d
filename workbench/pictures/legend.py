"""The legend below a figure."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from workbench.dashboard.palette import series_colour
from workbench.pictures.axis import plain
from workbench.pictures.marks import draw_symbol, text

CHARACTER = 6.4
"""Pixels that a character of 12 takes, about."""


class Entry(NamedTuple):
    """A name in the legend, with its mark."""

    name: str
    colour: str
    symbol: str
    dash: str


def legend_rows(figure: go.Figure, width: float) -> list[list[Entry]]:
    """Named traces in rows that fit the width; none where the figure wants no legend or has one trace only."""
    entries: dict[str, Entry] = {}
    for number, trace in enumerate(figure.data):
        if trace.type == "heatmap" or trace.showlegend is False or not trace.name:
            continue
        colour = trace.marker.color if isinstance(trace.marker.color, str) else None
        is_line = trace.type == "scatter" and "lines" in (trace.mode or "lines")
        colour = (trace.line.color if is_line and isinstance(trace.line.color, str) else None) or colour or series_colour(number)
        symbol = "line" if is_line else "square" if trace.type == "bar" else str(trace.marker.symbol or "circle")
        dash = (trace.line.dash or "") if is_line else ""
        entries.setdefault(trace.legendgroup or trace.name, Entry(plain(trace.name), colour, symbol, dash))
    wanted = figure.layout.showlegend
    if wanted is False or (wanted is None and len(entries) < 2):
        return []
    rows: list[list[Entry]] = [[]]
    used = 0.0
    for entry in entries.values():
        wide = 42 + CHARACTER * len(entry.name)
        if rows[-1] and used + wide > width - 24:
            rows.append([])
            used = 0.0
        rows[-1].append(entry)
        used += wide
    return rows


def draw_row(entries: Sequence[Entry], y: float) -> list[str]:
    """One row of the legend, its words standing at ``y``."""
    parts: list[str] = []
    x = 14.0
    for entry in entries:
        if entry.symbol == "line":
            dashes = ' stroke-dasharray="4 3"' if entry.dash not in ("", "solid") else ""
            line = f'x1="{x:.1f}" y1="{y - 4:.1f}" x2="{x + 20:.1f}" y2="{y - 4:.1f}"'
            parts.append(f'<line {line} stroke="{escape(entry.colour)}" stroke-width="2.5"{dashes}/>')
        else:
            parts.append(draw_symbol(entry.symbol, x + 10, y - 4, 5.5, entry.colour))
        parts.append(text(x + 25, y, entry.name))
        x += 42 + CHARACTER * len(entry.name)
    return parts
