"""Every prompt of both players, and the single-token labels of the policy's choices.

One builder serves warm-up, online RL, evaluation and data, so that a prompt never differs between them. A
prompt is a list of pieces that are tokenised one by one and joined as ids (Reflect-RL, section 3: the
reflection player does not see the list of commands; the list comes after the reflection)::

    reflection   task statement | observation | # Analyze:
    policy       task statement | observation | # Analyze: | reflection | # Choose: | list | # Action:
    no player    task statement | observation | # Choose: | list | # Action:

When a prompt is too long only the observation is shortened, from its beginning; the task statement and the
list of commands are never touched.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from workbench.errors import PromptError

ANALYZE = "# Analyze:\n"
CHOOSE = "\n# Choose:\n"
ACTION = "# Action:\n"
MARKERS = (ANALYZE, CHOOSE, ACTION)
MAX_LABELS = 252
CACHED_PIECES = 65_536


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that prompts need."""

    bos_token_id: int | None
    unk_token_id: int | None

    def encode(self, text: str, *, add_special_tokens: bool, split_special_tokens: bool = ...) -> list[int]:
        """Token ids of ``text``."""

    def decode(self, token_ids: list[int]) -> str | list[str]:
        """Text of ``token_ids``."""

    def convert_tokens_to_ids(self, tokens: str) -> int | list[int] | None:
        """Id of one vocabulary entry; None, or the unknown token's, when there is none."""


class Label(NamedTuple):
    """What stands for a command: one token of the policy's tokenizer."""

    text: str
    token_id: int


class Prompt(NamedTuple):
    """A prompt as it is fed to a model."""

    token_ids: tuple[int, ...]
    was_cut: bool
    """True when the observation was shortened to fit."""


def label_candidates() -> list[str]:
    """The label texts in order of preference: 0 to 199, a to z, A to Z."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    return [str(number) for number in range(200)] + letters + [letter.upper() for letter in letters]


def single_token_labels(tokenizer: Tokenizer) -> list[Label]:
    """Every candidate that is exactly one token of this tokenizer, in order of preference.

    A tokenizer that marks word starts (SentencePiece) splits a lone ``0`` in two; there the vocabulary is
    asked for the bare entry instead.
    """
    labels: list[Label] = []
    taken: set[int] = set()
    for text in label_candidates():
        ids = tokenizer.encode(text, add_special_tokens=False)
        entry = ids[0] if len(ids) == 1 else tokenizer.convert_tokens_to_ids(text)
        if not isinstance(entry, int) or entry == tokenizer.unk_token_id or entry in taken:
            continue
        if str(tokenizer.decode([entry])).strip() == text:
            labels.append(Label(text, entry))
            taken.add(entry)
    return labels


def assign_labels(labels: Sequence[Label], count: int, generator: np.random.Generator) -> list[Label]:
    """The first ``count`` labels in a random order, one per command, so that no label stands for a command.

    Raises:
        PromptError: The tokenizer has fewer single-token labels than the state has commands.
    """
    if count > len(labels):
        raise PromptError(
            f"the tokenizer has {len(labels)} single-token labels but this state has {count} commands; "
            "use another model or an environment with fewer commands"
        )
    return [labels[place] for place in generator.permutation(count)]


def suggested_command(reflection: str, commands: Sequence[str]) -> str | None:
    """The admissible command that the reflection names last, as whole words, or None.

    The last one counts because a reflection describes before it advises ("the wall is north, so go west").
    """
    text = f" {_words(reflection)} "
    best: tuple[int, int, str] | None = None
    for command in commands:
        words = _words(command)
        place = text.rfind(f" {words} ") if words else -1
        # At equal ends the longer command wins: it says "pick up the key", not "key".
        if place >= 0 and (best is None or (place + len(words), len(words)) > best[:2]):
            best = (place + len(words), len(words), command)
    return best[2] if best else None


def _words(text: str) -> str:
    return " ".join("".join(char if char.isalnum() else " " for char in text.lower()).split())


def reflection_text(task_statement: str, observation: str) -> str:
    """The reflection player's prompt in letters, uncut; :class:`PromptBuilder` makes the ids that are fed to a model."""
    return f"{task_statement}\n{observation}\n{ANALYZE}" if task_statement else f"{observation}\n{ANALYZE}"


