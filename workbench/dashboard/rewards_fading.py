"""How errors fade: the solutions that are followed through training, all of them by type of error and one of them token by token."""

import streamlit as st

from workbench.dashboard import rewards_cache
from workbench.dashboard.export import download_table
from workbench.dashboard.rewards_figures import fading_figure, token_fading_figure
from workbench.evaluation.token_credit import fading, wrong_tokens
from workbench.store.layout import RunPaths


def fading_section(paths: RunPaths, own: rewards_cache.Round, number: int, sample: int) -> None:
    """Draw the section.

    Args:
        paths: The run.
        own: What a round sampled.
        number: Of that round; only its solutions are shown, since a later one follows others.
        sample: The solution that is shown above.

    Raises:
        DataError: A table cannot be read.
    """
    st.subheader("How errors fade", anchor=False)
    probes = rewards_cache.probes(paths)
    probes = probes[probes["round"] == number] if len(probes) else probes
    if probes.empty:
        st.caption("No solution is followed (`rlmec.policy.record_probe`, and `eval_steps` above 0).")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**All that are followed, by type of error**")
        wrong = {number: kind for number, kind in own.kinds.items() if kind != "none"}
        found = fading(probes, wrong)
        if found.empty:
            st.caption("None of the solutions that are followed has a token that is known to be wrong.")
        else:
            st.plotly_chart(fading_figure(found), key="fading_by_type")
            st.caption("Lines fall as the policy finds its old error less likely; dotted ones rise as it finds what mends it likelier.")
            download_table(found, f"{paths.run_id}-fading", key="fading")
    with right:
        st.markdown(f"**Solution {sample}, its wrong tokens**")
        mine = probes[probes["sample"] == sample]
        rows = mine[wrong_tokens(mine)] if len(mine) else mine
        if rows.empty:
            why = "has no token that is known to be wrong" if len(mine) else "is not among those that are followed"
            st.caption(f"It {why}; choose one in the list above, with *solutions that are followed*.")
            return
        st.plotly_chart(token_fading_figure(rows), key="fading_of_one")
        download_table(rows, f"{paths.run_id}-fading-{sample}", key="fading_of_one")
