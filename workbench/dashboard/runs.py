"""The page of all runs: start one, see how each is doing, find, name, compare and delete them, open one."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from workbench.config import apply_overrides, load_preset, preset_names
from workbench.dashboard import cache, compare_runs, links, runs_actions
from workbench.dashboard.components import UNKNOWN, problem
from workbench.dashboard.export import download_table
from workbench.dashboard.runs_table import SORTS, Filters, Listed, columns, listed, run_table, shown
from workbench.errors import WorkbenchError
from workbench.jobs import launch
from workbench.store.layout import run_root
from workbench.store.status import LIVE, STATES

FIRST_PRESET = "taxi-quickstart"
_REFRESH_SECONDS = 3
_FILTERS_FROM = 4
"""With fewer runs than this there is nothing to find."""
_SHORT_LIST = 14
"""Longer ones scroll."""


def page() -> None:
    """Draw the page."""
    st.title("workbench", anchor=False)
    st.markdown(
        "Language-model agents that reflect, act and learn by reinforcement learning in text worlds. "
        "A run generates data, warms up both players, fine-tunes the policy online and evaluates it."
    )
    _start_form()
    own = cache.own_runs()
    live = any(summary.state in LIVE for summary in own)
    st.fragment(own_table, run_every=_REFRESH_SECONDS if live else None)()
    examples = listed(cache.recorded_examples())
    if examples:
        st.subheader("Recorded examples", anchor=False)
        st.caption("They came with the workbench, to look at before anything has been trained here. A click on a name opens the run.")
        _table(examples, key="examples")
        download_table(run_table(examples), "recorded-examples", key="examples")
    compare_runs.section()


def _start_form() -> None:
    presets = preset_names()
    with st.container(border=True, horizontal=True, vertical_alignment="bottom"):
        preset = st.selectbox(
            "Preset", presets, index=presets.index(FIRST_PRESET) if FIRST_PRESET in presets else 0, key="preset", width=260
        )
        seed = st.number_input("Seed", min_value=0, max_value=2**31 - 1, value=0, step=1, key="seed", width=140)
        clicked = st.button(f"Start {preset}", type="primary", icon=":material/play_arrow:", key="start")
        st.caption(load_preset(preset).description or "A ready configuration.")
    if clicked:
        _start(preset, int(seed))


def _start(preset: str, seed: int) -> None:
    try:
        run_id = launch.submit(apply_overrides(load_preset(preset), [f"seed={seed}"]), run_root())
    except (WorkbenchError, OSError) as error:
        problem("The run could not be started", str(error))
        return
    links.go("run", run=run_id)


def own_table() -> None:
    """Draw the runs of the run root; as a fragment, alone, while one of them is live."""
    own = listed(cache.own_runs())
    if not own:
        with st.container(border=True):
            st.markdown(":material/rocket_launch: **No run yet.** Press **Start** above, or run this in a terminal:")
            st.code(f"workbench train {FIRST_PRESET}", language="bash")
            st.caption("Everything that a run writes appears here while it is being written.")
        return
    runs_actions.told()
    found = shown(own, *_filters(own))
    if found:
        _table(found, key="own")
        runs_actions.toolbar(found)
    else:
        st.info(f"None of the {len(own)} runs is like that. Change the filters above.", icon=":material/filter_alt:")
    for one in found:
        if one.summary.problem:
            problem("This folder cannot be read", f"{one.run}: {one.summary.problem}")


def _filters(own: Sequence[Listed]) -> tuple[Filters, str]:
    """Draw the filters; they stand in the address, so that a view of the list can be kept."""
    if len(own) < _FILTERS_FROM and not any(one.labels.archived for one in own):
        return Filters(), "newest"
    tags = sorted({tag for one in own for tag in one.labels.tags})
    presets = sorted({one.summary.preset for one in own if one.summary.preset})
    hidden = sum(one.labels.archived for one in own)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input("Find", key="find", placeholder="name, preset, model, tag", bind="query-params", width=220)
        states = st.multiselect("State", [*STATES, "unreadable"], key="state", placeholder="any", bind="query-params", width=190)
        chosen_presets = st.multiselect("Preset", presets, key="in_preset", placeholder="any", bind="query-params", width=210)
        wanted = st.multiselect("Tags", tags, key="tag", placeholder="any", bind="query-params", width=170) if tags else []
        sort = st.selectbox("Order", list(SORTS), key="sort", format_func=SORTS.__getitem__, bind="query-params", width=190)
        archived = st.toggle(f"Archived ({hidden})", key="archived", bind="query-params") if hidden else False
    return Filters(words or "", tuple(states), tuple(wanted), tuple(chosen_presets), archived), sort


def _table(runs: Sequence[Listed], *, key: str) -> None:
    names = tuple(one.run for one in runs)
    # Rows are chosen by place: where another run stands in a place, the table is another one, with the same runs chosen in it.
    place = f"runs_{key}_{hash(names)}"
    marked = [index for index, name in enumerate(names) if name in runs_actions.chosen()]
    st.dataframe(
        run_table(runs),
        placeholder=UNKNOWN,
        hide_index=True,
        key=place,
        on_select=partial(runs_actions.remember, place, names, opens_only=key != "own"),
        selection_mode=["single-cell"] if key != "own" else ["multi-row", "single-cell"],
        selection_default={"selection": {"rows": marked}} if key == "own" and marked else None,
        column_config=columns(runs),
        height="auto" if len(runs) <= _SHORT_LIST else 560,
    )
    if name := st.session_state.pop(f"open_{place}", None):
        links.go("run", run=name)
