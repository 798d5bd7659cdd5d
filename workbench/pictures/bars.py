"""Bars and the cells of heat maps as SVG elements."""

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any

from workbench.pictures.axis import Axis, as_number, plain
from workbench.pictures.marks import INK, each, text

BarPlace = dict[str, Any]
"""``shift`` and ``width`` of a bar across its place, and ``feet``, where each begins when bars are piled."""


def bar_layout(traces: Sequence[Any], barmode: str, gap: float) -> dict[int, BarPlace]:
    """Where the bars of each trace stand beside or upon those of the others, by the traces' numbers."""
    bars = [number for number, trace in enumerate(traces) if trace.type == "bar"]
    found: dict[int, BarPlace] = {}
    pairs: dict[Any, list[int]] = {}
    for number in bars:
        pairs.setdefault((traces[number].xaxis, traces[number].yaxis), []).append(number)
    for numbers in pairs.values():
        piles: dict[Any, float] = {}
        for order, number in enumerate(numbers):
            width = (1 - gap) / (len(numbers) if barmode == "group" else 1)
            shift = (order - (len(numbers) - 1) / 2) * width if barmode == "group" else 0.0
            trace = traces[number]
            places, lengths = (trace.y, trace.x) if trace.orientation == "h" else (trace.x, trace.y)
            feet = [0.0] * len(places)
            if barmode in ("stack", "relative"):
                for row, (place, length) in enumerate(zip(places, lengths, strict=True)):
                    feet[row] = piles.get(place, 0.0)
                    piles[place] = feet[row] + as_number(length)
            elif trace.base is not None:
                feet = [as_number(value) for value in each(trace.base, len(places), 0.0)]
            found[number] = {"shift": shift, "width": width, "feet": feet}
    return found


def draw_bars(trace: Any, x: Axis, y: Axis, place: BarPlace, fallback: str) -> list[str]:
    """A trace of bars, standing or lying."""
    lying = trace.orientation == "h"
    along, across = (x, y) if lying else (y, x)
    values, places = (trace.x, trace.y) if lying else (trace.y, trace.x)
    colours = each(trace.marker.color, len(values), fallback)
    words = each(trace.text, len(values), "")
    parts = []
    for value, where, colour, foot, word in zip(values, places, colours, place["feet"], words, strict=True):
        middle = across.value(where) + place["shift"]
        start, end = along.at(foot), along.at(foot + as_number(value))
        low, high = sorted((across.at(middle - place["width"] / 2), across.at(middle + place["width"] / 2)))
        if not all(map(math.isfinite, (start, end, low, high))):
            continue
        near, far = sorted((start, end))
        left, top, width, height = (near, low, far - near, high - low) if lying else (low, near, high - low, far - near)
        box = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
        parts.append(f'<rect {box} fill="{escape(str(colour))}"/>')
        if word:
            spot = (far + 4, (low + high) / 2 + 4) if lying else ((low + high) / 2, near - 5)
            parts.append(text(*spot, plain(word), size=11, anchor="start" if lying else "middle"))
    return parts


def draw_cells(trace: Any, x: Axis, y: Axis) -> list[str]:
    """A heat map's cells, each with its words where there are any."""
    rows = [[as_number(value) for value in row] for row in trace.z]
    known = [value for row in rows for value in row if math.isfinite(value)]
    low = as_number(trace.zmin) if trace.zmin is not None else min(known, default=0.0)
    high = as_number(trace.zmax) if trace.zmax is not None else max(known, default=1.0)
    columns = range(len(rows[0])) if trace.x is None else trace.x
    lines = range(len(rows)) if trace.y is None else trace.y
    parts = []
    for row, up in enumerate(lines):
        for column, across in enumerate(columns):
            value = rows[row][column]
            if not math.isfinite(value):
                continue
            a, b = x.value(across), y.value(up)
            left, right = sorted((x.at(a - 0.5), x.at(a + 0.5)))
            top, foot = sorted((y.at(b - 0.5), y.at(b + 0.5)))
            share = (value - low) / ((high - low) or 1.0)
            box = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{foot - top:.1f}"'
            parts.append(f'<rect {box} fill="{_blended(trace.colorscale, share)}"/>')
            if trace.text is not None:
                fill = "white" if share > 0.6 else INK
                parts.append(
                    text((left + right) / 2, (top + foot) / 2 + 4, plain(trace.text[row][column]), size=11, anchor="middle", fill=fill)
                )
    return parts


def _blended(scale: Any, share: float) -> str:
    """The colour at a share of a scale of ``#rrggbb`` colours; from white to blue where there is none."""
    stops = [(float(place), str(colour)) for place, colour in (scale or ()) if str(colour).startswith("#")]
    stops = stops if len(stops) > 1 else [(0.0, "#ffffff"), (1.0, "#0072b2")]
    share = min(1.0, max(0.0, share))
    (first, one), (last, other) = next((pair for pair in pairwise(stops) if pair[0][0] <= share <= pair[1][0]), (stops[0], stops[-1]))
    part = (share - first) / ((last - first) or 1.0)
    mixed = [round((1 - part) * int(one[place : place + 2], 16) + part * int(other[place : place + 2], 16)) for place in (1, 3, 5)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)
