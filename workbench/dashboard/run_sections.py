"""Sections of a run's page: curves, warm-ups, time, tables, downloads and the command line that repeats it."""

import shlex
from typing import Any

import pandas as pd
import streamlit as st
import yaml

from workbench.config import apply_overrides, load_config, load_preset
from workbench.dashboard import cache, run_figures
from workbench.dashboard.components import UNKNOWN, is_number, percent
from workbench.dashboard.export import download_run, download_table
from workbench.envs.catalog import env_names, make_env
from workbench.errors import WorkbenchError
from workbench.store.layout import RunPaths
from workbench.store.reader import Run

_CURVES = (
    ("reward/mean", "Mean reward", "environment units"),
    ("policy/entropy", "Policy entropy", "nats"),
    ("policy/kl", "KL within an update", "nats"),
    ("length/mean", "Length of a trajectory", "turns"),
    ("loss/policy", "Policy loss", ""),
    ("policy/followed_suggestion", "Suggestions followed", "share of turns"),
)
_TOKEN_CURVES = (
    ("loss/total", "Loss", ""),
    ("loss/rl", "Its policy gradient", ""),
    ("loss/imitation", "Its imitation", "nats per weighted token"),
    ("reward/mean", "Mean reward of a token", ""),
    ("reward/negative_share", "Tokens that are punished", "share of tokens"),
    ("policy/ratio", "Importance ratio", ""),
)
"""Of RLMEC, whose rewards are of tokens."""
_IN_A_ROW = 3
_SHARES = {
    "success_rate": "success",
    "followed_suggestion": "followed advice",
    "suggestion_is_oracle": "advice was right",
}


def learning(paths: RunPaths, metrics: pd.DataFrame, evaluations: pd.DataFrame) -> None:
    """Draw the curves of the online phase."""
    online = _online(paths, metrics)
    if online.empty:
        there = "Curves of online learning appear here with its first update."
        st.info(there if has_online_phase(paths) else "This run has no phase of online learning.", icon=":material/monitoring:")
        return
    st.subheader("Learning", anchor=False)
    bands = run_figures.stage_bands(online, stage_names(paths))
    changes = run_figures.stage_changes(cache.events(paths))
    st.plotly_chart(run_figures.success_figure(online, evaluations, bands, changes), key="success_figure")
    for _, change in changes.iterrows():
        rate = f"   success then {percent(change['rate'])}" if is_number(change["rate"]) else ""
        st.text(f"▸ update {change['update']:.0f}: {change['from']} to {change['to']}{rate}   {change['reason']}")
    curves = _TOKEN_CURVES if online_phase(paths) == "policy" else _CURVES
    shown = [curve for curve in curves if curve[0] in online and online[curve[0]].notna().any()]
    for start in range(0, len(shown), _IN_A_ROW):
        for column, (key, title, unit) in zip(st.columns(_IN_A_ROW), shown[start : start + _IN_A_ROW], strict=False):
            column.plotly_chart(run_figures.curve_figure(online, key, title, unit, bands), key=f"curve_{key}")


def has_online_phase(paths: RunPaths) -> bool:
    """Whether the run goes through online learning at all, as far as its settings can be read."""
    phases = cache.config(paths).get("phases")
    return not isinstance(phases, list) or online_phase(paths) in phases


def online_phase(paths: RunPaths) -> str:
    """The phase in which the run's policy learns from rewards: ``rl``, or ``policy`` in a run of RLMEC."""
    return "policy" if cache.config(paths).get("recipe") == "rlmec" else "rl"


def _online(paths: RunPaths, metrics: pd.DataFrame) -> pd.DataFrame:
    return metrics[metrics["phase"] == online_phase(paths)] if "phase" in metrics else metrics


def stage_names(paths: RunPaths) -> list[str]:
    """The curriculum's stages by position, as far as the run's files tell; its later ones may be missing."""
    config = cache.config(paths)
    curriculum, env = config.get("curriculum"), config.get("env")
    stages = curriculum.get("stages") if isinstance(curriculum, dict) else None
    if isinstance(stages, list) and stages:
        return [str(stage) for stage in stages]
    name, options = (env.get("name"), env.get("options")) if isinstance(env, dict) else (None, None)
    # Only worlds of the catalog, as they are by default: looking at a run must neither import code nor open folders that its files name.
    if isinstance(name, str) and name in env_names() and not options:
        return list(make_env(name).stages)
    changes = run_figures.stage_changes(cache.events(paths)).sort_values("update")
    if len(changes):
        return list(dict.fromkeys([*changes["from"].head(1), *changes["to"]]))
    try:
        played = cache.outcomes(paths)
    except WorkbenchError:
        return []
    return list(dict.fromkeys(str(stage) for stage in played[played["phase"] == "rl"].sort_values("update")["stage"]))


