"""Pictures as a notebook shows and keeps them, and trajectories to leaf through."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from workbench.dashboard.export_svg import bars_svg, grid_svg
from workbench.dashboard.turn_figures import TAXI_SYMBOLS, Cells, Place, places
from workbench.envs.taxi import grid_cells
from workbench.errors import EnvError
from workbench.pictures.axis import plain
from workbench.pictures.figure import figure_svg
from workbench.pictures.marks import INK, text
from workbench.records import Trajectory, Turn

_WIDTH, _LINE = 720, 16
_WORDS = 104
"""Characters in a line of a frame."""
_MOST_LINES = 24
_NOT_XML = re.compile("[^\\t\\n\\r -\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What XML allows nowhere, escaped or not; an untrained player writes such characters, and no browser would draw the picture."""


@dataclass(frozen=True)
class Picture:
    """An SVG picture that JupyterLab, GitHub and a static page show alike.

    Attributes:
        svg: One SVG element; characters that XML does not know stand as U+FFFD.
        label: What it shows, for who cannot see it.
    """

    svg: str
    label: str

    def __post_init__(self) -> None:
        """Make it an element that parses, whatever a player wrote."""
        object.__setattr__(self, "svg", _NOT_XML.sub("\ufffd", self.svg))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": self.label}


def show(figure: go.Figure, label: str = "") -> Picture:
    """A figure as a picture; in JupyterLab the figure itself, without this, can be zoomed and asked.

    Args:
        figure: Of lines, points, bars and heat maps.
        label: What it shows; the figure's title when empty.

    Raises:
        ConfigError: The figure holds something else.
    """
    label = label or plain(figure.layout.title.text) or "figure"
    return Picture(figure_svg(figure, label=label), label)


def flip_book(frames: Sequence[str], label: str, *, seconds: float = 1.5) -> Picture:
    """SVG elements of one size, shown one after the other without end; who shows no animation sees the first.

    Args:
        frames: At least one SVG element.
        label: What they show.
        seconds: How long each is seen.
    """
    count, (width, height) = len(frames), _size(frames[0])
    parts = []
    for place, frame in enumerate(frames):
        seen = ["1" if place == other else "0" for other in range(count)]
        times = ";".join(f"{other / count:.4g}" for other in range(count))
        turning = (
            f'<animate attributeName="opacity" values="{";".join(seen)}" keyTimes="{times}" calcMode="discrete" '
            f'dur="{seconds * count:g}s" repeatCount="indefinite"/>'
        )
        parts.append(f'<g opacity="{int(place == 0)}">{frame}{turning if count > 1 else ""}</g>')
    return Picture(_svg(width, height, "".join(parts), label), label)


def trajectory_book(trajectory: Trajectory, *, seconds: float = 2.0) -> Picture:
    """A trajectory turn by turn: the world, the reflection, the probability of every command.

    Args:
        trajectory: With at least one turn.
        seconds: How long each turn is seen.
    """
    drawn = [_turn(trajectory, index) for index in range(len(trajectory.turns))]
    height = max(height for _, height in drawn)
    frames = [_svg(_WIDTH, height, body, f"turn {index}") for index, (body, _) in enumerate(drawn)]
    end = "solved" if trajectory.success else "not solved"
    label = f"{trajectory.task}, stage {trajectory.stage}: {len(trajectory.turns)} turns, {end}"
    return flip_book(frames, label, seconds=seconds)


def _turn(trajectory: Trajectory, index: int) -> tuple[str, int]:
    """What a frame of the book shows, and its height."""
    turn = trajectory.turns[index]
    end = " · solved" if trajectory.success and index == len(trajectory.turns) - 1 else ""
    parts = [text(12, 20, f"turn {index}: {turn.command}   (reward {turn.reward:+.2f}){end}", size=14, weight="bold")]
    y = 42
    for line in textwrap.wrap(turn.reflection.text, _WORDS)[:4]:
        parts.append(text(12, y, line, size=13))
        y += _LINE
    cells = _map(turn)
    if cells is not None:
        parts += [_placed(grid_svg(cells, _trail(trajectory.turns[: index + 1])), 12, y), _placed(bars_svg(turn), 150, y + 20)]
        return "".join(parts), y + max(186, 20 * len(turn.admissible_commands) + 36)
    lines = [part for line in turn.observation.split("\n") for part in textwrap.wrap(line, _WORDS, drop_whitespace=False) or [""]]
    for line in lines[:_MOST_LINES]:
        parts.append(f'<text x="12" y="{y}" font-size="12" font-family="monospace" fill="{INK}" xml:space="preserve">{escape(line)}</text>')
        y += _LINE
    parts.append(_placed(bars_svg(turn), 12, y))
    return "".join(parts), y + 20 * len(turn.admissible_commands) + 16


def _map(turn: Turn) -> Cells | None:
    """The taxi's map, where the turn was played in that world."""
    try:
        return grid_cells(turn.observation)
    except EnvError:
        return None


def _trail(turns: Sequence[Turn]) -> list[Place]:
    """Where the taxi was at each turn."""
    return [place for cells in map(_map, turns) if cells is not None for place in places(cells, TAXI_SYMBOLS)[:1]]


def _placed(svg: str, x: float, y: float) -> str:
    return svg.replace("<svg ", f'<svg x="{x:g}" y="{y:g}" ', 1)


def _svg(width: float, height: float, body: str, label: str) -> str:
    ground = f'<rect width="{width:g}" height="{height:g}" fill="white"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(label)}" font-family="sans-serif" color="{INK}">{ground}{body}</svg>'
    )


def _size(svg: str) -> tuple[float, float]:
    _, _, width, height = svg.partition('viewBox="')[2].partition('"')[0].split()
    return float(width), float(height)
