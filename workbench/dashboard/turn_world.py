"""The state at a turn as its world is best seen, and what changed since the turn before."""

from collections.abc import Sequence

import streamlit as st

from workbench.dashboard.turn_explore import seen_tree, tree_html
from workbench.dashboard.turn_figures import TAXI_SYMBOLS, Cells, Place, grid_figure, places
from workbench.dashboard.turn_household import room_html, seen_room
from workbench.dashboard.turn_lake import lake_html
from workbench.dashboard.turn_text import difference_html
from workbench.envs.taxi import grid_cells
from workbench.errors import EnvError
from workbench.records import Trajectory, Turn


def draw_world(trajectory: Trajectory, index: int) -> None:
    """Draw the state that the players saw at turn ``index`` (map, file tree, room, lake, or text), then what changed."""
    st.subheader(f"Turn {index}: the world", anchor=False)
    turn = trajectory.turns[index]
    cells = taxi_cells(turn.observation)
    if cells is not None:
        st.plotly_chart(
            grid_figure(cells, trail(trajectory.turns[: index + 1]), turn.command),
            key="grid_figure",
            width="content",
            config={"displayModeBar": False},
        )
    else:
        drawn = world_html(trajectory.turns[: index + 1])
        if drawn:
            st.html(drawn)
        else:
            st.code(turn.observation, language=None, wrap_lines=True)
    _draw_change(trajectory, index)


def world_html(turns: Sequence[Turn]) -> str:
    """The state at the last of ``turns`` as escaped HTML: a file tree, a room or a frozen lake; empty for other worlds."""
    tree = seen_tree(turns)
    if tree is not None:
        return tree_html(tree)
    room = seen_room(turns[-1].observation)
    if room is not None:
        return room_html(room)
    return lake_html([turn.observation for turn in turns])


def taxi_cells(observation: str) -> Cells | None:
    """The map in a taxi's observation; None for any other world."""
    try:
        return grid_cells(observation)
    except EnvError:
        return None


def trail(turns: Sequence[Turn]) -> list[Place]:
    """Where the taxi was at each turn."""
    maps = (taxi_cells(turn.observation) for turn in turns)
    return [place for cells in maps if cells is not None for place in places(cells, TAXI_SYMBOLS)[:1]]


def _draw_change(trajectory: Trajectory, index: int) -> None:
    if index == 0:
        st.caption("The trajectory begins here.")
        return
    before = trajectory.turns[index - 1]
    difference = difference_html(before.observation, trajectory.turns[index].observation)
    st.caption("What the last command changed")
    st.text(f"> {before.command}")
    if difference:
        st.html(difference)
    else:
        st.caption("Nothing that can be seen.")
