"""The reflection player: what it says about a state, before the policy sees its commands.

A greedy frozen player is a function of its prompt, so each prompt is decoded once and remembered.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from workbench.models.language_model import LanguageModel, left_padded
from workbench.models.scoring import token_log_probs
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
        eos = player.tokenizer.eos_token_id
        self._eos_ids = {int(eos)} if eos is not None else set()
        special = set(map(int, player.tokenizer.all_special_ids)) - self._eos_ids
        # Embeddings are often padded to a round number: ids that the tokenizer does not know mean nothing.
        unknown = range(len(player.tokenizer), player.vocabulary)
        self._forbidden = torch.tensor(sorted({*special, *unknown}), dtype=torch.long, device=player.device)

    def reflect(self, situations: Sequence[Situation]) -> list[Reflection]:
        """Reflections in order; equal prompts of a greedy player are decoded once."""
        prompts = [self.prompts.reflection(one.task_statement, one.observation).token_ids for one in situations]
        if not self.greedy:
            return self._decode(prompts, [one.generator for one in situations])
        missing = list(dict.fromkeys(prompt for prompt in prompts if prompt not in self.memo))
        self.memo.update(zip(missing, self._decode(missing, None), strict=True))
        return [self.memo[prompt] for prompt in prompts]

    def _decode(self, prompts: Sequence[tuple[int, ...]], generators: Sequence[np.random.Generator] | None) -> list[Reflection]:
        results: dict[int, Reflection] = {}
        order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            chosen = [generators[row] for row in rows] if generators is not None else None
            for row, reflection in zip(rows, self._decode_batch([prompts[row] for row in rows], chosen), strict=True):
                results[row] = reflection
        return [results[row] for row in range(len(prompts))]

    @torch.inference_mode()
    def _decode_batch(self, prompts: Sequence[tuple[int, ...]], generators: Sequence[np.random.Generator] | None) -> list[Reflection]:
        self.player.activate()
        device = self.player.device
        batch = left_padded(prompts, self.player.pad_id, device)
        mask_BT = batch.mask_BT if batch.mask_BT is not None else torch.ones_like(batch.token_ids_BT)
        lengths_B = mask_BT.sum(1)
        cache: Any = DynamicCache(config=self.player.model.config)
        output = self.player.forward(batch, past_key_values=cache, use_cache=True)
        ids: list[list[int]] = [[] for _ in prompts]
        log_probs: list[list[float]] = [[] for _ in prompts]
        finished = [False] * len(prompts)
        live = list(range(len(prompts)))
        for step in range(self.max_new_tokens):
            log_probs_BV = token_log_probs(
                output.logits[:, -1], temperature=self.temperature if not self.greedy else 1.0, forbidden_ids=self._forbidden
            )
            picked_B = self._pick(log_probs_BV, [generators[row] for row in live] if generators is not None else None)
            values = log_probs_BV.gather(1, picked_B[:, None])[:, 0].tolist()
            keep: list[int] = []
            for place, (row, token, value) in enumerate(zip(live, picked_B.tolist(), values, strict=True)):
                if token in self._eos_ids:
                    finished[row] = True
                    continue
                ids[row].append(token)
                log_probs[row].append(value)
                keep.append(place)
            if not keep or step + 1 == self.max_new_tokens:
                break
            if len(keep) < len(live):  # rows that are done leave the cache, so that the rest decode faster
                index_B = torch.tensor(keep, device=device)
                cache.batch_select_indices(index_B)
                live = [live[place] for place in keep]
                mask_BT, lengths_B, picked_B = mask_BT[index_B], lengths_B[index_B], picked_B[index_B]
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(live), 1)], dim=1)
            step_batch = batch._replace(token_ids_BT=picked_B[:, None], mask_BT=mask_BT, positions_BT=lengths_B[:, None])
            output = self.player.forward(step_batch, past_key_values=cache, use_cache=True)
            lengths_B = lengths_B + 1
        self.tokens_decoded += sum(map(len, ids))
        return [self._reflection(*parts) for parts in zip(ids, log_probs, finished, strict=True)]

    def _pick(self, log_probs_BV: Tensor, generators: Sequence[np.random.Generator] | None) -> Tensor:
        if generators is None:
            return log_probs_BV.argmax(-1)
        # One uniform number per row from the row's own generator: what a trajectory says does not depend on its neighbours.
        uniform_B = torch.tensor([generator.random() for generator in generators], dtype=torch.float64, device=log_probs_BV.device)
        cumulative_BV = log_probs_BV.double().exp().cumsum(-1)
        threshold_B = uniform_B * cumulative_BV[:, -1]
        return torch.searchsorted(cumulative_BV, threshold_B[:, None], right=True)[:, 0].clamp_max(log_probs_BV.shape[1] - 1)

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
