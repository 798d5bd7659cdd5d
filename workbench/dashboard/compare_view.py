"""Two plays of a task side by side: every turn of both, where they part, and what the run thought of that state over time."""

from functools import partial

import pandas as pd
import streamlit as st

from workbench.dashboard import links, turn_cache
from workbench.dashboard.compare_figures import history_figure, reward_figure
from workbench.dashboard.compare_sides import Side
from workbench.dashboard.components import UNKNOWN, prose
from workbench.dashboard.export import download_table
from workbench.dashboard.turn_figures import grid_figure, probability_figure
from workbench.dashboard.turn_world import taxi_cells, trail, world_html
from workbench.evaluation.alignment import Alignment, align
from workbench.records import Trajectory, Turn
from workbench.store.turns import settled_since


def show_alignment(left: Side, right: Side, one: Trajectory, other: Trajectory) -> None:
    """Draw two trajectories of one task, aligned by state key."""
    found = align(one, other)
    st.subheader("The same task, twice", anchor=False)
    st.text(f"task {one.task}   ·   stage {one.stage}")
    columns = st.columns(2, gap="medium")
    for column, side, trajectory, word in zip(columns, (left, right), (one, other), ("Left", "Right"), strict=True):
        with column, st.container(border=True):
            _heading(side, trajectory, word)
    _verdict(found)
    table = alignment_table(found)
    share = partial(st.column_config.NumberColumn, format="percent", width=75)
    st.dataframe(
        table,
        hide_index=True,
        height=min(420, 38 + 35 * len(table)),
        placeholder=UNKNOWN,
        column_config={
            "": st.column_config.TextColumn(width=105),
            "row": st.column_config.NumberColumn(width=50),
            "turn left": st.column_config.NumberColumn(width=75),
            "turn right": st.column_config.NumberColumn(width=80),
            "p left": share(help="Probability of what the left one chose"),
            "p right": share(help="Probability of what the right one chose"),
        },
    )
    download_table(table, f"{one.trajectory_id}-{other.trajectory_id}", key="alignment")
    st.plotly_chart(reward_figure(one, other, ("left", "right")), key="reward_figure")
    if found.divergence is not None:
        _parting(left, right, one, other, found)


def _heading(side: Side, trajectory: Trajectory, word: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{word}**", width="content")
        st.badge("✓ success" if trajectory.success else "✗ no success", color="green" if trajectory.success else "red")
        st.text(f"reward {trajectory.total_reward:.2f} in {len(trajectory.turns)} turns")
    st.text(side.name)
    links.link(
        "trajectories", "Step through it", icon=":material/route:", run=side.paths.run_id, trajectory=trajectory.trajectory_id, turn="0"
    )


def _verdict(found: Alignment) -> None:
    if found.divergence is None:
        st.info("Both chose the same at every turn.", icon=":material/check:")
        return
    pair = found.pairs[found.divergence]
    same_state = pair.left is not None and pair.right is not None
    why = "they choose differently in the same state" if same_state else "only one of them is in this state"
    gained = "cost nothing" if abs(found.cost) < 1e-9 else f"{'gained' if found.cost > 0 else 'cost'} the right one {abs(found.cost):.2f}"
    st.info(f"They part at row {found.divergence}: {why}. From there on, this {gained} in reward.", icon=":material/call_split:")


def alignment_table(found: Alignment) -> pd.DataFrame:
    """A row per pair of turns: what either did, and how likely it was; the first that differs is marked."""
    rows = []
    for place, pair in enumerate(found.pairs):
        known = pair.left or pair.right
        rows.append(
            {
                "": "▶ parts here" if place == found.divergence else "=" if pair.same_choice else "≠",
                "row": place,
                "turn left": pair.left.index if pair.left else None,
                "left": pair.left.command if pair.left else UNKNOWN,
                "p left": _chance(pair.left),
                "turn right": pair.right.index if pair.right else None,
                "right": pair.right.command if pair.right else UNKNOWN,
                "p right": _chance(pair.right),
                "oracle": (known.oracle_command if known else None) or UNKNOWN,
                "state": known.state_key if known else UNKNOWN,
            }
        )
    return pd.DataFrame(rows).astype({"turn left": "Int64", "turn right": "Int64"})


def _chance(turn: Turn | None) -> float | None:
    """The probability of what was chosen; None where a record does not say."""
    if turn is None or turn.command not in turn.admissible_commands or len(turn.probabilities) != len(turn.admissible_commands):
        return None
    return turn.probabilities[turn.chosen_index]


def _parting(left: Side, right: Side, one: Trajectory, other: Trajectory, found: Alignment) -> None:
    assert found.divergence is not None
    pair = found.pairs[found.divergence]
    st.subheader("Where they part", anchor=False)
    columns = st.columns(2, gap="medium")
    for column, side, trajectory, turn, name in zip(
        columns, (left, right), (one, other), (pair.left, pair.right), ("left", "right"), strict=True
    ):
        with column:
            if turn is None:
                st.caption(f"The {name} one is never in this state then.")
            else:
                _turn(side, trajectory, turn, name)
    known = pair.left or pair.right
    assert known is not None
    for name, side in (("left", left), *((("right", right),) if right.paths.folder != left.paths.folder else ())):
        _history(side, known.state_key, name)


def _turn(side: Side, trajectory: Trajectory, turn: Turn, name: str) -> None:
    links.link(
        "trajectories",
        f"Open turn {turn.index}",
        icon=":material/route:",
        run=side.paths.run_id,
        trajectory=trajectory.trajectory_id,
        turn=str(turn.index),
    )
    cells, before = taxi_cells(turn.observation), trajectory.turns[: turn.index + 1]
    if cells is not None:
        st.plotly_chart(
            grid_figure(cells, trail(before), turn.command), key=f"grid_{name}", width="content", config={"displayModeBar": False}
        )
    elif drawn := world_html(before):
        st.html(drawn)
    else:
        st.code(turn.observation, language=None, wrap_lines=True)
    with st.container(border=True):
        if turn.reflection.text:
            prose(turn.reflection.text, turn.reflection.suggested_command)
        else:
            st.caption("No reflection at this turn.")
    if _chance(turn) is not None:
        st.plotly_chart(probability_figure(turn), key=f"probabilities_{name}", config={"displayModeBar": False})


def _history(side: Side, state_key: str, name: str) -> None:
    """Draw what a run thought of one state at every update where it met it."""
    history = turn_cache.history(side.paths, state_key)
    if history.empty:
        return
    st.subheader("When did it stop making this mistake?", anchor=False)
    st.text(f"{side.paths.run_id}, state {state_key}")
    online = history[history["phase"] == "rl"]
    if online.empty:
        st.caption("The run recorded this state in no update of its online phase.")
    elif not history["is_oracle"].any():
        st.caption("The run noted no oracle's command for this state, so nothing says which command is right.")
    else:
        since = settled_since(history)
        st.caption(
            f"The oracle's command is the likeliest from update {since} on, wherever this state was recorded."
            if since is not None
            else "The oracle's command is not the likeliest where this state was recorded last."
        )
    st.plotly_chart(history_figure(history), key=f"history_{name}")
