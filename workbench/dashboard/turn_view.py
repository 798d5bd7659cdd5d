"""One trajectory, one turn at a time: the world, the reflection, the choice and what it earned."""

import math
from collections.abc import Sequence

import streamlit as st

from workbench.dashboard import links
from workbench.dashboard.components import UNKNOWN, problem, prose
from workbench.dashboard.export import file_name
from workbench.dashboard.export_html import trajectory_html
from workbench.dashboard.turn_cache import token_texts
from workbench.dashboard.turn_figures import probability_figure, strip_figure
from workbench.dashboard.turn_text import tokens_html
from workbench.dashboard.turn_world import draw_world
from workbench.records import Trajectory, Turn
from workbench.store.layout import RunPaths, run_root

_FACT_CHARACTERS = 10
"""What fits beside the name of a fact on a window 1280 pixels wide."""


def show_trajectory(paths: RunPaths, trajectory: Trajectory, index: int) -> None:
    """Draw ``trajectory`` at turn ``index``."""
    turn = trajectory.turns[index]
    with st.container(border=True):
        _heading(paths, trajectory, index)
        st.plotly_chart(strip_figure(trajectory, index), key="strip_figure")
        _steps(trajectory, index)
    world, thought, facts = st.columns([35, 42, 23], gap="medium")
    with world:
        draw_world(trajectory, index)
    with thought:
        _thought(paths, turn)
    with facts:
        _facts(trajectory, turn)
    st.caption("The address above leads to exactly this turn. In a notebook (the button at its right copies it):")
    st.code(notebook_code(paths, trajectory.trajectory_id, index), language="python")
    with st.expander("What the players read"):
        st.caption("Task statement")
        st.text(trajectory.task_statement)
        st.caption("Observation")
        st.code(turn.observation, language=None)
        st.caption(f"The policy's prompt: {len(turn.prompt_token_ids)} tokens{', shortened to fit' if turn.prompt_was_cut else ''}")


def notebook_code(paths: RunPaths, trajectory_id: str, index: int) -> str:
    """Python that gives the turn in a notebook; names are quoted, whatever they hold."""
    own = paths.folder.parent.resolve() == run_root().resolve()
    root = "run_root()" if own else repr(str(paths.folder.parent))
    return (
        f"from workbench.store.layout import find_run{', run_root' if own else ''}\n"
        "from workbench.store.reader import Run\n\n"
        f"trajectory = Run(find_run({root}, {paths.run_id!r})).trajectory({trajectory_id!r})\n"
        f"turn = trajectory.turns[{index}]"
    )


