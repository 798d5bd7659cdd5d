"""The table of runs: which rows it has after filtering, and what they say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from workbench.dashboard.components import UNKNOWN, state_words
from workbench.store.labels import Labels, read_labels
from workbench.store.layout import RunPaths
from workbench.store.reader import RunSummary

_SUCCESS_HELP = "Of the last evaluation; before there is one, of the last update"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

SORTS = {
    "newest": "Newest first",
    "oldest": "Oldest first",
    "success": "Best success first",
    "name": "Name",
    "preset": "Preset, then newest",
}


@dataclass(frozen=True)
class Listed:
    """A run of the list, with what people call it."""

    summary: RunSummary
    labels: Labels

    @property
    def run(self) -> str:
        """The run id."""
        return self.summary.run

    @property
    def title(self) -> str:
        """The display name, or the id where there is none."""
        return self.labels.name or self.summary.run

    @property
    def state(self) -> str:
        """The state, or ``unreadable``."""
        return "unreadable" if self.summary.problem else self.summary.state


@dataclass(frozen=True)
class Filters:
    """What a person asked to see; empty fields ask for nothing."""

    words: str = ""
    """Each has to occur in name, id, preset, recipe, model, device or a tag, whatever its case."""
    states: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """A run has to have every one."""
    presets: tuple[str, ...] = ()
    archived: bool = False
    """Show the archived runs, too."""


def listed(summaries: Iterable[RunSummary]) -> list[Listed]:
    """The runs with their labels."""
    return [Listed(summary, read_labels(RunPaths(summary.path))) for summary in summaries]


def shown(runs: Iterable[Listed], filters: Filters, sort: str) -> list[Listed]:
    """The runs that pass every filter, in the order ``sort`` of ``SORTS``."""
    return _sorted([one for one in runs if _passes(one, filters)], sort)


def _passes(one: Listed, filters: Filters) -> bool:
    summary, labels = one.summary, one.labels
    told = (one.title, one.run, summary.preset, summary.recipe, summary.model, summary.device, *labels.tags)
    text = "\n".join(part for part in told if part).casefold()
    return (
        (filters.archived or not labels.archived)
        and all(word in text for word in filters.words.casefold().split())
        and (not filters.states or one.state in filters.states)
        and (not filters.presets or summary.preset in filters.presets)
        and set(filters.tags) <= set(labels.tags)
    )


def _sorted(runs: list[Listed], sort: str) -> list[Listed]:
    newest = sorted(runs, key=lambda one: (one.summary.started_at or _LONG_AGO, one.run), reverse=True)
    if sort == "oldest":
        return newest[::-1]
    if sort == "success":
        return sorted(newest, key=lambda one: -1.0 if one.summary.success_rate is None else one.summary.success_rate, reverse=True)
    if sort == "name":
        return sorted(newest, key=lambda one: one.title.casefold())
    if sort == "preset":
        return sorted(newest, key=lambda one: one.summary.preset or "")
    return newest


def run_table(runs: Sequence[Listed]) -> pd.DataFrame:
    """A row per run; rates are in percent, so that a click on the column's head sorts numbers."""
    return pd.DataFrame([_row(one) for one in runs])


def _row(one: Listed) -> dict[str, Any]:
    summary = one.summary
    rate = summary.success_rate
    known = summary.low is not None and summary.high is not None
    return {
        "Run": one.title,
        "State": "✗ unreadable" if summary.problem else state_words(summary.state) + (" (archived)" if one.labels.archived else ""),
        "Success": None if rate is None else 100 * rate,
        "95 % interval": f"{100 * (summary.low or 0):.1f} to {100 * (summary.high or 0):.1f}" if known else UNKNOWN,
        "Update": _progress(summary),
        "Age": summary.started_at,
        "Preset": summary.preset or UNKNOWN,
        "Seed": summary.seed,
        "Tags": list(one.labels.tags),
        "Model": summary.model or UNKNOWN,
        "Recipe": summary.recipe or UNKNOWN,
        "Device": summary.device or UNKNOWN,
        "Phase": summary.phase or UNKNOWN,
        "Id": one.run,
    }


def _progress(summary: RunSummary) -> str:
    if summary.state == "finished":
        return "all done"
    return f"{summary.update} / {summary.total_updates}" if summary.update is not None and summary.total_updates else UNKNOWN


def columns(runs: Sequence[Listed]) -> dict[str, Any]:
    """How Streamlit shows the columns of :func:`run_table`; those that would say nothing are left out."""
    config: dict[str, Any] = {
        "Run": st.column_config.TextColumn(width=280, help="A click opens the run", pinned=True),
        "Success": st.column_config.NumberColumn(width=80, format="%.1f %%", help=_SUCCESS_HELP),
        "95 % interval": st.column_config.TextColumn(width=102, help="Wilson's interval, in percent"),
        "Age": st.column_config.DatetimeColumn(width=100, format="distance", help="Since the run was made"),
        "Seed": st.column_config.NumberColumn(width=50, format="%d"),
        "Tags": st.column_config.ListColumn(width=120),
    }
    if not any(one.labels.tags for one in runs):
        config["Tags"] = None
    if not any(one.labels.name for one in runs):
        config["Id"] = None
    return config
