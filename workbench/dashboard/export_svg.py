"""Drawings of a turn as plain SVG, for files that work without scripts. All text in them is escaped."""

from collections.abc import Sequence
from html import escape

from workbench.dashboard.palette import BLUE, FAINT, GREEN, GREY, ORANGE, PURPLE, VERMILLION, see_through
from workbench.dashboard.turn_figures import TAXI_SYMBOLS, Cells, Place, places
from workbench.records import Trajectory, Turn

_CELL = 34
_ROW, _NAME_WIDTH, _BAR_WIDTH = 20, 190, 240
_LONGEST_NAME = 30


def _svg(width: float, height: float, body: Sequence[str], label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-label="{escape(label)}" style="max-width: 100%">{"".join(body)}</svg>'
    )


def grid_svg(cells: Cells, trail: Sequence[Place]) -> str:
    """The taxi's map: walls, the way so far, taxi, passenger and destination."""
    rows, columns = len(cells) - 2, (len(cells[0]) - 1) // 2
    body: list[str] = []
    for row in range(rows):
        for column in range(columns):
            x, y = column * _CELL + 2, row * _CELL + 2
            body.append(f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="none" stroke="{FAINT}"/>')
            if column and cells[1 + row][2 * column] == "|":
                body.append(f'<line x1="{x}" y1="{y}" x2="{x}" y2="{y + _CELL}" stroke="{GREY}" stroke-width="4"/>')
    outside = f'width="{columns * _CELL}" height="{rows * _CELL}" fill="none" stroke="{GREY}" stroke-width="3"'
    body.append(f'<rect x="2" y="2" {outside}/>')
    if len(trail) > 1:
        points = " ".join(f"{place.x * _CELL + 2 + _CELL / 2:g},{place.y * _CELL + 2 + _CELL / 2:g}" for place in trail)
        body.append(f'<polyline points="{points}" fill="none" stroke="{GREY}" stroke-width="2" stroke-dasharray="3 3"/>')
    for symbols, colour, letter in (
        ("DEZ", GREEN, "D"),
        (TAXI_SYMBOLS, ORANGE, "T"),
        ("PO", BLUE, "P"),
        ("XZ", BLUE, "P"),
        ("S", GREEN, "S"),
    ):
        for place in places(cells, symbols):
            body += _thing(place, colour, letter)
    return _svg(columns * _CELL + 4, rows * _CELL + 4, body, "map")


def _thing(place: Place, colour: str, letter: str) -> list[str]:
    x, y = place.x * _CELL + 2 + _CELL / 2, place.y * _CELL + 2 + _CELL / 2
    text = f'<text x="{x:g}" y="{y + 4:g}" text-anchor="middle" font-size="12" font-weight="bold" fill="white">{letter}</text>'
    if letter == "D":
        size = _CELL - 8
        corner = f'x="{x - size / 2:g}" y="{y - size / 2:g}"'
        return [f'<rect {corner} width="{size}" height="{size}" fill="none" stroke="{colour}" stroke-width="3"/>']
    if letter == "T":
        return [f'<rect x="{x - 10:g}" y="{y - 10:g}" width="20" height="20" fill="{colour}"/>', text]
    return [f'<circle cx="{x:g}" cy="{y:g}" r="8" fill="{colour}" stroke="white"/>', text]


def bars_svg(turn: Turn) -> str:
    """The probability of every admissible command; the chosen one blue, the suggested and the oracle's marked."""
    body: list[str] = []
    for row, (command, probability) in enumerate(zip(turn.admissible_commands, turn.probabilities, strict=True)):
        y, chosen = row * _ROW, command == turn.command
        name = command if len(command) <= _LONGEST_NAME else command[: _LONGEST_NAME - 1] + "…"
        weight = ' font-weight="bold"' if chosen else ""
        marks = ("◆" if command == turn.reflection.suggested_command else "") + ("★" if command == turn.oracle_command else "")
        width = max(1.0, _BAR_WIDTH * min(1.0, max(0.0, probability)))
        body.append(
            f'<text x="{_NAME_WIDTH - 26}" y="{y + 14}" text-anchor="end" font-size="12" fill="currentColor"{weight}>{escape(name)}</text>'
        )
        body.append(f'<text x="{_NAME_WIDTH - 22}" y="{y + 14}" font-size="11" fill="{PURPLE}">{marks}</text>')
        colour = BLUE if chosen else see_through(GREY, 0.55)
        body.append(f'<rect x="{_NAME_WIDTH}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 6}" fill="{colour}"/>')
        body.append(f'<text x="{_NAME_WIDTH + width + 4:.1f}" y="{y + 14}" font-size="11" fill="currentColor">{probability:.1%}</text>')
    return _svg(_NAME_WIDTH + _BAR_WIDTH + 52, len(turn.admissible_commands) * _ROW + 4, body, "probability of every command")


def strip_svg(trajectory: Trajectory) -> str:
    """The reward of every turn as bars."""
    turns = trajectory.turns
    most = max((abs(turn.reward) for turn in turns), default=0.0) or 1.0
    step = min(28.0, 900 / max(1, len(turns)))
    body = [f'<line x1="0" y1="40" x2="{step * len(turns):g}" y2="40" stroke="{GREY}"/>']
    for place, turn in enumerate(turns):
        height = 36 * abs(turn.reward) / most
        y = 40 - height if turn.reward > 0 else 40
        colour = GREEN if turn.reward > 0 else VERMILLION if turn.reward < -0.2 else GREY
        title = f"<title>turn {turn.index}: {escape(turn.command)}, reward {turn.reward:.2f}</title>"
        body.append(
            f'<rect x="{place * step + 2:g}" y="{y:g}" width="{max(1.0, step - 4):g}" height="{height:g}" fill="{colour}">{title}</rect>'
        )
    return _svg(max(60.0, step * len(turns)), 80, body, "reward of every turn")


def curve_svg(points: Sequence[tuple[float, float]], *, low: float, high: float, colour: str = BLUE) -> str:
    """A line through ``points`` (x ascending) on a ground of 420 by 120, y from ``low`` to ``high``, with the ends of both axes named."""
    first, last = (points[0][0], points[-1][0]) if points else (0.0, 1.0)
    span, height = (last - first) or 1.0, (high - low) or 1.0
    placed = " ".join(f"{50 + 350 * (x - first) / span:.1f},{110 - 100 * (y - low) / height:.1f}" for x, y in points)
    body = [
        f'<line x1="50" y1="110" x2="400" y2="110" stroke="{GREY}"/><line x1="50" y1="10" x2="50" y2="110" stroke="{GREY}"/>',
        f'<polyline points="{placed}" fill="none" stroke="{colour}" stroke-width="2"/>',
    ]
    for x, y, anchor, text in ((46, 14, "end", high), (46, 112, "end", low), (50, 125, "start", first), (400, 125, "end", last)):
        body.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11" fill="currentColor">{text:g}</text>')
    return _svg(420, 130, body, "curve")
