"""Shapes and notes of a figure as SVG elements."""

import math
from html import escape
from typing import Any, NamedTuple

from workbench.dashboard.palette import GREY
from workbench.pictures.axis import Axis, as_number, plain
from workbench.pictures.marks import DASHES, INK, Spot, text

_ANCHORS = {"left": "start", "center": "middle", "right": "end"}


class Box(NamedTuple):
    """Where the axes may be, pixels."""

    left: float
    right: float
    top: float
    bottom: float

    def across(self, share: float) -> float:
        """Pixel of a share of the width, 0 at the left."""
        return self.left + share * (self.right - self.left)

    def up(self, share: float) -> float:
        """Pixel of a share of the height, 0 at the bottom."""
        return self.bottom - share * (self.bottom - self.top)


class Places(NamedTuple):
    """Turns what a shape or a note refers to into pixels."""

    box: Box
    x_axes: dict[str, Axis]
    y_axes: dict[str, Axis]

    def x(self, reference: str | None, raw: Any) -> float:
        """Pixel of ``raw`` on an axis such as ``x2``, on its ``x2 domain``, or on the ``paper``."""
        name = reference or "x"
        if name == "paper":
            return self.box.across(as_number(raw))
        axis = self.x_axes[name.removesuffix(" domain")]
        return axis.start + as_number(raw) * (axis.end - axis.start) if name.endswith(" domain") else axis.pixel(raw)

    def y(self, reference: str | None, raw: Any) -> float:
        """The same upwards."""
        name = reference or "y"
        if name == "paper":
            return self.box.up(as_number(raw))
        axis = self.y_axes[name.removesuffix(" domain")]
        return axis.start + as_number(raw) * (axis.end - axis.start) if name.endswith(" domain") else axis.pixel(raw)


def draw_shape(shape: Any, place: Places) -> str:
    """A line or rectangle."""
    left, right = place.x(shape.xref, shape.x0), place.x(shape.xref, shape.x1)
    one, other = place.y(shape.yref, shape.y0), place.y(shape.yref, shape.y1)
    width = shape.line.width if shape.line.width is not None else 1
    dash = f' stroke-dasharray="{DASHES[shape.line.dash]}"' if shape.line.dash in DASHES else ""
    edge = f'stroke="{escape(shape.line.color or GREY)}" stroke-width="{width:g}"{dash}'
    opacity = f' opacity="{shape.opacity:g}"' if shape.opacity is not None else ""
    if shape.type == "line":
        return f'<line x1="{left:.1f}" y1="{one:.1f}" x2="{right:.1f}" y2="{other:.1f}" {edge}{opacity}/>'
    box = f'x="{min(left, right):.1f}" y="{min(one, other):.1f}" width="{abs(right - left):.1f}" height="{abs(other - one):.1f}"'
    return f'<rect {box} fill="{escape(shape.fillcolor or "none")}" {edge if width else ""}{opacity}/>'


def draw_annotation(note: Any, place: Places) -> list[str]:
    """Words at a place, or an arrow to it."""
    a, b = place.x(note.xref, note.x), place.y(note.yref, note.y)
    parts = []
    if note.showarrow is not False and note.axref not in (None, "pixel"):
        start = place.x(note.axref, note.ax), place.y(note.ayref, note.ay)
        parts.append(_arrow(start, (a, b), note.arrowcolor or INK, float(note.arrowwidth or 2)))
    elif note.showarrow is not False and (note.ax or note.ay):
        start = a + as_number(note.ax or 0), b + as_number(note.ay or 0)
        parts.append(_arrow(start, (a, b), note.arrowcolor or INK, float(note.arrowwidth or 1)))
        a, b = start
    if note.text:
        lift = {"bottom": -4, "middle": 4, "top": 13}.get(note.yanchor or "middle", 4)
        parts.append(
            text(a, b + lift, plain(note.text), size=int(note.font.size or 12), anchor=_ANCHORS.get(note.xanchor or "center", "middle"))
        )
    return parts


def _arrow(start: Spot, end: Spot, colour: str, width: float) -> str:
    length = math.dist(start, end) or 1.0
    a, b = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    size = 2.6 * width
    neck = end[0] - size * a, end[1] - size * b
    wings = [(neck[0] + side * 0.6 * size * -b, neck[1] + side * 0.6 * size * a) for side in (1, -1)]
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in (end, *wings))
    shaft = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{neck[0]:.1f}" y2="{neck[1]:.1f}"'
    return f'<line {shaft} stroke="{escape(colour)}" stroke-width="{width:g}"/><polygon points="{head}" fill="{escape(colour)}"/>'
