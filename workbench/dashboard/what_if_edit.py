"""What the policy reads at a step, part by part, each to be changed, and what it answers with and without the changes."""

from functools import partial
from typing import NamedTuple

import numpy as np
import streamlit as st

from workbench.dashboard import cache
from workbench.dashboard.components import problem
from workbench.dashboard.what_if_figures import change_figure
from workbench.dashboard.what_if_state import Line
from workbench.envs.replay import Scene
from workbench.envs.text_env import TextEnv
from workbench.errors import PromptError, StoreError
from workbench.records import Turn
from workbench.rollout.what_if import Considered, Players, Question, moved_share, said
from workbench.store.layout import RunPaths


class Asked(NamedTuple):
    """The policy's answer to what the person made of a step."""

    considered: Considered
    temperature: float
    edits: tuple[str, ...]
    """Parts that were changed."""


def ask(paths: RunPaths, players: Players, env: TextEnv, scene: Scene, line: Line) -> Asked | None:
    """Draw the parts of the question and the answer; None where the changes make no question.

    Raises:
        WorkbenchError: The players cannot be asked even without changes.
    """
    plain = players.question(env, scene, line.turns, seed=line.seed)
    st.subheader("What the policy reads", anchor=False)
    temperature = _temperature()
    before = players.consider(plain, temperature=temperature)
    question = _edited(players, plain, line)
    edits = _changed_parts(plain, question)
    try:
        after = before if not edits else players.consider(question, temperature=temperature)
    except PromptError as error:
        problem("This cannot be asked", str(error), hint="Change it, or put it back.")
        return None
    recorded = _recorded_turn(paths, line)
    st.subheader("What it would do", anchor=False)
    if edits:
        moved = moved_share(before.probabilities, after.probabilities)
        st.markdown(f"Your changes ({', '.join(edits)}) move **{moved:.1%}** of the probability.")
    else:
        st.caption("Nothing is changed yet: edit the reflection, the labels or the observation above, and the blue bars follow.")
    figure = change_figure(
        question.commands,
        question.labels,
        before.probabilities,
        after.probabilities,
        recorded=_same_commands(recorded, question),
        suggested=question.reflection.suggested_command if question.reflection else None,
        oracle=scene.oracle_command,
    )
    st.plotly_chart(figure, key="change_figure", config={"displayModeBar": False})
    return Asked(after, temperature, edits)


def _temperature() -> float:
    return float(
        st.slider("Temperature", 0.1, 3.0, 1.0, 0.1, key="what_if_temperature", width=260, help="Divides the logits; 1 is how runs explore")
    )


def _edited(players: Players, plain: Question, line: Line) -> Question:
    """Draw the fields, filled with what the policy would read, and give what they hold."""
    keys = {part: f"what_if_{part}_{line.place}" for part in ("reflection", "labels", "observation")}
    reflection = plain.reflection
    if players.reflects and reflection is not None:
        text = st.text_area("Reflection", reflection.text, key=keys["reflection"], height=110)
        if text != reflection.text:
            reflection = said(text, plain.commands)
    elif not players.reflects:
        st.caption("Nobody reflects in this run.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        labels = st.text_input(
            "Labels", _joined(plain.labels), key=keys["labels"], width=320, help=f"One for each of: {', '.join(plain.commands)}"
        )
        st.button("Shuffle", icon=":material/shuffle:", key="shuffle", on_click=partial(_shuffle, keys["labels"]))
        st.button(
            "Put everything back", icon=":material/settings_backup_restore:", key="put_back", on_click=partial(_put_back, plain, keys)
        )
    with st.expander("The state in words"):
        st.caption(
            "Only what the policy reads changes; the world stays where it is. To change the world itself, play or take back commands."
        )
        observation = st.text_area("Observation", plain.observation, key=keys["observation"], height=220)
    texts = tuple(part.strip() for part in labels.split(",") if part.strip())
    # The labels of some tokenizers carry a space; a person does not type it.
    written = {label.strip(): label for label in players.labels}
    return Question(plain.task_statement, observation, reflection, plain.commands, tuple(written.get(text, text) for text in texts))


def _joined(labels: tuple[str, ...]) -> str:
    return ", ".join(label.strip() for label in labels)


def _shuffle(key: str) -> None:
    parts = [part.strip() for part in str(st.session_state[key]).split(",")]
    count = st.session_state.get("what_if_shuffles", 0) + 1
    st.session_state["what_if_shuffles"] = count
    order = np.random.default_rng(count).permutation(len(parts))
    st.session_state[key] = ", ".join(parts[place] for place in order)


def _put_back(plain: Question, keys: dict[str, str]) -> None:
    st.session_state[keys["labels"]] = _joined(plain.labels)
    st.session_state[keys["observation"]] = plain.observation
    if plain.reflection is not None and keys["reflection"] in st.session_state:
        st.session_state[keys["reflection"]] = plain.reflection.text


def _changed_parts(plain: Question, edited: Question) -> tuple[str, ...]:
    parts = ("reflection", "labels", "observation")
    return tuple(part for part in parts if getattr(plain, part) != getattr(edited, part))


def _recorded_turn(paths: RunPaths, line: Line) -> Turn | None:
    """The record's own turn at this point, while nothing has been played on."""
    if line.parent is None or len(line.turns) != line.began:
        return None
    try:
        turns = cache.trajectory(paths, line.parent).turns
    except StoreError:
        return None
    return turns[line.began] if line.began < len(turns) else None


def _same_commands(turn: Turn | None, question: Question) -> tuple[float, ...] | None:
    return turn.probabilities if turn is not None and turn.admissible_commands == question.commands else None