def _heading(paths: RunPaths, trajectory: Trajectory, index: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if trajectory.success:
            st.badge("✓ success", color="green")
        else:
            st.badge("✗ no success", color="red")
        st.text(f"{trajectory.trajectory_id}   ·   stage {trajectory.stage}   ·   task {trajectory.task}")
        st.text(f"reward {trajectory.total_reward:.2f} in {len(trajectory.turns)} turn{'' if len(trajectory.turns) == 1 else 's'}")
        place = {"run": paths.run_id, "stage": trajectory.stage, "task": trajectory.task}
        at = f"{trajectory.phase}-{trajectory.update}"
        links.link("compare", "Compare", icon=":material/compare_arrows:", **place, other_at=at, right=trajectory.trajectory_id)
        step = {"trajectory": trajectory.trajectory_id, "turn": str(index)}
        links.link("what_if", "What if", icon=":material/alt_route:", run=paths.run_id, **step)
        st.download_button(
            "HTML file",
            lambda: trajectory_file(paths, trajectory),
            file_name(f"{paths.run_id}-{trajectory.trajectory_id}", "html"),
            "text/html",
            key="html_trajectory",
            icon=":material/download:",
            help="Every turn of this trajectory in one file that works anywhere",
            on_click="ignore",
        )


def trajectory_file(paths: RunPaths, trajectory: Trajectory) -> str:
    """The trajectory as one HTML file."""
    texts = [_known_texts(paths, turn) for turn in trajectory.turns]
    return trajectory_html(trajectory, run=paths.run_id, token_texts=texts)


def _steps(trajectory: Trajectory, index: int) -> None:
    """Draw the ways from turn to turn; each changes the address, which alone says what is shown."""
    count, error = len(trajectory.turns), first_error(trajectory)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button(
            "Previous",
            icon=":material/arrow_back:",
            key="previous",
            shortcut="Left",
            disabled=index == 0,
            on_click=_go_to,
            args=(index - 1,),
        )
        if count > 1:
            st.session_state["turn_slider"] = index
            st.slider(f"Turn (0 to {count - 1})", 0, count - 1, key="turn_slider", on_change=_follow_slider, label_visibility="collapsed")
        st.button(
            "Next",
            icon=":material/arrow_forward:",
            key="next",
            shortcut="Right",
            disabled=index >= count - 1,
            on_click=_go_to,
            args=(index + 1,),
        )
        st.button(
            "First error",
            icon=":material/error:",
            key="first_error",
            shortcut="E",
            help="The first turn whose command is not the oracle's",
            disabled=error is None,
            on_click=_go_to,
            args=(error,),
        )


def first_error(trajectory: Trajectory) -> int | None:
    """The first turn whose command is not the one that the oracle noted; None where there is none, or no oracle."""
    return next((turn.index for turn in trajectory.turns if turn.oracle_command not in (None, turn.command)), None)


def _go_to(index: int) -> None:
    st.query_params["turn"] = str(index)


def _follow_slider() -> None:
    _go_to(st.session_state["turn_slider"])


def _thought(paths: RunPaths, turn: Turn) -> None:
    st.subheader("What it thought", anchor=False)
    reflection = turn.reflection
    with st.container(border=True):
        if reflection.text:
            prose(reflection.text, reflection.suggested_command)
            _tokens(paths, turn)
        else:
            st.caption("No reflection at this turn.")
        if not reflection.finished:
            st.caption("Cut off at the length limit.")
    st.subheader("What it chose", anchor=False)
    if len(turn.probabilities) != len(turn.admissible_commands) or turn.command not in turn.admissible_commands:
        problem(
            "The probabilities of this turn do not fit its commands",
            f"{len(turn.probabilities)} for {len(turn.admissible_commands)} commands",
        )
        return
    st.plotly_chart(probability_figure(turn), key="probability_figure", config={"displayModeBar": False})
    st.caption(":blue[■] **chosen** · :orange[◆] suggested by the reflection · :violet[★] the oracle's")


def _tokens(paths: RunPaths, turn: Turn) -> None:
    """Draw how sure the reflection player was of each token, where that was noted."""
    reflection = turn.reflection
    if not reflection.log_probs or len(reflection.log_probs) != len(reflection.token_ids):
        return
    with st.expander(f"Token by token: {len(reflection.token_ids)} tokens, {sum(reflection.log_probs):.2f} nats together"):
        texts = _known_texts(paths, turn)
        if texts is None:
            st.caption("The run's tokenizer is not on this machine, so tokens are shown by number.")
            texts = [f"{token} " for token in reflection.token_ids]
        st.html(tokens_html(texts, reflection.log_probs))
        st.caption("The darker, the less probable; the pointer shows the probability.")


def _known_texts(paths: RunPaths, turn: Turn) -> list[str] | None:
    """The text of each token of the reflection; None where it is not known."""
    texts = token_texts(paths, turn.reflection.token_ids) if turn.reflection.token_ids else None
    # The words are the record; where a tokenizer says something else, it is not the one that wrote them.
    return texts if texts is not None and "".join(texts).strip() == turn.reflection.text.strip() else None


def _facts(trajectory: Trajectory, turn: Turn) -> None:
    st.subheader("What came of it", anchor=False)
    last = turn.index == len(trajectory.turns) - 1
    st.metric("Reward", f"{turn.reward:+.2f}", border=True)
    if last:
        outcome(trajectory, turn)
    rows = {
        "command": turn.command,
        "label": turn.labels[turn.chosen_index].strip() if turn.command in turn.admissible_commands and turn.labels else UNKNOWN,
        "value": f"{turn.value:+.3f}" if turn.value is not None else UNKNOWN,
        "return to go": f"{trajectory.returns_to_go()[turn.index]:+.2f}",
        "advantage": f"{turn.advantage:+.3f}" if turn.advantage is not None else UNKNOWN,
        "entropy, nats": f"{entropy(turn.probabilities):.3f}",
        "log-prob, nats": f"{turn.log_prob:.3f}",
        "suggested": turn.reflection.suggested_command or UNKNOWN,
        "oracle": turn.oracle_command or UNKNOWN,
        "state": turn.state_key,
    }
    width = max(map(len, rows))
    # What is too long for its column gets a line of its own.
    lines = [f"{name:<{width}}  {value}" if len(value) <= _FACT_CHARACTERS else f"{name}\n  {value}" for name, value in rows.items()]
    st.code("\n".join(lines), language=None, wrap_lines=True)


def outcome(trajectory: Trajectory, turn: Turn) -> None:
    """Say how the trajectory ended at its last turn."""
    if trajectory.success:
        st.badge("✓ solved here", color="green")
    elif turn.terminated:
        st.badge("✗ fatal: the trajectory ended here", color="red")
    elif turn.truncated:
        st.badge("◷ out of turns", color="orange")


def entropy(probabilities: Sequence[float]) -> float:
    """Entropy of a distribution, nats."""
    return -sum(probability * math.log(probability) for probability in probabilities if probability > 0)
