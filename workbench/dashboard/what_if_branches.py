"""The branches kept beside a run: which there are, and what each did differently."""

import pandas as pd
import streamlit as st

from workbench.dashboard.components import UNKNOWN, problem
from workbench.dashboard.export import download_table
from workbench.dashboard.turn_figures import strip_figure
from workbench.errors import WorkbenchError
from workbench.store.branches import Branch, list_branches, read_branch
from workbench.store.layout import RunPaths

_MOST = 200


def show_branches(paths: RunPaths) -> None:
    """Draw the list of branches, newest first, and the chosen one turn by turn."""
    names = list_branches(paths)
    if not names:
        return
    st.subheader(f"Branches ({len(names)})", anchor=False)
    st.caption("Played from a step of this run and kept beside it, in branches/; training never reads them.")
    found: dict[str, Branch] = {}
    for name in names[:_MOST]:
        try:
            found[name] = read_branch(paths, name)
        except WorkbenchError as error:
            problem("A branch cannot be read", str(error))
    if not found:
        return
    table = branch_table(found)
    st.dataframe(table, hide_index=True, key="branches", height=min(248, 38 + 35 * len(found)))
    download_table(table, f"{paths.run_id}-branches", key="branches")
    wanted = st.selectbox("Open a branch", list(found), key=f"branch_{paths.run_id}", width=360)
    branch = found[wanted]
    st.plotly_chart(strip_figure(branch.trajectory, min(branch.turn, len(branch.trajectory.turns) - 1)), key="branch_strip")
    turns = turn_table(branch)
    st.dataframe(turns, hide_index=True, key="branch_turns")
    download_table(turns, f"{paths.run_id}-{wanted}", key="branch_turns")


def branch_table(branches: dict[str, Branch]) -> pd.DataFrame:
    """A row per branch."""
    return pd.DataFrame(
        [
            {
                "branch": name,
                "from": branch.parent or "a fresh start",
                "at turn": branch.turn,
                "turns": len(branch.trajectory.turns),
                "checkpoint": branch.checkpoint,
                "changed": ", ".join(sorted({part for parts in branch.edits.values() for part in parts})) or UNKNOWN,
                "played by": ", ".join(dict.fromkeys(branch.players[branch.turn :])) or UNKNOWN,
                "outcome": "✓ success" if branch.trajectory.success else "✗ no",
                "reward": round(branch.trajectory.total_reward, 2),
            }
            for name, branch in branches.items()
        ]
    )


def turn_table(branch: Branch) -> pd.DataFrame:
    """A row per turn of a branch, its parent's included."""
    return pd.DataFrame(
        [
            {
                "turn": turn.index,
                "by": player,
                "command": turn.command,
                "probability": round(turn.probabilities[turn.chosen_index], 4) if turn.command in turn.admissible_commands else None,
                "suggested": turn.reflection.suggested_command or UNKNOWN,
                "oracle": turn.oracle_command or UNKNOWN,
                "changed": ", ".join(branch.edits.get(place, ())),
                "reward": turn.reward,
                "reflection": turn.reflection.text,
            }
            for place, (turn, player) in enumerate(zip(branch.trajectory.turns, branch.players, strict=True))
        ]
    )
