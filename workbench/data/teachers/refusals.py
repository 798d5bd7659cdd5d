"""Which answers of an outside teacher are refused, above all those that betray what the teacher was told.

A reflection that says "I was told to go west" teaches the reflection player to lean on something that it will not have.
"""

import re
from collections.abc import Sequence
from typing import Literal

from workbench.data.teachers.base import Lesson
from workbench.prompts import suggested_command

Refusal = Literal["empty", "betrays", "contradicts"]

_WHAT = r"(?:next )?(?:answers?|actions?|commands?|choices?|solutions?|moves?|steps?)"
_TELLTALE = re.compile(
    r"\bspoil\w*|\bhint(?:s|ed)?\b|\boracle\b|\bground truth\b|\bsecret(?:ly)?\b|\bbeforehand\b|\baccording to\b"
    r"|\b(?:was|were|am|been|being|already) (?:told|given|informed|instructed|advised|provided|known)\b"
    rf"|\b(?:provided|given|supplied|stated|suggested|revealed|known) {_WHAT}\b"
    rf"|\b(?:optimal|correct|right|true|best next) {_WHAT} (?:is|was|are)\b"
    r"|\bas (?:told|instructed|given|provided|stated|suggested|noted|advised)\b"
    r"|\b(?:the|this|your|my) (?:private )?note\b|\bfor (?:me|you) alone\b|\blet on\b",
    flags=re.IGNORECASE,
)


def refusal(text: str, lesson: Lesson, *, told: str | None) -> Refusal | None:
    """Why a cleaned answer cannot be used, or None.

    Args:
        text: One line, without control characters.
        lesson: What was asked.
        told: The spoiler that was in the question; None asks for no check of it.

    Returns:
        ``empty`` for an answer without a word; ``betrays`` for one that lets on that the solution was known, or is nothing but the
        command it was told; ``contradicts`` for one that advises another command than the one it was told.
    """
    if not re.search(r"\w", text):
        return "empty"
    if told is None:
        return None
    if betrays(text, (lesson.task_statement, lesson.observation)) or _words(text) == _words(told):
        return "betrays"
    named = [command for command in lesson.commands if suggested_command(text, [command])]
    return "contradicts" if named and told not in named else None


def betrays(text: str, seen: Sequence[str]) -> bool:
    """Whether ``text`` speaks of having been told, in words that the player could not have from what was ``seen``."""
    known = " ".join(seen).lower()
    return any(match[0].lower() not in known for match in _TELLTALE.finditer(text))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
