"""Words, lines and points of a figure as SVG elements."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from workbench.pictures.axis import Axis, as_number, plain

INK = "#2b2b2b"
DASHES = {"dot": "2 4", "dash": "7 4", "dashdot": "7 4 2 4", "longdash": "11 5"}
Spot = tuple[float, float]
"""Pixels from the left and from the top."""
_CROSS: tuple[Spot, ...] = (
    *((-1, -0.6), (-0.6, -1), (0, -0.4), (0.6, -1), (1, -0.6), (0.4, 0)),
    *((1, 0.6), (0.6, 1), (0, 0.4), (-0.6, 1), (-1, 0.6), (-0.4, 0)),
)


def text(
    x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", weight: str = "", turn: float = 0, fill: str = INK
) -> str:
    """Words at a place, escaped."""
    more = (f' font-weight="{weight}"' if weight else "") + (f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else "")
    anchored = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{escape(fill)}"{anchored}{more}>{escape(words)}</text>'


def draw_scatter(trace: Any, x: Axis, y: Axis, fallback: str) -> list[str]:
    """A trace of lines, points and words, with its error bars and the area below it."""
    values = [] if trace.y is None else list(trace.y)
    spots = [(x.pixel(across), y.pixel(up)) for across, up in zip(range(len(values)) if trace.x is None else trace.x, values, strict=True)]
    mode = trace.mode or "lines"
    colour = trace.line.color or (trace.marker.color if isinstance(trace.marker.color, str) else None) or fallback
    parts: list[str] = []
    if trace.fill in ("tozeroy", "toself"):
        parts.append(_area(spots, y.at(0.0) if trace.fill == "tozeroy" else None, trace.fillcolor or colour))
    if trace.error_y.array is not None:
        parts += _whiskers(trace, spots, y, trace.error_y.color or colour)
    if "lines" in mode:
        dash = f' stroke-dasharray="{DASHES[trace.line.dash]}"' if trace.line.dash in DASHES else ""
        width = 2 if trace.line.width is None else trace.line.width
        for run in _unbroken(spots):
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in _stepped(run, trace.line.shape))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{escape(colour)}" stroke-width="{width:g}"{dash}/>')
    if "markers" in mode:
        parts += _markers(trace.marker, spots, fallback=colour)
    if "text" in mode and trace.text is not None:
        words = [trace.text] * len(spots) if isinstance(trace.text, str) else trace.text
        font = trace.textfont
        for (a, b), one in zip(spots, words, strict=True):
            if math.isfinite(a) and math.isfinite(b):
                parts.append(text(a, b + 4, plain(one), size=int(font.size or 11), anchor="middle", fill=font.color or INK))
    return parts


def _unbroken(spots: Sequence[Spot]) -> Iterator[list[Spot]]:
    run: list[Spot] = []
    for spot in spots:
        if all(map(math.isfinite, spot)):
            run.append(spot)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _stepped(run: Sequence[Spot], shape: str | None) -> list[Spot]:
    if shape != "hv":
        return list(run)
    found = list(run[:1])
    for spot in run[1:]:
        found += [(spot[0], found[-1][1]), spot]
    return found


def _area(spots: Sequence[Spot], floor: float | None, colour: str) -> str:
    known = [spot for spot in spots if all(map(math.isfinite, spot))]
    if floor is not None and known:
        known = [(known[0][0], floor), *known, (known[-1][0], floor)]
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in known)
    return f'<polygon points="{points}" fill="{escape(colour)}" stroke="none"/>'


def _whiskers(trace: Any, spots: Sequence[Spot], y: Axis, colour: str) -> list[str]:
    above = trace.error_y.array
    below = trace.error_y.arrayminus if trace.error_y.arrayminus is not None else above
    parts = []
    for (a, _), value, more, less in zip(spots, trace.y, above, below, strict=True):
        top, foot = y.at(y.value(value) + as_number(more)), y.at(y.value(value) - as_number(less))
        if all(map(math.isfinite, (a, top, foot))):
            ends = f"M{a - 3:.1f} {top:.1f}H{a + 3:.1f}M{a:.1f} {top:.1f}V{foot:.1f}M{a - 3:.1f} {foot:.1f}H{a + 3:.1f}"
            parts.append(f'<path d="{ends}" stroke="{escape(colour)}" fill="none"/>')
    return parts


def _markers(marker: Any, spots: Sequence[Spot], *, fallback: str) -> list[str]:
    colours = each(marker.color, len(spots), fallback)
    sizes = each(marker.size, len(spots), 7)
    symbols = each(marker.symbol, len(spots), "circle")
    rim = marker.line.color if isinstance(marker.line.color, str) else None
    opacity = f' opacity="{marker.opacity:g}"' if isinstance(marker.opacity, (int, float)) and marker.opacity < 1 else ""
    parts = []
    for (a, b), colour, size, symbol in zip(spots, colours, sizes, symbols, strict=True):
        if math.isfinite(a) and math.isfinite(b):
            width = float(marker.line.width) if isinstance(marker.line.width, (int, float)) else 0.0
            parts.append(draw_symbol(str(symbol), a, b, float(size) / 2, str(colour), rim=rim, width=width, more=opacity))
    return parts


def draw_symbol(
    name: str, x: float, y: float, half: float, colour: str, *, rim: str | None = None, width: float = 0.0, more: str = ""
) -> str:
    """One mark of Plotly's symbols, ``half`` pixels from its middle to its edge; a circle for those not known."""
    hollow = name.endswith("-open")
    edge = width or 2.0 * hollow
    style = f'fill="{"none" if hollow else escape(colour)}"'
    style += (f' stroke="{escape(rim or colour)}" stroke-width="{edge:g}"' if edge else "") + more
    return _symbol(name.removesuffix("-open"), x, y, half, style)


def each(value: Any, count: int, fallback: Any) -> list[Any]:
    """``value`` for every mark: repeated where it is one, as it is where it is many."""
    if value is None:
        return [fallback] * count
    return [value] * count if isinstance(value, (str, int, float)) else list(value)


def _symbol(name: str, x: float, y: float, half: float, style: str) -> str:
    if name == "square":
        return f'<rect x="{x - half:.1f}" y="{y - half:.1f}" width="{2 * half:.1f}" height="{2 * half:.1f}" {style}/>'
    corners = {
        "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
        "triangle-up": ((0, -1.1), (1.1, 0.9), (-1.1, 0.9)),
        "triangle-right": ((1.1, 0), (-0.9, 1.1), (-0.9, -1.1)),
        "x": _CROSS,
        "star": tuple(_star()),
    }.get(name)
    if corners is None:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{half:.1f}" {style}/>'
    points = " ".join(f"{x + half * a:.1f},{y + half * b:.1f}" for a, b in corners)
    return f'<polygon points="{points}" {style}/>'


def _star() -> Iterator[Spot]:
    for corner in range(10):
        reach = 1.25 if corner % 2 == 0 else 0.52
        yield reach * math.sin(corner * math.pi / 5), -reach * math.cos(corner * math.pi / 5)
