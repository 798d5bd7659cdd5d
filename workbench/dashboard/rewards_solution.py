"""One solution of an update, token by token, beside what is imitated in its place."""

import pandas as pd
import streamlit as st

from workbench.dashboard import links, rewards_cache
from workbench.dashboard.components import UNKNOWN, problem
from workbench.dashboard.export import download_table
from workbench.dashboard.rewards_html import MEASURES, MOST_TOKENS, Measure, side_html
from workbench.errors import WorkbenchError
from workbench.evaluation.token_credit import Aligned, aligned
from workbench.store.layout import RunPaths, run_root
from workbench.store.solution_tokens import TOKENS

_SHOWN = (
    *("side", "place", "token", "reward", "reward_model_prob", "policy_prob", "old_policy_prob", "imitation_weight", "is_edited"),
    *("rl_contribution", "imitation_contribution", "contribution"),
)


def show_solution(paths: RunPaths, tokens: pd.DataFrame, own: rewards_cache.Round, kind: str, update: int) -> None:
    """Draw one solution.

    Args:
        paths: The run.
        tokens: Its tokens, of both sides, of one visit.
        own: What its round sampled.
        kind: Of the table.
        update: Of the table.
    """
    sample = int(tokens["sample"].iloc[0])
    original = tokens[tokens["side"] == "original"].sort_values("place")
    rewrite = tokens[tokens["side"] == "rewrite"].sort_values("place")
    if not (_is_whole(original) and _is_whole(rewrite)):
        problem("This solution cannot be shown", f"The places of its {len(tokens)} tokens are not 0, 1, 2, …: the table is damaged.")
        return
    st.subheader(f"Solution {sample}", anchor=False)
    _question(paths, str(tokens["problem_id"].iloc[0]), own.kinds.get(sample, UNKNOWN))
    measure = _pick_measure()
    columns = aligned(original["token_id"].tolist(), rewrite["token_id"].tolist() if len(rewrite) else original["token_id"].tolist())
    _sides(original, rewrite, columns, measure)
    if len(columns) > MOST_TOKENS:
        st.caption(f"The first {MOST_TOKENS:,} of {len(columns):,} places are drawn; the table below has all.")
    _numbers(paths, tokens, f"{kind}-{update}-{sample}")
    st.caption("The address above leads to exactly this solution. In a notebook (the button at its right copies it):")
    st.code(notebook_code(paths, update, sample, kind), language="python")


def _is_whole(side: pd.DataFrame) -> bool:
    return side["place"].tolist() == list(range(len(side)))


def _question(paths: RunPaths, problem_id: str, kind: str) -> None:
    try:
        found = rewards_cache.problems(paths).get(problem_id)
    except (WorkbenchError, OSError):  # what the tokens say does not hang on it
        found = None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(f"error: {kind}" if kind != "none" else "✓ right", color="green" if kind == "none" else "orange")
        st.text(found.question if found else f"problem {problem_id}")
        if found:
            st.text(f"right answer: {found.answer}")


def _pick_measure() -> Measure:
    wanted, names = links.parameter("colour"), list(MEASURES)
    name = (
        st.segmented_control("Colour and number by", names, default=wanted if wanted in names else names[0], key="rewards_colour")
        or names[0]
    )
    st.query_params["colour"] = name
    return MEASURES[name]


def _sides(original: pd.DataFrame, rewrite: pd.DataFrame, columns: list[Aligned], measure: Measure) -> None:
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True):
        st.markdown(":material/edit_note: **What it wrote**")
        st.html(side_html(original, columns, "original", measure))
    with right, st.container(border=True):
        if rewrite.empty:
            st.markdown(":material/check: **What is imitated: the same**")
            repeats = bool(original["imitation_weight"].fillna(0).any())
            st.caption("It is right, so it is its own rewrite." if repeats else "This method imitates nothing here.")
        else:
            st.markdown(":material/auto_fix_high: **What is imitated: the rewrite**")
            st.html(side_html(rewrite, columns, "rewrite", measure))
    st.caption(
        f"{measure.words[0].upper()}{measure.words[1:]}; the number stands below each token, all of them under the pointer. "
        "Thick edges: what the shortest edit takes away (orange) and puts there (green), dashed where the other side has nothing. "
        "A wavy line: the token has to change, as the teacher knows. ↵ is a line break, ■ the end-of-text."
    )


def _numbers(paths: RunPaths, tokens: pd.DataFrame, name: str) -> None:
    sums = tokens[["rl_contribution", "imitation_contribution", "contribution"]].sum()
    st.caption(
        f"Together its tokens add {sums['contribution']:+.3e} to the loss: {sums['rl_contribution']:+.3e} by RL and "
        f"{sums['imitation_contribution']:+.3e} by imitation."
    )
    with st.expander("Every number of every token"):
        shown = tokens[list(_SHOWN)]
        probability = {key: st.column_config.NumberColumn(format="%.4f") for key in ("policy_prob", "old_policy_prob", "reward_model_prob")}
        part = {key: st.column_config.NumberColumn(format="%.2e") for key in _SHOWN if key.endswith("contribution")}
        st.dataframe(shown, hide_index=True, height=300, key="rewards_tokens", placeholder=UNKNOWN, column_config={**probability, **part})
        download_table(tokens, f"{paths.run_id}-{name}", key="solution_tokens")


def notebook_code(paths: RunPaths, update: int, sample: int, kind: str) -> str:
    """Python that gives the tokens in a notebook; names are quoted, whatever they hold."""
    own = paths.folder.parent.resolve() == run_root().resolve()
    root = "run_root()" if own else repr(str(paths.folder.parent))
    more = "" if kind == TOKENS else f", kind={kind!r}"
    return (
        f"from workbench.store.layout import find_run{', run_root' if own else ''}\n"
        "from workbench.store.solutions import read_tokens\n\n"
        f"tokens = read_tokens(find_run({root}, {paths.run_id!r}), {update}{more}).to_pandas()\n"
        f'solution = tokens[tokens["sample"] == {sample}]'
    )
