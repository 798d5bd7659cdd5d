"""Figures of token rewards: how errors fade, and how far the reward model's probabilities can be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard.escaping import escaped
from workbench.dashboard.palette import BLUE, GREY, series_colour

_LEGEND = {"orientation": "h", "y": -0.25, "x": 0, "traceorder": "normal"}
_SIDES = {"original": ("the error", None, "circle"), "rewrite": ("what mends it", "dot", "diamond")}


def fading_figure(found: pd.DataFrame) -> go.Figure:
    """Probability of wrong tokens and of those that mend them over the updates, a colour for each group.

    Args:
        found: Of :func:`workbench.evaluation.token_credit.fading`.
    """
    figure = go.Figure()
    for place, (group, own) in enumerate(found.groupby("group", sort=False)):
        for side, (words, dash, symbol) in _SIDES.items():
            rows = own[own["side"] == side]
            if rows.empty:
                continue
            figure.add_scatter(
                x=rows["update"].tolist(),
                y=rows["probability"].tolist(),
                mode="lines+markers",
                name=escaped(f"{group}: {words}"),
                line={"color": series_colour(place), "dash": dash},
                marker={"symbol": symbol, "size": 8},
                customdata=rows["tokens"].tolist(),
                hovertemplate="update %{x}: %{y:.3f} over %{customdata} tokens<extra></extra>",
            )
    figure.update_layout(height=340, margin={"l": 60, "r": 10, "t": 10, "b": 40}, legend=_LEGEND, hovermode="closest")
    figure.update_xaxes(title="update")
    figure.update_yaxes(title="probability under the policy", range=[0, 1.02])
    return figure


def token_fading_figure(rows: pd.DataFrame) -> go.Figure:
    """Probability of every wrong token of one solution over the updates.

    Args:
        rows: Its wrong tokens in the tables of probes: ``place``, ``token``, ``update``, ``policy_prob``.
    """
    figure = go.Figure()
    for number, (place, own) in enumerate(rows.groupby("place", sort=True)):
        token = str(own["token"].iloc[0]).replace("\n", "↵") or "end"
        figure.add_scatter(
            x=own["update"].tolist(),
            y=own["policy_prob"].tolist(),
            mode="lines+markers",
            name=escaped(f"{place}: {token}"),
            line={"color": series_colour(number)},
            hovertemplate="update %{x}: %{y:.3f}<extra></extra>",
        )
    figure.update_layout(height=300, margin={"l": 60, "r": 10, "t": 10, "b": 40}, legend=_LEGEND)
    figure.update_xaxes(title="update")
    figure.update_yaxes(title="probability under the policy", range=[0, 1.02])
    return figure


def calibration_figure(bins: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Share of tokens that may stay over their probability under the reward model; on the diagonal they are the same.

    Args:
        bins: Of ``evaluation.reward_quality.calibration``, as the run's file has them; what lacks a number is left out.
    """
    known = [one for one in bins if all(isinstance(one.get(name), (int, float)) for name in ("probability", "kept", "tokens"))]
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot"}, name="as likely as it says", hoverinfo="skip")
    figure.add_scatter(
        x=[one["probability"] for one in known],
        y=[one["kept"] for one in known],
        mode="lines+markers",
        name="tokens of held-out problems",
        marker={"color": BLUE, "size": 9},
        line={"color": BLUE},
        customdata=[one["tokens"] for one in known],
        hovertemplate="%{customdata} tokens: probability %{x:.2f}, %{y:.1%} of them may stay<extra></extra>",
    )
    figure.update_layout(height=300, margin={"l": 60, "r": 10, "t": 10, "b": 40}, legend=_LEGEND)
    figure.update_xaxes(title="probability under the reward model", range=[-0.02, 1.02])
    figure.update_yaxes(title="share that may stay", range=[-0.02, 1.05], tickformat=".0%")
    return figure