def warmups(metrics: pd.DataFrame) -> None:
    """Draw the loss of the supervised warm-ups, if there were any."""
    if "loss/sft" not in metrics or metrics["loss/sft"].isna().all():
        return
    st.plotly_chart(run_figures.warmup_figure(metrics), key="warmup_figure")


def time_spent(paths: RunPaths, metrics: pd.DataFrame) -> None:
    """Draw where the time of the online phase went."""
    online = _online(paths, metrics)
    if any(str(key).startswith("time/") for key in online.columns) and not online.empty:
        st.plotly_chart(run_figures.time_figure(online), key="time_figure")


def tables(paths: RunPaths, evaluations: pd.DataFrame) -> None:
    """Draw evaluations, events and the end of the log."""
    if not evaluations.empty:
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.subheader("Evaluations", anchor=False, width="content")
            download_table(evaluations, f"{paths.run_id}-evaluations", key="evaluations")
        st.dataframe(
            evaluation_table(evaluations), hide_index=True, placeholder=UNKNOWN, key="evaluations", column_config=_evaluation_columns()
        )
    events = cache.events(paths)
    left, right = st.columns(2)
    with left:
        st.subheader("Events", anchor=False)
        if events.empty:
            st.caption("None yet: stage changes, checkpoints and warnings are listed here.")
        else:
            order, columns = ["time", "kind", "message"], {"time": _time_column()}
            shown = events.iloc[::-1]
            st.dataframe(
                shown, hide_index=True, key="events", height=min(300, 38 + 35 * len(shown)), column_order=order, column_config=columns
            )
            download_table(events, f"{paths.run_id}-events", key="events")
    with right:
        st.subheader("Log", anchor=False)
        st.code(Run(paths).log_tail(200) or "Nothing yet.", language=None, height=300)


def downloads(paths: RunPaths, metrics: pd.DataFrame) -> None:
    """Draw buttons that give what the page shows away: the metrics as a table, the whole as one file."""
    with st.container(horizontal=True, vertical_alignment="center"):
        download_table(metrics, f"{paths.run_id}-metrics", key="metrics", what="Metrics of every update")
        download_run(paths)


def evaluation_table(evaluations: pd.DataFrame) -> pd.DataFrame:
    """The evaluations as they are shown: shares in percent, the interval in one column, what every one of them lacks left out."""
    table = evaluations.drop(columns=["low", "high", "successes"], errors="ignore")
    for name in _SHARES:
        if name in table:
            table[name] = 100 * table[name]
    if {"low", "high", "success_rate"} <= set(evaluations.columns):
        ends = zip(evaluations["low"], evaluations["high"], strict=True)
        interval = [f"{100 * low:.1f} to {100 * high:.1f}" if is_number(low) and is_number(high) else UNKNOWN for low, high in ends]
        table.insert(list(table.columns).index("success_rate") + 1, "interval", interval)
    return table.dropna(axis="columns", how="all")


def _time_column() -> Any:
    return st.column_config.DatetimeColumn("time", format="YYYY-MM-DD HH:mm:ss", width=150)


def _evaluation_columns() -> dict[str, Any]:
    shares = {name: st.column_config.NumberColumn(label, format="%.1f %%") for name, label in _SHARES.items()}
    means = {key: st.column_config.NumberColumn(key.replace("_", " "), format="%.2f") for key in ("mean_reward", "mean_length")}
    narrow = {
        "phase": st.column_config.TextColumn(width=80),
        "interval": st.column_config.TextColumn("95 % interval", width=110, help="Wilson's interval, in percent"),
    }
    return {"time": _time_column(), **shares, **means, **narrow}


def repeat(paths: RunPaths) -> None:
    """Draw the command line that repeats the run, and the whole configuration."""
    st.subheader("Repeat it", anchor=False)
    st.code(repeat_command(paths), language="bash", wrap_lines=True)
    with st.expander("The whole configuration"):
        st.code(yaml.safe_dump(cache.config(paths), sort_keys=False, allow_unicode=True), language="yaml")


def repeat_command(paths: RunPaths) -> str:
    """The shortest command line that gives the run's configuration: by preset and seed where that is all, else by its file."""
    by_file = f"workbench train --config {shlex.quote(str(paths.config))}"
    try:
        config = load_config(paths.config)
        seeded = apply_overrides(load_preset(config.preset), [f"seed={config.seed}"])
    except (WorkbenchError, OSError):
        return by_file
    return f"workbench train {shlex.quote(config.preset)} --seed {config.seed}" if seeded == config else by_file
