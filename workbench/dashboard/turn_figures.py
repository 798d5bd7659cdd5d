"""Figures of a trajectory: its grid, the policy's choice at a turn, and the strip of the whole."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.dashboard.escaping import escaped
from workbench.dashboard.palette import BLUE, FAINT, GREEN, GREY, ORANGE, PURPLE, VERMILLION, see_through
from workbench.records import Trajectory, Turn

_CELL_PIXELS = 62
_STEPS = {"south": (0.0, 1.0), "north": (0.0, -1.0), "east": (1.0, 0.0), "west": (-1.0, 0.0)}
TAXI_SYMBOLS, _WAITING, _ABOARD, _DESTINATION = "TOEXZ", "PO", "XZ", "DEZ"
"""Which symbols of the taxi's map put what into a cell; S, a delivered passenger, is drawn for itself."""

Cells = Sequence[Sequence[str]]


class Place(NamedTuple):
    """A cell, in columns and rows from the upper left one."""

    x: int
    y: int


def places(cells: Cells, symbols: str) -> list[Place]:
    """Cells that hold one of ``symbols``; ``cells`` is what ``grid_cells`` gives."""
    return [
        Place(column, row)
        for row in range(len(cells) - 2)
        for column in range((len(cells[0]) - 1) // 2)
        if cells[1 + row][1 + 2 * column] in symbols
    ]


def grid_figure(cells: Cells, trail: Sequence[Place], command: str) -> go.Figure:
    """The taxi's map: walls, taxi, passenger, destination, the way so far and the chosen move."""
    rows, columns = len(cells) - 2, (len(cells[0]) - 1) // 2
    figure = go.Figure()
    _draw_ground(figure, cells, rows, columns)
    if len(trail) > 1:
        figure.add_scatter(
            x=[place.x for place in trail],
            y=[place.y for place in trail],
            mode="lines",
            line={"color": GREY, "width": 3, "dash": "dot"},
            name="way so far",
            hoverinfo="skip",
        )
    _draw_things(figure, cells)
    step, taxi = _STEPS.get(command), places(cells, TAXI_SYMBOLS)
    if step and taxi:
        _draw_arrow(figure, taxi[0], step)
    figure.update_layout(
        width=columns * _CELL_PIXELS + 20,
        height=rows * _CELL_PIXELS + 80,
        margin={"l": 10, "r": 10, "t": 10, "b": 70},
        plot_bgcolor="rgba(0, 0, 0, 0)",
        legend={"orientation": "h", "yanchor": "top", "y": -0.02, "x": 0, "itemclick": False, "itemdoubleclick": False},
        dragmode=False,
    )
    figure.update_xaxes(visible=False, range=[-0.56, columns - 0.44], fixedrange=True)
    figure.update_yaxes(visible=False, range=[rows - 0.44, -0.56], fixedrange=True)
    return figure


def _draw_ground(figure: go.Figure, cells: Cells, rows: int, columns: int) -> None:
    for row in range(rows):
        for column in range(columns):
            box = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
            figure.add_shape(type="rect", **box, line={"color": FAINT, "width": 1}, fillcolor=see_through(GREY, 0.06), layer="below")
            if column and cells[1 + row][2 * column] == "|":
                wall = {"x0": column - 0.5, "x1": column - 0.5, "y0": row - 0.5, "y1": row + 0.5}
                figure.add_shape(type="line", **wall, line={"color": GREY, "width": 6})
    figure.add_shape(type="rect", x0=-0.5, x1=columns - 0.5, y0=-0.5, y1=rows - 0.5, line={"color": GREY, "width": 6})


def _draw_things(figure: go.Figure, cells: Cells) -> None:
    destination = {"symbol": "square-open", "size": 48, "color": GREEN, "line": {"width": 5, "color": GREEN}}
    taxi = {"symbol": "square", "size": 36, "color": ORANGE, "line": {"width": 1, "color": "black"}}
    waiting = {"symbol": "circle", "size": 20, "color": BLUE, "line": {"width": 2, "color": "white"}}
    _draw(figure, places(cells, _DESTINATION), "destination", destination, "")
    _draw(figure, places(cells, TAXI_SYMBOLS), "taxi", taxi, "")
    _draw(figure, places(cells, _WAITING), "passenger", waiting, "P")
    _draw(figure, places(cells, _ABOARD), "passenger aboard", {**waiting, "symbol": "diamond", "size": 22}, "P")
    _draw(figure, places(cells, "S"), "passenger delivered", {**waiting, "symbol": "star", "size": 30, "color": GREEN}, "")


def _draw(figure: go.Figure, where: Sequence[Place], name: str, marker: dict[str, Any], letter: str) -> None:
    if not where:
        return
    figure.add_scatter(
        x=[place.x for place in where],
        y=[place.y for place in where],
        mode="markers+text" if letter else "markers",
        text=letter,
        textfont={"color": "white", "size": 11},
        marker=marker,
        name=name,
        hovertemplate=name + "<extra></extra>",
    )


def _draw_arrow(figure: go.Figure, taxi: Place, step: tuple[float, float]) -> None:
    figure.add_annotation(
        x=taxi.x + 0.86 * step[0],
        y=taxi.y + 0.86 * step[1],
        ax=taxi.x + 0.34 * step[0],
        ay=taxi.y + 0.34 * step[1],
        xref="x",
        yref="y",
        axref="x",
        ayref="y",
        arrowhead=2,
        arrowsize=1,
        arrowwidth=4,
        arrowcolor=VERMILLION,
        text="",
    )


def probability_figure(turn: Turn) -> go.Figure:
    """The policy's probability of every admissible command; the chosen one in another colour, advice marked by symbols."""
    chosen = [command == turn.command for command in turn.admissible_commands]
    names = [f"<b>{escaped(name)}</b>" if own else escaped(name) for name, own in zip(turn.admissible_commands, chosen, strict=True)]
    figure = go.Figure()
    for is_chosen, name, colour in ((True, "chosen", BLUE), (False, "not chosen", see_through(GREY, 0.55))):
        rows = [row for row, own in enumerate(chosen) if own == is_chosen]
        figure.add_bar(
            x=[turn.probabilities[row] for row in rows],
            y=rows,
            orientation="h",
            name=name,
            marker={"color": colour},
            text=[f"{turn.probabilities[row]:.1%}" for row in rows],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{text}<extra></extra>",
        )
    _mark(figure, turn, turn.reflection.suggested_command, "suggested", -0.035, "diamond", ORANGE)
    _mark(figure, turn, turn.oracle_command, "oracle", -0.085, "star", PURPLE)
    figure.update_layout(
        height=36 * len(names) + 50,
        margin={"l": 30, "r": 24, "t": 10, "b": 30},
        bargap=0.25,
        barmode="overlay",
        showlegend=False,
    )
    figure.update_xaxes(range=[-0.12, 1.14], tickvals=[0, 0.25, 0.5, 0.75, 1], tickformat=".0%", zeroline=False, fixedrange=True)
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, autorange="reversed", automargin=True, fixedrange=True, showgrid=False
    )
    return figure


