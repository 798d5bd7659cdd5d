"""One point of a What if: the world, what the players read, what the policy would do, and the ways on from there."""

import pandas as pd
import streamlit as st

from workbench.dashboard import cache
from workbench.dashboard.components import UNKNOWN, problem
from workbench.dashboard.export import download_table
from workbench.dashboard.turn_figures import grid_figure
from workbench.dashboard.turn_world import taxi_cells, trail, world_html
from workbench.dashboard.what_if_edit import Asked, ask
from workbench.dashboard.what_if_state import AGENT, PERSON, Line
from workbench.data.demonstrations import write_demonstration
from workbench.envs.replay import Scene, replay
from workbench.envs.text_env import TextEnv
from workbench.errors import WorkbenchError
from workbench.records import Reflection, Turn
from workbench.rollout.what_if import Players, turn_from
from workbench.store.branches import Branch, new_branch_id, write_branch
from workbench.store.layout import RunPaths

_BUTTONS = 12
"""From so many commands on they are chosen from a list."""


def show_scene(paths: RunPaths, players: Players, line: Line, checkpoint: str) -> None:
    """Draw the point that ``line`` has come to.

    Raises:
        WorkbenchError: The world cannot be brought there, or the players cannot be asked.
    """
    env = players.make_env()
    scene = replay(env, task=line.task, stage=line.stage, seed=line.seed, commands=line.commands)
    left, right = st.columns([38, 62], gap="medium")
    with left:
        _world(line, scene)
        _history(line)
    with right:
        if scene.over:
            _ending(scene)
        else:
            asked = ask(paths, players, env, scene, line)
            if asked is not None:
                _ways_on(players, env, scene, line, asked)
        _keep(paths, line, scene, checkpoint)


def _world(line: Line, scene: Scene) -> None:
    st.subheader(f"Turn {len(line.turns)}: the world", anchor=False)
    seen = [*line.turns, _here(line, scene)]
    cells = taxi_cells(scene.observation)
    if cells is not None:
        st.plotly_chart(grid_figure(cells, trail(seen), ""), key="what_if_grid", width="content", config={"displayModeBar": False})
    elif drawn := world_html(seen):
        st.html(drawn)
    else:
        st.code(scene.observation, language=None, wrap_lines=True)


def _here(line: Line, scene: Scene) -> Turn:
    """The turn that is about to be taken, for drawing: nothing is chosen yet."""
    return Turn(
        index=len(line.turns),
        observation=scene.observation,
        state_key=scene.info["state_key"],
        admissible_commands=scene.commands,
        labels=(),
        probabilities=(),
        command="",
        reflection=Reflection(text=""),
        prompt_token_ids=(),
        label_token_ids=(),
        log_prob=0.0,
        reward=0.0,
        terminated=False,
        truncated=False,
    )


def _history(line: Line) -> None:
    """Draw what was done since the step at which it began."""
    st.text(f"stage {line.stage}   ·   task {line.task}   ·   seed {line.seed}")
    played = line.turns[line.began :]
    if not played:
        return
    table = pd.DataFrame(
        [
            {"turn": turn.index, "by": player, "command": turn.command, "p": turn.probabilities[turn.chosen_index], "reward": turn.reward}
            for turn, player in zip(played, line.players[line.began :], strict=True)
        ]
    )
    st.dataframe(
        table,
        hide_index=True,
        height=min(300, 38 + 35 * len(played)),
        column_config={"p": st.column_config.NumberColumn("p", format="percent"), "reward": st.column_config.NumberColumn(format="%.2f")},
        key="what_if_history",
    )
    with st.container(horizontal=True):
        st.button("Take back", icon=":material/undo:", key="take_back", on_click=line.take_back)
        st.button("Back to the start", icon=":material/restart_alt:", key="restart", on_click=line.restart)
        download_table(table, "played", key="what_if_history")


def _ending(scene: Scene) -> None:
    st.subheader("It is over", anchor=False)
    if scene.info["success"]:
        st.badge("✓ solved", color="green")
    else:
        st.badge("✗ not solved", color="red")
    st.caption("Take turns back at the left to try something else.")


