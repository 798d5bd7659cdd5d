"""The page Token rewards: what each token of the policy's solutions was worth, and how its errors fade (RLMEC)."""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from workbench.dashboard import cache, links, rewards_cache
from workbench.dashboard.components import UNKNOWN, all_runs, is_number, percent, problem, run_picker
from workbench.dashboard.export import download_table
from workbench.dashboard.rewards_fading import fading_section
from workbench.dashboard.rewards_figures import calibration_figure
from workbench.dashboard.rewards_solution import show_solution
from workbench.errors import WorkbenchError
from workbench.evaluation.solution_errors import ERROR_TYPES
from workbench.evaluation.token_credit import loss_check, solution_table
from workbench.store.layout import RunPaths
from workbench.store.solution_tokens import PROBES, TOKENS, recorded_updates
from workbench.store.solutions import read_quality

RECIPE = "rlmec"
_ANY = "any"
_KINDS = {TOKENS: "an update", PROBES: "solutions that are followed"}
_QUALITY = (
    ("auroc", "Finds the errors", "Area under the ROC curve of one minus its probability against the true edit set; 0.5 is chance"),
    ("located", "First wrong step named", "Share of wrong solutions whose first wrong step it names"),
    ("repaired", "Repaired", "Share of wrong solutions that its rewrite takes to the right answer"),
    ("edit_share", "Edits a token", "Edits of its rewrites over the tokens of the originals; the teacher's are the fewest possible"),
    ("calibration_error", "Calibration error", "Mean distance of its probability and the share of tokens that may stay"),
)


def page() -> None:
    """Draw the page."""
    st.title("Token rewards", anchor=False)
    st.markdown("What each token of the policy's own solutions was worth: its reward, its weight in imitation, its part of the loss.")
    name = run_picker(all_runs())
    if not name:
        with st.container(border=True):
            st.markdown("**No run yet.** Start one on the first page; with the preset `arithmetic-rlmec` its tokens appear here.")
            links.link("runs", "To the runs", icon=":material/view_list:")
        return
    try:
        paths = cache.open_run(name)
        st.query_params["run"] = name
        _show(paths)
    except (WorkbenchError, OSError) as error:
        problem("This run's tokens cannot be shown", str(error), hint="Choose another run above. Nothing in the folder was changed.")


def _show(paths: RunPaths) -> None:
    if cache.config(paths).get("recipe") != RECIPE:
        with st.container(border=True):
            st.markdown(":material/token: **This run has no token rewards.** They belong to runs of RLMEC; one command starts a small one:")
            st.code("workbench train arithmetic-smoke", language=None)
        return
    _quality(paths)
    recorded = {kind: updates for kind in _KINDS if (updates := recorded_updates(paths, kind=kind))}
    if not recorded:
        st.info(
            "No token is written yet: that begins with the first update of the phase policy. A run with "
            "`rlmec.policy.record_tokens_every=0`, or one that learns from preferences (`rlmec.method=dpo`), writes none.",
            icon=":material/token:",
        )
        return
    kind, update = _pick_update(paths, recorded)
    tokens = rewards_cache.tokens(paths, update, kind)
    if tokens.empty:
        st.info("This table holds no token.")
        return
    _check(paths, tokens, kind, update)
    number = int(tokens["round"].iloc[0])
    own = rewards_cache.round_of(paths, number)
    chosen = _pick_solution(paths, tokens, own, f"{kind}-{update}")
    if chosen is not None:
        mine = tokens[(tokens["sample"] == chosen[0]) & (tokens["visit"] == chosen[1])]
        show_solution(paths, mine, own, kind, update)
        fading_section(paths, own, number, chosen[0])


def _quality(paths: RunPaths) -> None:
    """Draw how good the reward model is on problems it has not seen."""
    quality: dict[str, Any] | None = read_quality(paths)
    if not quality:
        return
    with st.expander("How good the reward model is, on problems whose rewrites it has not seen", icon=":material/verified:"):
        with st.container(horizontal=True):
            for key, name, words in _QUALITY:
                value = quality.get(key)
                shown = (percent(value) if key in ("located", "repaired") else f"{value:.3f}") if is_number(value) else UNKNOWN
                st.metric(name, shown, border=True, help=words)
        counts = [quality.get(key) for key in ("held_out_wrong", "held_out_right")]
        st.caption(
            f"{counts[0]} wrong and {counts[1]} right solutions. After shuffling its probabilities among the tokens the area would be "
            f"{quality['auroc_shuffled']:.3f}."
            if is_number(quality.get("auroc_shuffled")) and all(map(is_number, counts))
            else "Some of the numbers could not be had: there were too few solutions."
        )
        bins = quality.get("calibration")
        if isinstance(bins, list) and bins and all(isinstance(one, dict) for one in bins):
            st.plotly_chart(calibration_figure(bins), key="calibration")
            download_table(pd.DataFrame(bins), f"{paths.run_id}-calibration", key="calibration")


