"""Every prompt to an outside chat model: the teacher that writes warm-up data, and the model that plays in the players' place.

The kinds are those of Reflect-RL (section 4 and appendix): a reflection on the first step or a later one, with the best command
told or not; the correction of a wrong choice; and analyse-then-choose, where the list of commands is shown only after the
analysis, so that neither reflection nor player leans on a label.
"""

import re
from collections.abc import Sequence

from workbench.prompts import Label, cut_at_marker, suggested_command

Messages = list[dict[str, str]]

_ROLE = (
    "You think aloud for a player of a text game who is about to take the next step. You see what the player sees. "
    "Write plain sentences in the first person, as the player's own thoughts: no lists, no headings, no quotation marks."
)
_PLAYER = (
    "You play a text game, one command at a time. Before every command you analyse the situation; then you are shown the commands "
    "that are possible, each behind a label, and answer with one label."
)
_NOTE = (
    "For you alone: the best next command is: {command}\nLet the thoughts arrive at it by what can be seen, and end with it in the "
    "game's own words. Never let on that it was known beforehand."
)
_NO_NOTE = "End with what to do next, in the game's own words."


def reflection_messages(task_statement: str, observation: str, *, first: bool, told: str | None, max_words: int) -> Messages:
    """Asks for a reflection on a state.

    Args:
        task_statement: The instruction.
        observation: The state in words, without the list of commands.
        first: True at the first step of a trajectory, where one sentence is asked for instead of two.
        told: The best next command (the spoiler), or None to leave it to the model.
        max_words: Longest reflection.
    """
    length = "one sentence" if first else "two sentences"
    ask = f"What matters in this situation, and why? Write {length}, at most {max_words} words. {_note(told)}"
    return _conversation(_ROLE, task_statement, observation, ask)


def correction_messages(task_statement: str, observation: str, *, mistake: str, told: str | None, max_words: int) -> Messages:
    """Asks what the last command, a wrong choice, did wrong and how to mend it; arguments as in :func:`reflection_messages`."""
    ask = (
        f"The last command was: {mistake}\nIt was a wrong choice. Say what was wrong with it and how to go on from here, "
        f"at most {max_words} words. {_note(told)}"
    )
    return _conversation(_ROLE, task_statement, observation, ask)


def analysis_messages(task_statement: str, observation: str, *, max_words: int) -> Messages:
    """The first half of analyse-then-choose: a plan without a choice; the list of commands is not shown yet."""
    ask = f"Analyse the situation and plan the next step in at most {max_words} words. Do not choose yet."
    return _conversation(_PLAYER, task_statement, observation, ask)


def choice_messages(analysis: Sequence[dict[str, str]], reflection: str, commands: Sequence[str], labels: Sequence[Label]) -> Messages:
    """The second half: the conversation of the analysis goes on with the list of commands."""
    listed = "\n".join(f"{label.text}: {command}" for label, command in zip(labels, commands, strict=True))
    ask = f"These commands are possible now:\n{listed}\nAnswer with the label of the one you choose, and nothing else."
    return [*analysis, {"role": "assistant", "content": reflection}, {"role": "user", "content": ask}]


def chosen_command(answer: str, commands: Sequence[str], labels: Sequence[Label]) -> str | None:
    """The command that an answer chooses: a label alone, the first word that is a label, or a command's own words; else None."""
    by_label = {label.text: command for label, command in zip(labels, commands, strict=True)}
    words = re.findall(r"[A-Za-z0-9]+", clean_answer(answer))
    if len(words) == 1 and words[0] in by_label:
        return by_label[words[0]]
    # Letters are labels, too, where commands are many, but "I" and "a" are words of a sentence: only numbers are looked for in one.
    numbers = [word for word in words if word.isdigit() and word in by_label]
    return by_label[numbers[0]] if numbers else suggested_command(answer, commands)


def clean_answer(text: str) -> str:
    """A model's answer as one line: without its thinking, control characters and anything from a prompt marker on."""
    text = re.sub(r"<think>.*?(</think>|$)", " ", text, flags=re.DOTALL)
    text = "".join(char if char.isprintable() else " " for char in cut_at_marker(text))
    return " ".join(text.split())


def _note(told: str | None) -> str:
    return _NO_NOTE if told is None else _NOTE.format(command=told)


def _conversation(role: str, task_statement: str, observation: str, ask: str) -> Messages:
    return [{"role": "system", "content": f"{role}\n\n{task_statement}"}, {"role": "user", "content": f"{observation}\n\n{ask}"}]