def policy_text(task_statement: str, observation: str, reflection: str | None, commands: Sequence[str], labels: Sequence[str]) -> str:
    """The policy's prompt in letters, uncut; ``reflection`` None leaves the reflection and its marker out."""
    start = reflection_text(task_statement, observation)
    thought = start.removesuffix(ANALYZE) if reflection is None else start + reflection
    return thought + CHOOSE + "".join(f"{label} {command}\n" for label, command in zip(labels, commands, strict=True)) + ACTION


def cut_at_marker(text: str) -> str:
    """``text`` up to the first prompt marker it contains, so that a reflection cannot forge a prompt."""
    places = [text.find(marker.strip()) for marker in MARKERS]
    found = [place for place in places if place >= 0]
    return text[: min(found)] if found else text


class PromptBuilder:
    """Builds the prompts of one tokenizer, within a token budget.

    Args:
        tokenizer: The player's tokenizer.
        max_tokens: Longest prompt, in tokens; room for the answer is the caller's to leave.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.labels = single_token_labels(tokenizer)
        self.encode = lru_cache(maxsize=CACHED_PIECES)(self._encode)
        self._start = self._start_ids()

    def reflection(self, task_statement: str, observation: str) -> Prompt:
        """What the reflection player reads: the situation without the list of commands."""
        return self._fit(self._head(task_statement), observation, self.encode(ANALYZE))

    def policy(
        self,
        task_statement: str,
        observation: str,
        reflection_ids: Sequence[int] | None,
        commands: Sequence[str],
        labels: Sequence[Label],
    ) -> Prompt:
        """What the policy reads; ``reflection_ids`` None leaves the reflection and its marker out."""
        tail: list[int] = []
        if reflection_ids is not None:
            tail += self.encode(ANALYZE)
            tail += reflection_ids
        tail += self.encode(CHOOSE)
        for label, command in zip(labels, commands, strict=True):
            tail.append(label.token_id)
            tail += self.encode(f" {command}\n")
        tail += self.encode(ACTION)
        return self._fit(self._head(task_statement), observation, tail)

    def command(self, command: str) -> tuple[int, ...]:
        """A whole command as a policy says it after its prompt; the end of the line ends it, so that none is the beginning of another."""
        return self.encode(f" {command}\n")

    def _encode(self, text: str) -> tuple[int, ...]:
        # Special tokens spelled out in an observation or a reflection are words like any other.
        return tuple(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def _start_ids(self) -> tuple[int, ...]:
        # Models trained with a begin-of-text token expect it; a tokenizer says so by adding it itself.
        bos = self.tokenizer.bos_token_id
        if bos is None:
            return ()
        return (bos,) if self.tokenizer.encode("a", add_special_tokens=True)[:1] == [bos] else ()

    def _head(self, task_statement: str) -> tuple[int, ...]:
        return self._start + (self.encode(f"{task_statement}\n") if task_statement else ())

    def _fit(self, head: Sequence[int], observation: str, tail: Sequence[int]) -> Prompt:
        body = self.encode(f"{observation}\n")
        room = self.max_tokens - len(head) - len(tail)
        if len(body) <= room:
            return Prompt((*head, *body, *tail), was_cut=False)
        if room < 1:
            raise PromptError(
                f"the prompt needs {len(head) + len(tail)} tokens without its observation, but there is room for {self.max_tokens}; "
                "use a model with a longer context, shorter reflections or fewer commands"
            )
        return Prompt((*head, *body[-room:], *tail), was_cut=True)
