"""The figure of the What if page: how a distribution over commands changes."""

from collections.abc import Sequence

import plotly.graph_objects as go

from workbench.dashboard.escaping import escaped
from workbench.dashboard.palette import BLUE, GREY, ORANGE, PURPLE, see_through


def change_figure(
    commands: Sequence[str],
    labels: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    *,
    recorded: Sequence[float] | None = None,
    suggested: str | None = None,
    oracle: str | None = None,
) -> go.Figure:
    """Two bars for every command: as it is, and with the changes; what the record says as a line, advice as symbols.

    Args:
        commands: Top to bottom.
        labels: Their labels as asked.
        before: Probability of each command, unedited.
        after: The same with the changes.
        recorded: What the run itself wrote at this step.
        suggested: Marked where it is a command.
        oracle: Marked where it is a command.
    """
    rows = list(range(len(commands)))
    names = [f"{escaped(command)}  ({escaped(label.strip())})" for command, label in zip(commands, labels, strict=True)]
    figure = go.Figure()
    for name, values, colour in (("with your changes", after, BLUE), ("unchanged", before, see_through(GREY, 0.55))):
        figure.add_bar(
            x=list(values),
            y=rows,
            orientation="h",
            name=name,
            marker={"color": colour},
            text=[f"{value:.1%}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"{name} %{{text}}<extra></extra>",
        )
    if recorded is not None and len(recorded) == len(commands):
        marker = {"symbol": "line-ns", "size": 26, "line": {"width": 3, "color": ORANGE}}
        figure.add_scatter(
            x=list(recorded), y=rows, mode="markers", marker=marker, name="as recorded", hovertemplate="recorded %{x:.1%}<extra></extra>"
        )
    for command, name, x, symbol, colour in (
        (suggested, "suggested", -0.035, "diamond", ORANGE),
        (oracle, "oracle", -0.085, "star", PURPLE),
    ):
        if command in commands:
            marker = {"symbol": symbol, "size": 12, "color": colour, "line": {"width": 1, "color": GREY}}
            place = [list(commands).index(str(command))]
            figure.add_scatter(x=[x], y=place, mode="markers", marker=marker, name=name, hovertemplate=name + "<extra></extra>")
    figure.update_layout(
        height=52 * len(names) + 90,
        margin={"l": 30, "r": 24, "t": 40, "b": 30},
        bargap=0.3,
        barmode="group",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "traceorder": "reversed"},
    )
    figure.update_xaxes(range=[-0.12, 1.14], tickvals=[0, 0.25, 0.5, 0.75, 1], tickformat=".0%", zeroline=False, fixedrange=True)
    figure.update_yaxes(tickvals=rows, ticktext=names, autorange="reversed", automargin=True, fixedrange=True, showgrid=False)
    return figure
