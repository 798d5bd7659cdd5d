"""The reflection player: what it says about a state, before the policy sees its commands.

A greedy frozen player is a function of its prompt, so each prompt is decoded once and remembered.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from workbench.models.generation import Generator
from workbench.models.language_model import LanguageModel
from workbench.prompts import MARKERS, cut_at_marker
from workbench.records import Reflection


class Situation(Protocol):
    """What a reflection player may look at."""

    @property
    def task_statement(self) -> str:
        """The instruction."""

    @property
    def observation(self) -> str:
        """The state in words."""

    @property
    def hint(self) -> str | None:
        """A teacher's reflection, where the player asked for one."""

    @property
    def generator(self) -> np.random.Generator:
        """Randomness of this trajectory's reflections."""


class ReflectionPlayer(Protocol):
    """Anything that comments on states."""

    wants_hint: bool
    """True when situations must carry a teacher's reflection."""

    def reflect(self, situations: Sequence[Situation]) -> list[Reflection]:
        """One reflection per situation, in order; ``suggested_command`` is left to the caller."""


class ModelReflection:
    """A frozen language model; greedy ones are computed once per prompt.

    Args:
        player: The language model, in eval mode and without gradients throughout.
        greedy: Take the most probable token; otherwise sample at ``temperature``.
        temperature: For sampling, above 0.
        max_new_tokens: Longest reflection; it normally ends at its end-of-text before.
        batch_size: Prompts decoded together.
    """

    wants_hint = False

    def __init__(
        self, player: LanguageModel, *, greedy: bool, temperature: float = 1.0, max_new_tokens: int, batch_size: int = 256
    ) -> None:
        self.player = player
        self.greedy = greedy
        self.temperature = temperature
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.prompts = player.prompts(room=max_new_tokens)
        self.memo: dict[tuple[int, ...], Reflection] = {}
        self.tokens_decoded = 0
        self.writer = Generator(player, max_new_tokens=max_new_tokens, temperature=0.0 if greedy else temperature, batch_size=batch_size)

    def reflect(self, situations: Sequence[Situation]) -> list[Reflection]:
        """Reflections in order; equal prompts of a greedy player are decoded once."""
        prompts = [self.prompts.reflection(one.task_statement, one.observation).token_ids for one in situations]
        if not self.greedy:
            return self._decode(prompts, [one.generator for one in situations])
        missing = list(dict.fromkeys(prompt for prompt in prompts if prompt not in self.memo))
        self.memo.update(zip(missing, self._decode(missing, None), strict=True))
        return [self.memo[prompt] for prompt in prompts]

    def _decode(self, prompts: Sequence[tuple[int, ...]], generators: Sequence[np.random.Generator] | None) -> list[Reflection]:
        written = self.writer.generate(prompts, generators)
        self.tokens_decoded += sum(len(one.text_ids) for one in written)
        return [self._reflection(list(one.text_ids), list(one.log_probs[: len(one.text_ids)]), one.finished) for one in written]

    def _reflection(self, ids: list[int], log_probs: list[float], finished: bool) -> Reflection:
        tokenizer = self.player.tokenizer
        text = str(tokenizer.decode(ids))
        if any(marker.strip() in text for marker in MARKERS):
            clean = cut_at_marker(text)
            while ids and not clean.startswith(str(tokenizer.decode(ids))):
                ids = ids[:-1]
            text = str(tokenizer.decode(ids))
        return Reflection(text=text, token_ids=tuple(ids), log_probs=tuple(log_probs[: len(ids)]), finished=finished)


class HintReflection:
    """Says what a teacher who knows the solution would say: the upper bound (kind `oracle`)."""

    wants_hint = True

    def reflect(self, situations: Sequence[Situation]) -> list[Reflection]:
        """The hints as reflections; empty where the teacher had nothing to say."""
        return [Reflection(text=one.hint or "") for one in situations]


class ShuffledReflection:
    """Says what was said about some other state: a control that keeps the language and removes the advice.

    Args:
        pool: Reflections of many states.
    """

    wants_hint = False

    def __init__(self, pool: Sequence[Reflection]) -> None:
        self.pool = list(pool)

    def reflect(self, situations: Sequence[Situation]) -> list[Reflection]:
        """A reflection drawn from the pool by each trajectory's own generator."""
        return [self.pool[int(one.generator.integers(len(self.pool)))] for one in situations]
