"""A Plotly figure as SVG text, without a browser: lines, points, bars, heat maps, shapes and words are what is drawn.

What the app's figures and the notebooks use is covered; anything else (three dimensions, maps, buttons) is refused by name. Pixels are
rounded, and nothing depends on fonts, so that equal figures give equal text on every machine.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

import plotly.graph_objects as go

from workbench.dashboard.palette import FAINT, GREY, series_colour
from workbench.errors import ConfigError
from workbench.pictures.axis import ROOM, Axis, as_number, categories_of, finite, plain
from workbench.pictures.bars import bar_layout, draw_bars, draw_cells
from workbench.pictures.legend import CHARACTER, draw_row, legend_rows
from workbench.pictures.marks import draw_scatter, text
from workbench.pictures.shapes import Box, Places, draw_annotation, draw_shape

WIDTH, HEIGHT = 720, 320
KNOWN = ("scatter", "bar", "heatmap")


class Panel(NamedTuple):
    """A pair of axes and its ground."""

    x: Axis
    y: Axis


def figure_svg(figure: go.Figure, *, label: str = "") -> str:
    """The figure as one SVG element on a white ground.

    Args:
        figure: Of traces ``scatter``, ``bar`` and ``heatmap``.
        label: What the picture shows, for who cannot see it; the figure's title when empty.

    Raises:
        ConfigError: The figure holds a trace of another kind.
    """
    for trace in figure.data:
        if trace.type not in KNOWN:
            raise ConfigError(f"a figure with {trace.type!r} cannot be drawn as SVG here; known: {', '.join(KNOWN)}")
    layout = figure.layout
    width, height = float(layout.width or WIDTH), float(layout.height or HEIGHT)
    legend = legend_rows(figure, width)
    box = _box(figure, width, height, len(legend))
    panels = _panels(figure, box)
    places = Places(box, {name: panel.x for (name, _), panel in panels.items()}, {name: panel.y for (_, name), panel in panels.items()})
    body = [f'<rect width="{width:g}" height="{height:g}" fill="white"/>']
    shapes = list(layout.shapes)
    body += [draw_shape(shape, places) for shape in shapes if shape.layer == "below"]
    for panel in _different(panels):
        body += _ground(panel)
    offsets = bar_layout(figure.data, layout.barmode or "group", float(layout.bargap) if layout.bargap is not None else 0.2)
    for number, trace in enumerate(figure.data):
        if trace.visible in (None, True):
            x, y = panels[_pair(trace)]
            if trace.type == "scatter":
                body += draw_scatter(trace, x, y, series_colour(number))
            elif trace.type == "bar":
                body += draw_bars(trace, x, y, offsets[number], series_colour(number))
            else:
                body += draw_cells(trace, x, y)
    body += [draw_shape(shape, places) for shape in shapes if shape.layer != "below"]
    body += [part for annotation in layout.annotations for part in draw_annotation(annotation, places)]
    title = plain(layout.title.text)
    if title:
        body.append(text(12, 22, title, size=15, weight="bold"))
    for row, entries in enumerate(legend):
        body += draw_row(entries, height - 18.0 * (len(legend) - row) + 6)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(label or title or "figure")}" font-family="sans-serif">{"".join(body)}</svg>'
    )


def _pair(trace: Any) -> tuple[str, str]:
    return (trace.xaxis or "x", trace.yaxis or "y")


def _different(panels: dict[tuple[str, str], Panel]) -> list[Panel]:
    return list(dict.fromkeys(panels.values()))


def _box(figure: go.Figure, width: float, height: float, rows: int) -> Box:
    layout = figure.layout
    longest = max((len(name) for name in _tick_names(figure)), default=5)
    has_y = any(axis.visible is not False for axis in figure.select_yaxes())
    left = 16 + has_y * (CHARACTER * min(longest, 40) + 8 + 18 * any(axis.title.text for axis in figure.select_yaxes()))
    has_x = any(axis.visible is not False for axis in figure.select_xaxes())
    bottom = 8 + has_x * (22 + 18 * any(axis.title.text for axis in figure.select_xaxes())) + 18 * rows + 8 * bool(rows)
    above = any(annotation.yref == "paper" and (annotation.y or 0) >= 1 for annotation in layout.annotations)
    top = 12 + 24 * bool(layout.title.text) + 16 * above
    return Box(left, width - 22, top, height - bottom)


def _tick_names(figure: go.Figure) -> list[str]:
    """The texts beside the vertical axes, as far as they can be long."""
    names = [plain(name) for axis in figure.select_yaxes() for name in (axis.ticktext if axis.ticktext is not None else ())]
    for trace in figure.data:
        names += [plain(value) for value in (trace.y if trace.y is not None else ()) if isinstance(value, str)]
    return names


def _panels(figure: go.Figure, box: Box) -> dict[tuple[str, str], Panel]:
    pairs = dict.fromkeys(_pair(trace) for trace in figure.data)
    pairs.setdefault(("x", "y"))
    panels = {}
    for x_name, y_name in pairs:
        x_layout = figure.layout[f"xaxis{x_name[1:]}"]
        y_layout = figure.layout[f"yaxis{y_name[1:]}"]
        across = tuple(x_layout.domain or (0.0, 1.0))
        up = tuple(y_layout.domain or (0.0, 1.0))
        x_traces = [trace for trace in figure.data if (trace.xaxis or "x") == x_name or x_layout.matches == trace.xaxis]
        y_traces = [trace for trace in figure.data if (trace.yaxis or "y") == y_name]
        x_axis = _axis(x_layout, "x", x_traces, figure.layout.barmode, box.across(across[0]), box.across(across[1]))
        y_axis = _axis(y_layout, "y", y_traces, figure.layout.barmode, box.up(up[0]), box.up(up[1]))
        panels[x_name, y_name] = Panel(x_axis, y_axis)
    return panels


def _axis(layout: Any, which: str, traces: Sequence[Any], barmode: str | None, start: float, end: float) -> Axis:
    raw = [value for trace in traces for value in _values(trace, which)]
    categories = categories_of(raw)
    logarithmic = layout.type == "log"
    shared: dict[str, Any] = {
        "categories": categories,
        "logarithmic": logarithmic,
        "tick_places": None if layout.tickvals is None else tuple(map(as_number, layout.tickvals)),
        "tick_texts": None if layout.ticktext is None else tuple(plain(one) for one in layout.ticktext),
        "number_format": layout.tickformat or "",
        "title": plain(layout.title.text),
        "visible": layout.visible is not False,
    }
    probe = Axis(0, 1, 0, 1, **shared)
    if layout.range is not None and None not in layout.range:
        low, high = (as_number(value) for value in layout.range)
    else:
        low, high = _range(probe, raw, traces, which, barmode)
    if layout.autorange == "reversed":
        low, high = high, low
    return Axis(low, high, start, end, **shared)


def _values(trace: Any, which: str) -> list[Any]:
    values = trace.x if which == "x" else trace.y
    if values is not None:
        return list(values)
    # Where no places are given, marks stand at 0, 1, 2, …
    if trace.type == "heatmap":
        return list(range(len(trace.z[0]) if which == "x" else len(trace.z)))
    return list(range(len(trace.y))) if which == "x" and trace.y is not None else []


def _range(probe: Axis, raw: Iterable[Any], traces: Sequence[Any], which: str, barmode: str | None) -> tuple[float, float]:
    if probe.categories:
        return -0.5, len(probe.categories) - 0.5
    values = finite([probe.value(value) for value in raw] + _reach(traces, which, barmode))
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    cells = any(trace.type == "heatmap" or (trace.type == "bar" and (trace.orientation == "h") == (which == "y")) for trace in traces)
    if cells:
        return low - 0.5, high + 0.5
    room = ROOM * (high - low) or 0.5
    return (low if low == 0 and which == "y" else low - room), high + room


def _reach(traces: Sequence[Any], which: str, barmode: str | None) -> list[float]:
    """How far error bars, the feet of bars and piled bars reach beyond the values."""
    found: list[float] = []
    piles: dict[Any, float] = {}
    for trace in traces:
        if trace.type == "scatter" and which == "y" and trace.error_y.array is not None:
            below = trace.error_y.arrayminus if trace.error_y.arrayminus is not None else trace.error_y.array
            found += [as_number(y) + as_number(more) for y, more in zip(trace.y, trace.error_y.array, strict=False)]
            found += [as_number(y) - as_number(less) for y, less in zip(trace.y, below, strict=False)]
        if trace.type == "bar" and (trace.orientation == "h") == (which == "x"):
            found.append(0.0)
            places, lengths = (trace.y, trace.x) if which == "x" else (trace.x, trace.y)
            for place, length in zip(places, lengths, strict=True):
                piles[place] = piles.get(place, 0.0) + as_number(length)
    return found + (list(piles.values()) if barmode in ("stack", "relative") else [])


def _size_beside(ticks: Sequence[tuple[float, str]]) -> int:
    """Size at which names below a horizontal axis do not run into one another, 12 where there is room."""
    for size in range(12, 8, -1):
        wide = CHARACTER * size / 12 / 2
        if all(wide * (len(words) + len(more)) <= abs(other - place) for (place, words), (other, more) in pairwise(ticks)):
            return size
    return 8


def _ground(panel: Panel) -> list[str]:
    x, y = panel
    parts: list[str] = []
    ticks = x.ticks() if x.visible else []
    size = _size_beside(ticks)
    for place, words in ticks:
        parts.append(f'<line x1="{place:.1f}" y1="{y.end:.1f}" x2="{place:.1f}" y2="{y.start:.1f}" stroke="{FAINT}"/>')
        parts.append(text(place, max(y.start, y.end) + 15, words, size=size, anchor="middle"))
    for place, words in y.ticks() if y.visible else []:
        parts.append(f'<line x1="{x.start:.1f}" y1="{place:.1f}" x2="{x.end:.1f}" y2="{place:.1f}" stroke="{FAINT}"/>')
        parts.append(text(x.start - 6, place + 4, words, anchor="end"))
    if x.visible and x.title:
        parts.append(text((x.start + x.end) / 2, max(y.start, y.end) + 33, x.title, anchor="middle"))
    if y.visible and y.title:
        parts.append(text(13, (y.start + y.end) / 2, y.title, anchor="middle", turn=-90))
    if y.visible and not y.categories and min(y.low, y.high) < 0 < max(y.low, y.high) and not y.logarithmic:
        parts.append(f'<line x1="{x.start:.1f}" y1="{y.at(0):.1f}" x2="{x.end:.1f}" y2="{y.at(0):.1f}" stroke="{GREY}"/>')
    return parts
