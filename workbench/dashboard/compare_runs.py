"""Chosen runs side by side: their curves, with seeds as bands, and only the settings that differ."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from workbench.dashboard import cache, compare_runs_figures, links
from workbench.dashboard.compare_runs_figures import Group
from workbench.dashboard.components import all_runs, problem, rate_words
from workbench.dashboard.export import download_table
from workbench.dashboard.runs_table import Listed, listed
from workbench.errors import WorkbenchError
from workbench.store.layout import RunPaths
from workbench.store.settings import changed, groups_but_seed

MOST = 24
_FIRST_CURVES = ("success/rate", "reward/mean", "policy/entropy", "length/mean")
_PARAMETER = "compare"
_NAMED_SETTINGS = 3


@dataclass(frozen=True)
class _Opened:
    """A run that is compared."""

    listed: Listed
    paths: RunPaths
    metrics: pd.DataFrame
    evaluations: pd.DataFrame


def section() -> None:
    """Draw the comparison that the address asks for, if it asks for one."""
    wanted = list(dict.fromkeys(name for name in links.parameter(_PARAMETER).split(",") if name))
    if not wanted:
        return
    st.subheader("Comparison", anchor="comparison")
    runs = {one.run: one for one in listed(all_runs())}
    chosen = _picker(wanted, runs)
    opened = [found for name in chosen if (found := _open(runs[name])) is not None]
    if len(opened) < 2:
        st.info("Choose at least two runs that can be read.", icon=":material/compare_arrows:")
        return
    groups = _groups(opened)
    _curves(groups)
    left, right = st.columns(2)
    with left:
        _results(opened)
    with right:
        _settings(opened)


def _picker(wanted: list[str], runs: dict[str, Listed]) -> list[str]:
    known = [name for name in wanted if name in runs][:MOST]
    # The address decides; the choice below is drawn from it and written back to it.
    st.session_state["compare_picked"] = known
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.multiselect(
            "Runs",
            list(runs),
            key="compare_picked",
            format_func=lambda name: runs[name].title,
            on_change=_to_address,
            max_selections=MOST,
            placeholder="Choose runs",
        )
        if st.button("Close", icon=":material/close:", key="compare_close"):
            del st.query_params[_PARAMETER]
            st.rerun()
    lost = [name for name in wanted if name not in runs]
    if lost:
        problem("These runs are not here", "\n".join(name[:120] for name in lost[:MOST]))
    return known


def _to_address() -> None:
    if picked := st.session_state["compare_picked"]:
        st.query_params[_PARAMETER] = ",".join(picked)
    else:
        del st.query_params[_PARAMETER]


def _open(one: Listed) -> _Opened | None:
    try:
        paths = cache.open_run(one.run)
        return _Opened(one, paths, cache.metrics(paths), cache.evaluations(paths))
    except (WorkbenchError, OSError) as error:
        problem("This run cannot be read", str(error))
        return None


def _groups(opened: list[_Opened]) -> list[Group]:
    configs = [cache.config(one.paths) for one in opened]
    places = groups_but_seed(configs)
    firsts = [configs[group[0]] for group in places]
    differ = changed(firsts)
    groups = []
    for number, group in enumerate(places):
        if len(group) == 1:
            name = opened[group[0]].listed.title
        else:
            what = [f"{key}={values[number]}" for key, values in differ.items() if key not in ("seed", "description")]
            name = ", ".join(what[:_NAMED_SETTINGS]) or str(firsts[number].get("preset", "")) or opened[group[0]].listed.title
            name = f"{name} ({len(group)} seeds)"
        members = [opened[place] for place in group]
        titles = [one.listed.title for one in members]
        groups.append(Group(name, titles, [_online(one.metrics) for one in members], [_online(one.evaluations) for one in members]))
    return groups


def _online(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["phase"] == "rl"] if "phase" in frame else frame


def _curves(groups: list[Group]) -> None:
    known = list(dict.fromkeys(str(key) for group in groups for one in group.metrics for key in one.columns if "/" in str(key)))
    if not known:
        st.info("None of these runs has reached online learning yet.", icon=":material/monitoring:")
        return
    first = [key for key in _FIRST_CURVES if key in known] or known[:4]
    picked = st.multiselect("Curves", known, first, key="compare_curves", bind="query-params")
    figures = (
        [("evaluations", compare_runs_figures.evaluations_figure(groups))] if any(len(e) for g in groups for e in g.evaluations) else []
    )
    figures += [(key, compare_runs_figures.comparison_figure(groups, key)) for key in picked]
    for start in range(0, len(figures), 2):
        for column, (key, figure) in zip(st.columns(2), figures[start : start + 2], strict=False):
            column.plotly_chart(figure, key=f"compare_{key}")
    if any(len(group.metrics) > 1 for group in groups):
        st.caption(
            "Runs that differ in nothing but their seed share a colour: thin lines are single runs, the thick one is their mean "
            "up to where all of them are, the area is the mean's 95 % interval (Student's t over runs)."
        )


def _results(opened: list[_Opened]) -> None:
    st.markdown("**Results**")
    rows = [
        {
            "Run": one.listed.title,
            "Seed": one.listed.summary.seed,
            "State": one.listed.state,
            "Success (95 % interval)": rate_words(one.listed.summary.success_rate, one.listed.summary.low, one.listed.summary.high),
        }
        for one in opened
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="compare_results")
    download_table(pd.DataFrame(rows), "compared-runs", key="compare_results")


def _settings(opened: list[_Opened]) -> None:
    st.markdown("**Settings that differ**")
    differ = changed([cache.config(one.paths) for one in opened])
    differ.pop("description", None)
    if not differ:
        st.caption("None: these runs were started with the same settings.")
        return
    titles = _unique([one.listed.title for one in opened])
    table = pd.DataFrame({title: [values[place] or "—" for values in differ.values()] for place, title in enumerate(titles)})
    table.insert(0, "Setting", list(differ))
    st.dataframe(table, hide_index=True, key="compare_settings", column_config={"Setting": st.column_config.TextColumn(pinned=True)})
    download_table(table, "compared-settings", key="compare_settings")


def _unique(titles: list[str]) -> list[str]:
    """Display names may repeat, columns may not."""
    return [title if titles.count(title) == 1 else f"{title} #{titles[:place].count(title) + 1}" for place, title in enumerate(titles)]
