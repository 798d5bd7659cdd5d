"""The page of one run: how far it is, how it learns, how to stop, resume and repeat it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from workbench.config import PHASES, PHASES_OF
from workbench.dashboard import cache, links, run_device, run_fork, run_sections, run_starts
from workbench.dashboard.components import UNKNOWN, all_runs, duration, is_number, percent, problem, rate_words, run_picker, state_badge
from workbench.errors import WorkbenchError
from workbench.jobs import launch
from workbench.store.labels import read_labels
from workbench.store.layout import RunPaths
from workbench.store.reader import RunSummary
from workbench.store.status import LIVE

_REFRESH_SECONDS = 4
_PACE_UPDATES = 10
"""Time left is judged by the pace of so many updates."""


def page() -> None:
    """Draw the page."""
    st.title("Run", anchor=False)
    name = run_picker(all_runs())
    if not name:
        with st.container(border=True):
            st.markdown("**No run yet.** Start one on the first page; it appears here at once.")
            links.link("runs", "To the runs", icon=":material/view_list:")
        return
    try:
        paths = cache.open_run(name)
        summary = cache.summary(paths)
    except (WorkbenchError, OSError) as error:
        problem("This run cannot be shown", str(error), hint="Choose another run above. Nothing in the folder was changed.")
        return
    if summary is None or summary.problem:
        problem("This run cannot be shown", summary.problem or "" if summary else "Its folder is gone.", hint="Choose another run above.")
        return
    st.query_params["run"] = name
    live = summary.state in LIVE
    st.fragment(live_part, run_every=_REFRESH_SECONDS if live else None)(name, summary.state)
    run_sections.repeat(paths)
    run_fork.section(paths)


def live_part(name: str, was: str) -> None:
    """Draw everything that changes while a run is live; as a fragment, alone, every few seconds."""
    try:
        paths = cache.open_run(name)
        summary = cache.summary(paths)
        metrics, evaluations = cache.metrics(paths), cache.evaluations(paths)
    except (WorkbenchError, OSError) as error:
        problem("This run cannot be shown", str(error))
        return
    if summary is None:
        problem("This run cannot be shown", "Its folder is gone.")
        return
    if summary.state != was:
        st.rerun()  # the whole page: its list of runs says the state, too, and refreshing starts or ends
    _header(paths, summary, metrics)
    _numbers(paths, summary, metrics)
    run_device.section(paths, summary)
    run_sections.learning(paths, metrics, evaluations)
    left, right = st.columns(2)
    with left:
        run_sections.warmups(metrics)
    with right:
        run_sections.time_spent(paths, metrics)
    run_starts.section(paths, run_sections.stage_names(paths))
    run_sections.tables(paths, evaluations)
    run_sections.downloads(paths, metrics)


def _header(paths: RunPaths, summary: RunSummary, metrics: pd.DataFrame) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        state_badge(summary.state)
        if cache.is_example(paths):
            st.badge("recorded example, read only", icon=":material/history:", color="violet")
        else:
            _buttons(paths, summary.state)
        if cache.config(paths).get("recipe") == "rlmec":
            links.link("rewards", "Its solutions, token by token", icon=":material/token:", run=paths.run_id)
        else:
            links.link("trajectories", "Its trajectories, step by step", icon=":material/route:", run=paths.run_id)
        parent = cache.parent(paths)
        if parent:
            links.link("run", "The run it was forked from", icon=":material/fork_right:", run=parent)
    labels = read_labels(paths)
    if labels.name or labels.tags:
        st.text("   ".join([labels.name, *(f"#{tag}" for tag in labels.tags)]).strip())
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.text("phases")
        _phase_badges(paths, summary, metrics)
    if summary.state in LIVE and summary.update is not None and summary.total_updates:
        share = min(1.0, max(0.0, summary.update / summary.total_updates))
        st.progress(share, text=f"{summary.update} of {summary.total_updates} in this phase")
    if summary.state == "queued":
        st.caption("It begins as soon as no other run uses the device.")
    if summary.error:
        problem("What happened", summary.error)


def _phase_badges(paths: RunPaths, summary: RunSummary, metrics: pd.DataFrame) -> None:
    """The phases of the run in order; those before the current one are done."""
    wanted = cache.config(paths).get("phases")
    known = PHASES_OF.get(str(cache.config(paths).get("recipe")), PHASES)
    phases = [phase for phase in known if not isinstance(wanted, list) or phase in wanted]
    current = summary.phase or (metrics["phase"].iloc[-1] if len(metrics) else None)
    place = next((index for index, phase in enumerate(phases) if phase == current), -1)
    for index, phase in enumerate(phases):
        if summary.state == "finished" or index < place:
            st.badge(f"✓ {phase}", color="green")
        elif index == place:
            st.badge(f"▸ {phase}", color="blue")
        else:
            st.badge(f"· {phase}", color="gray")


def _buttons(paths: RunPaths, state: str) -> None:
    if state in LIVE and paths.stop.exists():
        st.badge("stop asked for: it saves, then stops", icon=":material/hourglass_top:", color="orange")
    elif state in ("queued", "running"):
        explanation = "Saves a checkpoint, then stops; Resume goes on from there."
        if st.button("Stop", icon=":material/stop:", key="stop", help=explanation):
            _act(lambda: launch.request_stop(paths))
    elif state in ("stopped", "failed") and st.button("Resume", icon=":material/play_arrow:", key="resume", type="primary"):
        _act(lambda: launch.start(paths.folder.parent, paths.run_id))


def _act(action: Callable[[], object]) -> None:
    try:
        action()
    except (WorkbenchError, OSError) as error:
        problem("That did not work", str(error))
        return
    cache.forget_summaries()
    st.rerun()


def _numbers(paths: RunPaths, summary: RunSummary, metrics: pd.DataFrame) -> None:
    """The few numbers a person looks for first."""
    now = datetime.now(UTC)
    started, changed = summary.started_at, summary.updated_at
    until = now if summary.state in LIVE else changed
    left = seconds_left(metrics, summary.phase, summary.update, summary.total_updates) if summary.state == "running" else None
    interval = rate_words(summary.success_rate, summary.low, summary.high).removeprefix(percent(summary.success_rate)).strip()
    shown = [
        ("Success", percent(summary.success_rate), f"95 % interval {interval}" if interval else None),
        (
            "Running for" if summary.state in LIVE else "Took",
            _time_taken(started, until),
            f"{duration(left)} left in this phase" if left else None,
        ),
        ("Online updates", _online_updates(paths, metrics), None),
        ("Seed", str(summary.seed) if isinstance(summary.seed, int) else UNKNOWN, None),
    ]
    with st.container(horizontal=True):
        for label, value, more in shown:
            st.metric(label, value, delta=more, delta_color="off", delta_arrow="off", border=True, height="stretch")
    facts = {"preset": summary.preset, "model": summary.model, "device": summary.device}
    words = [f"{name} {value}" for name, value in facts.items() if value]
    st.text("   ·   ".join([*words, *([f"started {started.astimezone():%Y-%m-%d %H:%M}"] if started else [])]))


def _online_updates(paths: RunPaths, metrics: pd.DataFrame) -> str:
    if not run_sections.has_online_phase(paths):
        return UNKNOWN
    phase = run_sections.online_phase(paths)
    done = metrics.loc[metrics["phase"] == phase, "update"].max()
    total = _planned_updates(cache.config(paths), phase)
    return f"{int(done) if is_number(done) else 0}{f' / {total}' if isinstance(total, int) else ''}"


def _planned_updates(config: dict[str, Any], phase: str) -> int | None:
    """As the settings have it; None where they do not say."""
    own = config.get("rl") if phase == "rl" else config.get("rlmec")
    rounds = own.get("rounds", 1) if phase == "policy" and isinstance(own, dict) else 1
    settings = own.get("policy") if phase == "policy" and isinstance(own, dict) else own
    steps = settings.get("max_steps") if isinstance(settings, dict) else None
    return steps * rounds if isinstance(steps, int) and isinstance(rounds, int) else None


def _time_taken(started: datetime | None, until: datetime | None) -> str:
    return duration((until - started).total_seconds()) if started and until else UNKNOWN


def seconds_left(metrics: pd.DataFrame, phase: str | None, update: int | None, total: int | None) -> float | None:
    """Seconds until the phase's last update at the pace of the latest ones; None before a pace is known."""
    if update is None or not total or not {"phase", "update", "time"} <= set(metrics.columns):
        return None
    rows = metrics[metrics["phase"] == phase].tail(_PACE_UPDATES + 1)
    if len(rows) < 2 or rows["time"].isna().any():
        return None
    updates = float(rows["update"].iloc[-1] - rows["update"].iloc[0])
    seconds = float((rows["time"].iloc[-1] - rows["time"].iloc[0]).total_seconds())
    return max(0.0, (total - update) * seconds / updates) if updates > 0 and seconds > 0 else None
