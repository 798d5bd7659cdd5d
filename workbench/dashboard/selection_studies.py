"""Of the page Selection: what the studies of annotation budgets found."""

import pandas as pd
import streamlit as st

from workbench.dashboard.components import problem
from workbench.dashboard.export import download_table
from workbench.dashboard.selection_cache import studies, study, study_tables
from workbench.dashboard.selection_figures import curves_figure
from workbench.errors import WorkbenchError
from workbench.evaluation.label_efficiency import CONTROL, RANDOM, metrics_of

_SHOWN = 6
"""Designs that are drawn at first: random, the control, and the best of the others."""


def section() -> None:
    """Draw the results of a study."""
    known = studies()
    if not known:
        with st.container(border=True):
            st.markdown("**No study yet.** This command runs one, and goes on where it was when it is called again:")
            st.code("python benchmarks/label_budget.py --study states --out runs/selections/label_budget", language=None)
        return
    name = st.selectbox("Study", list(known), key="study")
    try:
        rows = study(known[name])
        if rows.empty:
            problem("No result yet", f"{known[name]} holds no row.", hint="They appear here as the study goes on.")
            return
        metric = st.selectbox("Measured", metrics_of(rows), format_func=lambda key: key.replace("_", " "), key="study_metric")
        table, answers = study_tables(known[name], metric)
    except (WorkbenchError, OSError) as error:
        problem("These results cannot be shown", str(error), hint="Choose another study above. Nothing was changed.")
        return
    pools = list(dict.fromkeys(table["pool"]))
    pool = st.segmented_control("Pool", pools, default=pools[0], key="study_pool") or pools[0]
    _show(table[table["pool"] == pool], answers[answers["pool"] == pool] if len(answers) else answers, metric, f"{name}-{pool}")


def _show(table: pd.DataFrame, answers: pd.DataFrame, metric: str, title: str) -> None:
    designs = _ranked(table)
    drawn = st.multiselect("Designs", designs, default=designs[:_SHOWN], key="study_designs")
    st.plotly_chart(curves_figure(table, drawn, metric), key="study_curves")
    st.caption("Mean over seeds; bars are 95 % by bootstrap over seeds. All designs of a budget train for the same number of steps.")
    st.subheader("Does half the budget reach what random reaches with all of it?", anchor=False)
    if answers.empty:
        st.caption("No budget here has a half that was measured, too.")
    else:
        best = answers[answers["design"] == "best"]
        st.dataframe(_answer_table(best), hide_index=True, key="study_answers")
        st.caption(
            "Difference: the best design with half the budget minus random with all of it, paired by seed; the best design of a seed is "
            "chosen on the other seeds. Yes or no only where the intervals by bootstrap and by Student's t both leave 0 out."
        )
    with st.expander("Every number", icon=":material/table:"):
        st.dataframe(table.drop(columns="pool").round(4), hide_index=True, key="study_table")
        download_table(table, title, key="study")


def _ranked(table: pd.DataFrame) -> list[str]:
    """Random and the control, then the others, the best mean over budgets first."""
    means = table.groupby("design")["mean"].mean().sort_values(ascending=False)
    first = [name for name in (RANDOM, CONTROL) if name in means.index]
    return first + [str(name) for name in means.index if name not in first]


def _answer_table(best: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Half": best["half"],
            "All": best["budget"],
            "Difference": best["mean"].round(4),
            "95 % by bootstrap": [f"{low:.3f} to {high:.3f}" for low, high in zip(best["low"], best["high"], strict=True)],
            "95 % by t": [f"{low:.3f} to {high:.3f}" for low, high in zip(best["t_low"], best["t_high"], strict=True)],
            "Answer": best["verdict"],
            "Best designs (seeds)": best["picked"],
        }
    )