def _pick_update(paths: RunPaths, recorded: dict[str, list[int]]) -> tuple[str, int]:
    """Draw the choice of a table; the address decides first."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kinds = list(recorded)
        wanted = links.parameter("of")
        kind = st.segmented_control(
            "Tokens of",
            kinds,
            default=wanted if wanted in kinds else kinds[0],
            format_func=_KINDS.__getitem__,
            key=f"rewards_of_{paths.run_id}",
        )
        kind = kind or kinds[0]
        updates = recorded[kind]
        asked = links.parameter("update")
        given = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 10 else -1
        update = updates[-1]
        if len(updates) > 1:
            start = given if given in updates else updates[-1]
            update = int(
                st.select_slider("After update" if kind == PROBES else "Update", updates, start, key=f"rewards_at_{paths.run_id}_{kind}")
            )
        links.link("run", "Curves and state of this run", icon=":material/monitoring:", run=paths.run_id)
    if asked and given not in updates and f"rewards_told_{paths.run_id}" not in st.session_state:
        problem("The address asks for an update that is not there", f"update={asked[:40]} was asked for. Here is update {update}.")
    st.session_state[f"rewards_told_{paths.run_id}"] = True
    st.query_params.update({"of": kind, "update": str(update)})
    return kind, update


def _check(paths: RunPaths, tokens: pd.DataFrame, kind: str, update: int) -> None:
    """Draw what the tokens sum to beside what the run logged."""
    count = f"Update {update}: {len(tokens):,} tokens of {tokens.groupby(['sample', 'visit']).ngroups:,} solutions"
    if kind == PROBES:
        st.caption(
            f"{count}. The same few solutions after every evaluation: nothing is learnt from these tables, so no loss was logged for them."
        )
        return
    metrics = cache.metrics(paths)
    rows = metrics[(metrics["phase"] == "policy") & (metrics["update"] == update)] if {"phase", "update"} <= set(metrics) else metrics[:0]
    logged = {str(name): value for name, value in rows.iloc[-1].items() if is_number(value)} if len(rows) else {}
    found = loss_check(tokens, logged)
    if found.empty:
        st.caption(f"{count}. This update's loss is not logged yet.")
        return
    total = found.iloc[0]
    with st.container(horizontal=True, vertical_alignment="center"):
        if found["agrees"].all():
            st.badge("✓ sums to the logged loss", color="green")
        else:
            st.badge("✗ does not sum to the logged loss", color="red")
        st.caption(f"{count} sum to {total['sum of tokens']:+.6f}; logged is {total['logged']:+.6f}.", width="content")
    if not found["agrees"].all():
        problem(
            "Tokens and loss do not belong together",
            f"Update {update}: the tokens sum to {total['sum of tokens']:+.6f}, logged is {total['logged']:+.6f}.",
            hint="The table or the metrics were changed after the run wrote them; resume from an earlier checkpoint, or restore a copy.",
        )
    with st.expander("Part by part"):
        st.dataframe(found, hide_index=True, key="loss_check")
        download_table(found, f"{paths.run_id}-update-{update}-loss", key="loss_check")


def _pick_solution(paths: RunPaths, tokens: pd.DataFrame, own: rewards_cache.Round, table: str) -> tuple[int, int] | None:
    """Draw filter and list, and give sample and visit of the solution to show."""
    listed = solution_table(tokens)
    listed.insert(3, "error", [own.kinds.get(int(number), UNKNOWN) for number in listed["sample"]])
    kinds = [kind for kind in (*ERROR_TYPES, UNKNOWN) if (listed["error"] == kind).any()]
    wanted = links.parameter("error")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox(
            "Error", [_ANY, *kinds], index=kinds.index(wanted) + 1 if wanted in kinds else 0, key=f"rewards_error_{table}", width=200
        )
        st.caption(ERROR_TYPES.get(kind, "Whatever went wrong first, or nothing."), width="content")  # type: ignore[call-overload]
        if kind != _ANY:
            listed = listed[listed["error"] == kind]
        download_table(listed, f"{paths.run_id}-{table}-solutions", key="solutions")
        download_table(tokens, f"{paths.run_id}-{table}-tokens", key="tokens", what="every token")
    st.query_params["error"] = kind
    ids = [(int(one), int(other)) for one, other in zip(listed["sample"], listed["visit"], strict=True)]
    st.dataframe(
        listed,
        hide_index=True,
        height=min(248, 38 + 35 * len(listed)),
        key="rewards_table",
        on_select=partial(_choose, ids),
        selection_mode="single-row",
        placeholder=UNKNOWN,
        column_order=["sample", "problem_id", "error", "tokens", "edited", "reward", "lowest_reward", "rl", "imitation", "contribution"],
        column_config={
            "problem_id": "problem",
            "edited": st.column_config.NumberColumn("to change", help="Tokens of the true edit set"),
            "reward": st.column_config.NumberColumn(format="%.2f", help="Summed over its tokens"),
            "lowest_reward": st.column_config.NumberColumn("lowest", format="%.3f"),
            **{name: st.column_config.NumberColumn(format="%.2e", help="Part of the loss") for name in ("rl", "imitation", "contribution")},
        },
    )
    return _chosen(ids, set(zip(listed["sample"], listed["visit"], strict=True)))


def _choose(ids: list[tuple[int, int]]) -> None:
    rows = st.session_state["rewards_table"].selection.rows
    if rows and rows[0] < len(ids):
        sample, visit = ids[rows[0]]
        st.query_params.update({"sample": str(sample), "visit": str(visit)})


def _chosen(ids: list[tuple[int, int]], known: set[tuple[int, int]]) -> tuple[int, int] | None:
    """What the address names, where it is listed; else the first."""
    asked = [links.parameter(name) for name in ("sample", "visit")]
    numbers = [int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0 for text in asked]
    found = (numbers[0], numbers[1])
    if asked[0] and found in known:
        return found
    if not ids:
        return None
    st.query_params.update({"sample": str(ids[0][0]), "visit": str(ids[0][1])})
    return ids[0]