def _ways_on(players: Players, env: TextEnv, scene: Scene, line: Line, asked: Asked) -> None:
    """Draw what can be done here: by the person, or by the agent."""
    considered = asked.considered
    st.subheader("Go on", anchor=False)
    commands = considered.question.commands
    likely = dict(zip(commands, considered.probabilities, strict=True))
    chosen: str | None = None
    st.caption("Play a command yourself; the agent's probability of each stands beside it.")
    if len(commands) <= _BUTTONS:
        with st.container(horizontal=True):
            for place, command in enumerate(commands):
                # A command is an environment's text: the button's label would be read as markdown.
                if st.button(f"{_plain(command)} {likely[command]:.0%}", key=f"play_{place}_{line.place}"):
                    chosen = command
    else:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            ranked = sorted(commands, key=lambda command: -likely[command])
            wanted = st.selectbox("Command", ranked, format_func=lambda one: f"{one}   {likely[one]:.1%}", key=f"list_{line.place}")
            chosen = wanted if st.button("Play it", key=f"play_{line.place}") else None
    if chosen is not None:
        line.add(turn_from(env, scene, considered, chosen, index=len(line.turns)), PERSON, asked.edits)
        st.rerun()
    _agent_goes_on(players, env, scene, line, asked)


def _plain(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\`*_{}[]()<>#+-.!|$:~" else char for char in text)


def _agent_goes_on(players: Players, env: TextEnv, scene: Scene, line: Line, asked: Asked) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        luck = int(
            st.number_input("Dice", min_value=0, max_value=10_000, value=0, key="luck", width=120, help="0 rolls what the record rolled")
        )
        greedy = st.toggle("Most probable command", key="greedy", help="Instead of drawing from the distribution")
        once = st.button("The agent, one turn", icon=":material/skip_next:", key=f"agent_once_{line.place}")
        to_end = st.button("The agent, to the end", icon=":material/fast_forward:", key=f"agent_end_{line.place}", type="primary")
    if not (once or to_end):
        return
    with st.spinner("The agent plays on …", show_time=True):
        considered, edits = asked.considered, asked.edits
        while True:
            turn = players.take_turn(env, scene, considered, seed=line.seed, index=len(line.turns), luck=luck, greedy=greedy)
            line.add(turn, AGENT, edits)
            if once or turn.terminated or turn.truncated:
                break
            env = players.make_env()
            scene = replay(env, task=line.task, stage=line.stage, seed=line.seed, commands=line.commands)
            question = players.question(env, scene, line.turns, seed=line.seed)
            considered, edits = players.consider(question, temperature=asked.temperature), ()
    st.rerun()


def _keep(paths: RunPaths, line: Line, scene: Scene, checkpoint: str) -> None:
    """Draw the ways to keep what was played."""
    if len(line.turns) == line.began:
        return
    if cache.is_example(paths):
        st.caption("A recorded example is never written, so that this branch cannot be kept.")
        return
    mine = [turn for turn, player in zip(line.turns, line.players, strict=True) if player == PERSON]
    statement = str(scene.info["task_statement"])
    with st.container(horizontal=True, vertical_alignment="center"):
        keep = st.button("Keep this branch", icon=":material/save:", key="keep_branch", disabled=line.saved)
        show = st.button(
            f"Save my {len(mine)} move{'' if len(mine) == 1 else 's'} as a demonstration",
            key="keep_demo",
            icon=":material/school:",
            disabled=not mine,
            help="JSON lines of prompt and completion, as the SFT sets are, in the run's demonstrations/",
        )
    try:
        trajectory = line.trajectory(new_branch_id(), statement, bool(scene.info["success"]))
        if keep:
            write_branch(paths, Branch(trajectory, line.parent, line.began, checkpoint, tuple(line.players), dict(line.edits)))
            line.saved = True
            st.rerun()
        if show:
            path = write_demonstration(paths, trajectory, mine)
            st.caption(f"Saved: {len(mine)} row{'' if len(mine) == 1 else 's'}" if mine else UNKNOWN)
            st.code(str(path), language=None)
    except (WorkbenchError, OSError) as error:
        problem("It could not be kept", str(error))
