"""Figures of the comparison: a state's commands over a run's updates, and two plays' rewards as they add up."""

from collections.abc import Sequence
from itertools import accumulate

import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard.escaping import escaped
from workbench.dashboard.palette import BLUE, GREY, ORANGE, VERMILLION, see_through, series_colour
from workbench.records import Trajectory

_MOST_LINES = 7
_HOVER = "%{hovertext}<br>update %{x}: %{y:.1%}<br>%{customdata[0]} turns, chosen %{customdata[1]:.0%}<extra></extra>"


def history_figure(history: pd.DataFrame) -> go.Figure:
    """The probability of one state's commands over the updates: the oracle's thick, the likeliest others thin, evaluations as stars.

    Args:
        history: What ``workbench.store.turns.state_history`` gives, not empty.
    """
    highest = history.groupby("command")["probability"].max()
    right = set(history[history["is_oracle"]]["command"])
    order = sorted(highest.index, key=lambda command: (command not in right, -float(highest[command])))
    figure = go.Figure()
    for place, command in enumerate(order[:_MOST_LINES]):
        own = history[history["command"] == command]
        name = escaped(str(command)) + (" (oracle)" if command in right else "")
        online, judged = own[own["phase"] != "evaluate"], own[own["phase"] == "evaluate"]
        line = {"color": series_colour(place), "width": 4 if command in right else 1.5, "dash": "solid" if command in right else "dot"}
        for part, mode, marker in ((online, "lines+markers", {"size": 6}), (judged, "markers", {"size": 13, "symbol": "star"})):
            figure.add_scatter(
                x=part["update"],
                y=part["probability"],
                mode=mode,
                name=name,
                legendgroup=name,
                showlegend=part is online or online.empty,
                line=line,
                marker={**marker, "color": series_colour(place)},
                customdata=part[["turns", "chosen"]],
                hovertext=[name] * len(part),
                hovertemplate=_HOVER,
            )
    figure.update_layout(height=320, margin={"l": 60, "r": 10, "t": 10, "b": 50}, legend={"orientation": "h", "y": -0.28, "x": 0})
    figure.update_xaxes(title="update")
    figure.update_yaxes(title="mean probability", range=[-0.03, 1.05], tickformat=".0%")
    return figure


def reward_figure(left: Trajectory, right: Trajectory, names: Sequence[str]) -> go.Figure:
    """The reward that each play had collected after every turn."""
    figure = go.Figure()
    for trajectory, name, colour, dash in ((left, names[0], BLUE, "solid"), (right, names[1], ORANGE, "dash")):
        figure.add_scatter(
            x=[turn.index for turn in trajectory.turns],
            y=list(accumulate(turn.reward for turn in trajectory.turns)),
            mode="lines+markers",
            name=escaped(name),
            line={"color": colour, "dash": dash, "width": 2.5, "shape": "hv"},
            hovertext=[escaped(turn.command) for turn in trajectory.turns],
            hovertemplate="turn %{x}: %{hovertext}<br>reward so far %{y:.2f}<extra></extra>",
        )
        if trajectory.turns and not trajectory.success:
            figure.add_scatter(
                x=[trajectory.turns[-1].index],
                y=[trajectory.total_reward],
                mode="markers",
                marker={"symbol": "x", "size": 11, "color": VERMILLION},
                showlegend=False,
                hovertemplate="no success<extra></extra>",
            )
    figure.add_hline(y=0, line={"color": see_through(GREY, 0.5), "width": 1})
    figure.update_layout(height=230, margin={"l": 60, "r": 10, "t": 10, "b": 40}, legend={"orientation": "h", "y": -0.3, "x": 0})
    longest = max(len(left.turns), len(right.turns))
    figure.update_xaxes(title="turn", dtick=max(1, longest // 12))  # there is no half turn
    figure.update_yaxes(title="reward so far")
    return figure
