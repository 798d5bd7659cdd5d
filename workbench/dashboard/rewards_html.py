"""Solutions token by token as HTML in which everything foreign is escaped: one box a token, coloured by what it was worth."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from workbench.dashboard.palette import BLUE, GREEN, ORANGE, PURPLE, VERMILLION, see_through
from workbench.evaluation.token_credit import Aligned

Side = Literal["original", "rewrite"]
MOST_TOKENS = 1_500
"""Columns of an alignment that are drawn."""
END, NOTHING = "■", "∅"
"""What stands for the end-of-text, and for a token that adds no character of its own."""


@dataclass(frozen=True)
class Measure:
    """What boxes are coloured by.

    Attributes:
        column: Of the table of tokens.
        words: What it is.
        above: Colour of numbers above 0.
        below: Colour of numbers below 0.
        rare: The smaller, the stronger the colour: for probabilities.
    """

    column: str
    words: str
    above: str
    below: str = VERMILLION
    rare: bool = False


MEASURES = {
    "reward": Measure("reward", "blue earns, orange loses", BLUE),
    "reward model": Measure("reward_model_prob", "the stronger, the less likely the reward model would keep the token", ORANGE, rare=True),
    "policy": Measure("policy_prob", "the stronger, the less likely the policy finds the token", ORANGE, rare=True),
    "imitation weight": Measure("imitation_weight", "the stronger, the more the token counts in imitation", GREEN),
    "loss": Measure("contribution", "purple adds to the loss, orange takes from it", PURPLE),
}
"""By what people choose."""
_LABELS = (
    ("reward", "reward", "+.3f"),
    ("reward_model_prob", "under the reward model", ".3f"),
    ("policy_prob", "under the policy", ".3f"),
    ("old_policy_prob", "under the policy that wrote it", ".3f"),
    ("imitation_weight", "imitation weight", ".2f"),
    ("rl_contribution", "adds by RL", "+.2e"),
    ("imitation_contribution", "adds by imitation", "+.2e"),
)
_BOX = (
    "display: inline-block; min-width: 2.7em; padding: 2px 3px; margin: 1px; border-radius: 3px; text-align: center; vertical-align: top;"
)
_TEXT = "font-family: 'Source Code Pro', monospace; font-size: 0.95rem; white-space: pre-wrap; overflow-wrap: anywhere;"
_NUMBER = "font-size: 0.62rem; opacity: 0.75; display: block;"


def side_html(tokens: pd.DataFrame, columns: Sequence[Aligned], side: Side, measure: Measure) -> str:
    """One side of an alignment: its tokens in lines, gaps where only the other side has one.

    Args:
        tokens: Of this side, in order of ``place``.
        columns: The alignment.
        side: Which side it is.
        measure: What boxes are coloured by; its number stands below each token.
    """
    rows = [{str(name): value for name, value in row.items()} for row in tokens.to_dict("records")]
    strongest = max((abs(value) for value in tokens[measure.column].astype(float) if math.isfinite(value)), default=1.0) or 1.0
    lines: list[list[str]] = [[]]
    for column in columns[:MOST_TOKENS]:
        place = column.original if side == "original" else column.rewrite
        lines[-1].append(_gap() if place is None else _box(rows[place], column, side, measure, strongest, is_last=place == len(rows) - 1))
        if place is not None and str(rows[place]["token"]).endswith("\n"):
            lines.append([])
    body = "".join(f'<div style="margin-bottom: 3px;">{"".join(line)}</div>' for line in lines if line)
    return f'<div role="figure" aria-label="{side}, token by token">{body}</div>'


def shade(value: float, measure: Measure, strongest: float) -> str:
    """The ground of a box; empty where there is nothing to say."""
    if not math.isfinite(value):
        return ""
    share = 1 - min(1.0, max(0.0, value)) if measure.rare else min(1.0, abs(value) / strongest)
    if share < 0.005:
        return ""
    return see_through(measure.above if measure.rare or value > 0 else measure.below, round(0.08 + 0.52 * share, 2))


def facts(row: dict[str, Any]) -> str:
    """All numbers of a token in a few words, as the pointer shows them."""
    said = [f"{words} {float(row[name]):{form}}" for name, words, form in _LABELS if pd.notna(row[name])]
    if row["is_edited"] is True:
        said.append("has to change" if row["side"] == "original" else "put there by the rewrite")
    return " · ".join([f"token {row['token_id']}", *said])


def _box(row: dict[str, Any], column: Aligned, side: Side, measure: Measure, strongest: float, *, is_last: bool) -> str:
    value = float(row[measure.column]) if pd.notna(row[measure.column]) else math.nan
    ground = shade(value, measure, strongest)
    style = _BOX + (f" background: {ground};" if ground else "") + _edge(column, side)
    number = f"{value:.2g}" if math.isfinite(value) else "\u00a0"
    marked = "text-decoration: underline wavy;" if row["is_edited"] is True and side == "original" else ""
    text = f'<span style="{_TEXT} {marked}">{html.escape(_shown(str(row["token"]), is_last=is_last))}</span>'
    return f'<span style="{style}" title="{html.escape(facts(row), quote=True)}">{text}<span style="{_NUMBER}">{number}</span></span>'


def _edge(column: Aligned, side: Side) -> str:
    """A kept token has a thin edge; one that the edit takes away or puts there a thick one, dashed where the other side has none."""
    if column.kept:
        return " border: 1px solid rgba(138, 138, 138, 0.35);"
    alone = column.rewrite is None if side == "original" else column.original is None
    return f" border: 2px {'dashed' if alone else 'solid'} {VERMILLION if side == 'original' else GREEN};"


def _gap() -> str:
    return (
        f'<span style="{_BOX} opacity: 0.4; border: 1px dotted rgba(138, 138, 138, 0.8);" title="nothing here">'
        f'<span style="{_TEXT}">\u00a0</span><span style="{_NUMBER}">\u00a0</span></span>'
    )


def _shown(text: str, *, is_last: bool) -> str:
    # The text of several tokens stands at the last of them, so that a last token without text is the end-of-text.
    return text.replace("\n", "↵").replace(" ", "\u00a0") or (END if is_last else NOTHING)
