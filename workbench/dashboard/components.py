"""Pieces that several pages use. Text from files and models goes through ``st.text``, ``st.code`` or ``escaped`` only."""

import html
import math
import re
from collections.abc import Sequence
from datetime import datetime
from numbers import Real
from typing import Any

import streamlit as st

from workbench.dashboard import cache
from workbench.dashboard.escaping import escaped as escaped
from workbench.store.labels import read_labels
from workbench.store.layout import RunPaths
from workbench.store.reader import RunSummary

UNKNOWN = "—"
"""What stands where nothing is known."""

_STATES = {
    "queued": ("○", "gray"),
    "running": ("▶", "blue"),
    "stopping": ("◐", "orange"),
    "stopped": ("■", "gray"),
    "finished": ("✓", "green"),
    "failed": ("✗", "red"),
}


def state_words(state: str) -> str:
    """A state as symbol and word, so that it does not depend on colour."""
    symbol, _ = _STATES.get(state, ("?", "gray"))
    return f"{symbol} {state}" if state in _STATES else f"{symbol} unknown"


def state_badge(state: str) -> None:
    """Draw a state."""
    _, colour = _STATES.get(state, ("?", "gray"))
    st.badge(state_words(state), color=colour)  # type: ignore[arg-type]


def problem(heading: str, message: str, *, hint: str = "") -> None:
    """Say in words what is wrong; ``heading`` and ``hint`` are our own text, ``message`` may quote anything."""
    with st.container(border=True):
        st.markdown(f":material/error: **{heading}**")
        st.text(message)
        if hint:
            st.caption(hint)


def prose(text: str, highlight: str | None = None) -> None:
    """Draw text of a model literally, line breaks kept, with the last mention of ``highlight`` marked."""
    mentions = list(re.finditer(re.escape(highlight), text, re.IGNORECASE)) if highlight else []
    start, end = mentions[-1].span() if mentions else (len(text), len(text))
    before, found, after = text[:start], text[start:end], text[end:]
    style = "background: rgba(230, 159, 0, 0.35); color: inherit; border-radius: 3px; padding: 0 3px;"
    marked = f'<mark style="{style}">{html.escape(found)}</mark>'
    body = html.escape(before) + (marked if found else "") + html.escape(after)
    st.html(f'<div style="white-space: pre-wrap; overflow-wrap: anywhere; font-size: 1.05rem; line-height: 1.6;">{body}</div>')


def is_number(value: Any) -> bool:
    """True for a finite number, numpy's included: values from a file may be missing or of any type."""
    return isinstance(value, Real) and math.isfinite(value)


def percent(rate: float | None) -> str:
    """A share such as ``97.2 %``; a dash for none."""
    return f"{100 * rate:.1f} %" if rate is not None and is_number(rate) else UNKNOWN


def rate_words(rate: float | None, low: float | None, high: float | None) -> str:
    """A rate with its interval where there is one: ``97.2 % (96.0 to 98.1)``."""
    if rate is None or low is None or high is None or not (is_number(low) and is_number(high)):
        return percent(rate)
    return f"{percent(rate)} ({100 * low:.1f} to {100 * high:.1f})"


def duration(seconds: float) -> str:
    """Seconds as people say them: ``45 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 days``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" if whole % 60 == 0 or whole >= 600 else f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} day{'s' if whole >= 172800 else ''}"


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago a moment was; a dash when it is not known."""
    return f"{duration((now - moment).total_seconds())} ago" if moment else UNKNOWN


def run_picker(summaries: Sequence[RunSummary]) -> str:
    """Draw the choice of a run and give its name: the address decides, then what was looked at last, then the newest.

    The name in the address may be that of no run; the caller finds out when it opens it.
    """
    names = [summary.run for summary in summaries]
    wanted = str(st.query_params.get("run", "")) or st.session_state.get("last_run", "")
    chosen = wanted if wanted in names or st.query_params.get("run") else (names[0] if names else "")
    by_name = {summary.run: summary for summary in summaries}
    st.session_state["run_picker"] = chosen if chosen in by_name else None
    st.selectbox(
        "Run",
        names,
        key="run_picker",
        format_func=lambda name: _run_words(by_name[name]),
        on_change=_pick_run,
        placeholder="Choose a run",
    )
    st.session_state["last_run"] = chosen
    return chosen


def _run_words(summary: RunSummary) -> str:
    name = read_labels(RunPaths(summary.path)).name
    return f"{name}   {summary.run}   {state_words(summary.state)}" if name else f"{summary.run}   {state_words(summary.state)}"


def _pick_run() -> None:
    st.query_params.clear()
    st.query_params["run"] = st.session_state["run_picker"]


def all_runs() -> list[RunSummary]:
    """Own runs, then the recorded examples."""
    return [*cache.own_runs(), *cache.recorded_examples()]