def _mark(figure: go.Figure, turn: Turn, command: str | None, name: str, x: float, symbol: str, colour: str) -> None:
    if command not in turn.admissible_commands:
        return
    marker = {"symbol": symbol, "size": 12, "color": colour, "line": {"width": 1, "color": GREY}}
    row = turn.admissible_commands.index(command)
    figure.add_scatter(x=[x], y=[row], mode="markers", marker=marker, name=name, hovertemplate=name + "<extra></extra>")


def strip_figure(trajectory: Trajectory, index: int) -> go.Figure:
    """The whole trajectory at a glance: reward of every turn, probability of what was chosen, and where ``index`` is."""
    turns = trajectory.turns
    numbers = [turn.index for turn in turns]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.12, row_heights=[0.5, 0.5])
    words = [f"turn {turn.index}: {escaped(turn.command)}" for turn in turns]
    colours = [VERMILLION if turn.reward < -0.2 else GREEN if turn.reward > 0 else GREY for turn in turns]
    figure.add_bar(
        x=numbers,
        y=[turn.reward for turn in turns],
        marker={"color": colours},
        hovertext=words,
        hovertemplate="%{hovertext}, reward %{y:.2f}<extra></extra>",
    )
    figure.add_scatter(
        x=numbers,
        y=[turn.probabilities[turn.chosen_index] for turn in turns],
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker={"size": 6},
        hovertext=words,
        hovertemplate="%{hovertext}, probability %{y:.1%}<extra></extra>",
        row=2,
        col=1,
    )
    figure.add_vrect(x0=index - 0.5, x1=index + 0.5, fillcolor=see_through(ORANGE, 0.3), line_width=0, layer="below", row="all", col=1)
    figure.update_layout(height=210, showlegend=False, margin={"l": 70, "r": 10, "t": 10, "b": 40}, bargap=0.35)
    figure.update_xaxes(range=[-0.6, max(len(turns), 8) - 0.4], dtick=1, showgrid=False, zeroline=False)
    figure.update_xaxes(title="turn", row=2, col=1)
    figure.update_yaxes(title="reward", row=1, col=1)
    figure.update_yaxes(title="p(chosen)", range=[-0.1, 1.1], tickvals=[0, 0.5, 1], tickformat=".0%", row=2, col=1)
    return figure
