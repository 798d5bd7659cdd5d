"""Which trajectories are listed: the filters as one value, drawn and applied."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd
import streamlit as st

Errors = Literal["any", "an error", "no error"]
_OUTCOMES: dict[str, bool | None] = {"any outcome": None, "✓ success": True, "✗ no success": False}


@dataclass(frozen=True)
class Filters:
    """Conditions on a trajectory; None and empty texts ask for nothing.

    Attributes:
        phase: Its phase.
        stage: Its stage.
        success: Whether it succeeded.
        task: Part of its task's name, whatever the case.
        turns: Least and most turns.
        reward: Least and most total reward, environment units.
        text: Part of one of its reflections; applied by whoever can read them.
        disagrees: Only those with a choice that differs from the suggestion.
        errors: Only those with a command that is not the oracle's, or only those without.
        latest_error: The first error comes at this turn or before.
    """

    phase: str | None = None
    stage: str | None = None
    success: bool | None = None
    task: str = ""
    turns: tuple[int, int] | None = None
    reward: tuple[float, float] | None = None
    text: str = ""
    disagrees: bool = False
    errors: Errors = "any"
    latest_error: int | None = None

    def apply(self, everything: pd.DataFrame) -> pd.DataFrame:
        """The rows of ``Run.trajectories`` that meet every condition but ``text``."""
        keep = pd.Series(True, index=everything.index)
        for column in ("phase", "stage", "success"):
            wanted = getattr(self, column)
            if wanted is not None:
                keep &= everything[column] == wanted
        if self.task:
            keep &= everything["task"].str.contains(self.task, case=False, regex=False)
        if self.turns is not None:
            keep &= everything["turns"].between(*self.turns)
        if self.reward is not None:
            low, high = self.reward
            keep &= everything["total_reward"].between(low - 1e-9, high + 1e-9)  # ends of the slider are rounded
        if self.disagrees:
            keep &= everything["disagreements"] > 0
        if self.errors != "any":
            keep &= everything["first_error"].notna() == (self.errors == "an error")
        if self.latest_error is not None:
            keep &= (everything["first_error"] <= self.latest_error).fillna(False).astype(bool)
        return everything[keep]


def draw_filters(everything: pd.DataFrame) -> Filters:
    """Draw the filters over what there is and give what they ask for."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        phase = st.selectbox("Phase", ["any phase", *_values(everything, "phase")], key="filter_phase", width=150)
        stage = st.selectbox("Stage", ["any stage", *_values(everything, "stage")], key="filter_stage", width=150)
        outcome = st.selectbox("Outcome", list(_OUTCOMES), key="filter_outcome", width=160)
        text = st.text_input("Text in a reflection", key="filter_text", width=220, placeholder="for example: wall")
        task = st.text_input("Part of a task's name", key="filter_task", width=190)
        disagrees = st.toggle("Choice differs from the suggestion", key="filter_disagree")
        with st.popover("More filters", icon=":material/filter_alt:"):
            errors: Errors = st.radio(
                "Compared with the oracle", ["any", "an error", "no error"], key="filter_errors", horizontal=True, help=_ERROR_HELP
            )
            latest = st.number_input("First error at this turn or before", min_value=0, value=None, step=1, key="filter_first_error")
            turns = _range("Turns", everything["turns"], "filter_turns", whole=True)
            reward = _range("Reward", everything["total_reward"], "filter_reward", whole=False)
    return Filters(
        phase=None if phase == "any phase" else phase,
        stage=None if stage == "any stage" else stage,
        success=_OUTCOMES[outcome],
        task=task.strip(),
        turns=None if turns is None else (int(turns[0]), int(turns[1])),
        reward=reward,
        text=text,
        disagrees=disagrees,
        errors=errors,
        latest_error=latest,
    )


_ERROR_HELP = "An error is a command that is not the one the oracle noted. Where several are equally good, another may be as good."


def _range(label: str, values: "pd.Series[float]", key: str, *, whole: bool) -> tuple[float, float] | None:
    """A slider with two ends over ``values``; None where it asks for nothing, or all are the same."""
    if values.empty or values.min() == values.max():
        return None
    # A slider whose ends move while a run is written would forget what was chosen; its key holds the ends.
    low, high = (int(values.min()), int(values.max())) if whole else (round(float(values.min()), 2), round(float(values.max()), 2))
    chosen: tuple[float, float] = st.slider(label, low, high, (low, high), key=f"{key}_{low}_{high}")
    return None if chosen == (low, high) else chosen


def _values(frame: pd.DataFrame, column: str) -> list[str]:
    return list(dict.fromkeys(str(value) for value in frame[column]))
