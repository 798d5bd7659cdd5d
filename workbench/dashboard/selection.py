"""The page Selection: which prompts of a pool each design would have annotated and why, and what that saves."""

import pandas as pd
import streamlit as st

from workbench.dashboard import links, selection_studies
from workbench.dashboard.components import UNKNOWN, is_number, problem
from workbench.dashboard.export import download_table
from workbench.dashboard.selection_cache import chosen_of, map_of, selections
from workbench.dashboard.selection_figures import coverage_figure, map_figure, overlap_figure
from workbench.errors import WorkbenchError
from workbench.store.selections import SelectionFolder, overlap, selections_folder

_MOST_SHOWN = 6
_COVERED = 12
"""Prompts that are listed as covered by a choice."""
_PRINCIPAL, _UMAP = "PCA", "UMAP"


def page() -> None:
    """Draw the page."""
    st.title("Selection", anchor=False)
    st.markdown("Annotation costs teacher calls and people's time. A design chooses in one step which prompts to spend them on.")
    choices, studies = st.tabs(["What was chosen", "What it saves"])
    with choices:
        try:
            _choices()
        except (WorkbenchError, OSError) as error:
            problem("This selection cannot be shown", str(error), hint="Choose another pool above. Nothing in the folder was changed.")
    with studies:
        selection_studies.section()


def _choices() -> None:
    pools: dict[str, list[SelectionFolder]] = {}
    for found in selections():
        pools.setdefault(found.pool, []).append(found)
    if not pools:
        with st.container(border=True):
            st.markdown("**No selection yet.** One command makes it; it appears here:")
            st.code("workbench select POOL.jsonl --design facility-location --budget 100 --model FOLDER", language=None)
            st.caption("Selections are kept in this folder; one made with --out can be moved there:")
            st.text(str(selections_folder()))
        return
    wanted = links.parameter("pool")
    keys = list(pools)
    pool = st.selectbox("Pool", keys, index=keys.index(wanted) if wanted in keys else 0, format_func=lambda key: _pool_words(pools[key]))
    st.query_params["pool"] = pool
    by_name = {found.name: found for found in pools[pool]}
    names = st.multiselect("Selections", list(by_name), default=list(by_name)[:_MOST_SHOWN], key=f"selections_{pool}")
    if not names:
        st.info("Choose at least one selection.")
        return
    _show([by_name[name] for name in names], pools[pool])


def _pool_words(found: list[SelectionFolder]) -> str:
    report = found[0].report
    name = str(report.get("pool") or "rows from memory").rsplit("/", 1)[-1]
    return f"{name}   {report.get('prompts', UNKNOWN)} prompts   {len(found)} selection{'s' if len(found) > 1 else ''}"


def _show(shown: list[SelectionFolder], same_pool: list[SelectionFolder]) -> None:
    chosen = {found.name: chosen_of(found) for found in shown}
    _summary(shown, chosen)
    points = _points(same_pool)
    if points is None:
        st.caption("No selection of this pool had embeddings (--model or --features), so there is no map of it.")
    else:
        _map(points, chosen)
    st.subheader("What was chosen, and why", anchor=False)
    name = st.selectbox("Selection", list(chosen), key="explained")
    _explain(next(found for found in shown if found.name == name), chosen[name])
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Overlap", anchor=False)
        sets = [frozenset(int(row) for row in frame["row"]) for frame in chosen.values()]
        st.caption("Prompts that two selections share, as a part of all that either has.")
        st.plotly_chart(overlap_figure(list(chosen), overlap(sets)), key="overlap")
    with right:
        st.subheader("Coverage", anchor=False)
        _coverage(shown)


def _summary(shown: list[SelectionFolder], chosen: dict[str, pd.DataFrame]) -> None:
    rows = []
    for found in shown:
        report = found.report
        value, bound = report.get("value"), report.get("bound")
        rows.append(
            {
                "Selection": found.name,
                "Design": str(report.get("design")),
                "Score": str(report.get("score") or UNKNOWN),
                "Chosen": len(chosen[found.name]),
                "Value": value if is_number(value) else None,
                "Bound": bound if is_number(bound) else None,
                "Tasks reached": chosen[found.name]["task"].nunique() if "task" in chosen[found.name] else None,
            }
        )
    table = pd.DataFrame(rows)
    st.dataframe(table, hide_index=True, key="selection_summary")
    st.caption(
        "Value: coverage (facility-location, more is better), radius (k-center, less is better) or summed scores. "
        "Bound: what no choice of this size can surpass."
    )
    download_table(table, "selections", key="selections")


def _points(same_pool: list[SelectionFolder]) -> pd.DataFrame | None:
    return next((found for found in map(map_of, same_pool) if found is not None), None)


def _map(points: pd.DataFrame, chosen: dict[str, pd.DataFrame]) -> None:
    colours = [name for name in ("task", "stage") if name in points] + [str(name) for name in points if str(name).startswith("score ")]
    ways = [_PRINCIPAL, *([_UMAP] if "umap_x" in points else [])]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        way = st.segmented_control("Two dimensions by", ways, default=_PRINCIPAL, key="map_way") or _PRINCIPAL
        colour = st.selectbox("Colour of the pool", ["none", *colours], index=min(1, len(colours)), key="map_colour", width=260)
    axes = ("umap_x", "umap_y") if way == _UMAP else ("x", "y")
    marked = {name: frame["row"].tolist() for name, frame in chosen.items()}
    st.plotly_chart(map_figure(points, axes, None if colour == "none" else colour, marked), key="pool_map")
    st.caption("A small dot is a prompt of the pool; a ring of a selection's colour is a prompt that it chose. Near prompts are alike.")


def _explain(found: SelectionFolder, frame: pd.DataFrame) -> None:
    columns = [name for name in ("order", "id", "task", "stage", "gain", "covers", "prompt") if name in frame]
    event = st.dataframe(
        frame[columns], hide_index=True, height=280, key=f"chosen_{found.name}", on_select="rerun", selection_mode="single-row"
    )
    st.caption("gain: what the choice added when it was made. covers: prompts of the pool that are nearer to it than to any other choice.")
    download_table(frame[columns], f"chosen-{found.name}", key=f"chosen_{found.name}")
    picked = event.selection.rows
    row = frame.iloc[picked[0] if picked and picked[0] < len(frame) else 0]
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**Choice {int(row['order'])}**")
        st.code(str(row["prompt"]), language=None, wrap_lines=True)
    with right:
        _covered(found, int(row["order"]), int(row["row"]))


def _covered(found: SelectionFolder, order: int, own: int) -> None:
    points = map_of(found)
    if points is None:
        st.caption("Without embeddings nothing says which prompts are near.")
        return
    near = points[(points["covered_by"] == order) & (points["row"] != own)].sort_values("distance")
    st.markdown(f"**The nearest of the {len(near)} prompts that it covers**" if len(near) else "**It covers itself alone**")
    columns = [name for name in ("distance", "task", "prompt") if name in near]
    st.dataframe(near[columns].head(_COVERED), hide_index=True, key="covered")


def _coverage(shown: list[SelectionFolder]) -> None:
    kinds = [kind for kind in ("tasks", "stages") if any(found.shares(kind) for found in shown)]
    if not kinds:
        st.caption("The pool names neither tasks nor stages (--task-column, --stage-column).")
        return
    kind = st.segmented_control("By", kinds, default=kinds[0], key="coverage_kind") or kinds[0]
    reports = {found.name: shares for found in shown if (shares := found.shares(kind))}
    st.plotly_chart(coverage_figure(reports), key="coverage")
