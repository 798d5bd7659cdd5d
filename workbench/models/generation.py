"""Writing free text: prompts continued token by token, many at once, with a cache of keys and values."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.models.decoding import decoding_of
from workbench.models.language_model import LanguageModel
from workbench.models.scoring import nucleus_log_probs, token_log_probs

Generators = Sequence[np.random.Generator]


class Generated(NamedTuple):
    """What was written after one prompt."""

    token_ids: tuple[int, ...]
    """The end-of-text included when ``finished``."""
    log_probs: tuple[float, ...]
    """Of each id as it was drawn (temperature and nucleus included), nats; same length."""
    finished: bool
    """False when the length limit came before the end-of-text."""

    @property
    def text_ids(self) -> tuple[int, ...]:
        """The ids without the end-of-text."""
        return self.token_ids[:-1] if self.finished else self.token_ids


class Generator:
    """Continues prompts with one player's model.

    Args:
        player: Frozen while it writes.
        max_new_tokens: Most tokens of one answer, its end-of-text included.
        temperature: Divides the logits; 0 takes the most probable token.
        top_p: Draws among the likeliest tokens that together have this probability.
        batch_size: Prompts continued together; it has no part in what is drawn.
    """

    def __init__(
        self, player: LanguageModel, *, max_new_tokens: int, temperature: float = 1.0, top_p: float = 1.0, batch_size: int = 256
    ) -> None:
        self.player = player
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        self.top_p = top_p
        self.batch_size = batch_size
        eos = player.tokenizer.eos_token_id
        self.eos_ids = {int(eos)} if eos is not None else set()
        special = set(map(int, player.tokenizer.all_special_ids)) - self.eos_ids
        # Embeddings are often padded to a round number: ids that the tokenizer does not know mean nothing.
        unknown = range(len(player.tokenizer), player.vocabulary)
        self.forbidden_ids = torch.tensor(sorted({*special, *unknown}), dtype=torch.long, device=player.device)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        generators: Generators | None = None,
        *,
        on_batch: Callable[[int], object] = lambda count: None,
    ) -> list[Generated]:
        """One answer to each prompt, in order.

        Args:
            prompts: Token ids; equal prompts are computed once.
            generators: Dice of each answer, so that none depends on its neighbours; not needed at temperature 0.
            on_batch: Called with the number of answers of each batch when it is done.
        """
        assert generators is not None or self.temperature == 0
        results: list[Generated | None] = [None] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            dice = [generators[row] for row in rows] if generators is not None else None
            for row, answer in zip(rows, self._batch([tuple(prompts[row]) for row in rows], dice), strict=True):
                results[row] = answer
            on_batch(len(rows))
        return [answer for answer in results if answer is not None]

    @torch.inference_mode()
    def _batch(self, prompts: Sequence[tuple[int, ...]], generators: Generators | None) -> list[Generated]:
        self.player.activate()
        decoding = decoding_of(self.player)
        logits_BV = decoding.begin(prompts, self.max_new_tokens)
        written = [_Written() for _ in prompts]
        live = list(range(len(prompts)))
        for step in range(self.max_new_tokens):
            log_probs_BV, picked_B = self._pick(logits_BV, [generators[row] for row in live] if generators is not None else None)
            values = log_probs_BV.gather(1, picked_B[:, None])[:, 0].tolist()
            for row, token, value in zip(live, picked_B.tolist(), values, strict=True):
                written[row].add(token, value, ends=token in self.eos_ids)
            keep = [place for place, row in enumerate(live) if not written[row].finished]
            if not keep or step + 1 == self.max_new_tokens:
                break
            if len(keep) < len(live):
                decoding.keep(keep)
                live = [live[place] for place in keep]
                picked_B = picked_B[torch.tensor(keep, device=picked_B.device)]
            logits_BV = decoding.next(picked_B)
        return [Generated(tuple(one.ids), tuple(one.log_probs), one.finished) for one in written]

    def _pick(self, logits_BV: Tensor, generators: Generators | None) -> tuple[Tensor, Tensor]:
        log_probs_BV = token_log_probs(logits_BV, temperature=self.temperature or 1.0, forbidden_ids=self.forbidden_ids)
        if self.temperature == 0:
            return log_probs_BV, log_probs_BV.argmax(-1)
        assert generators is not None
        log_probs_BV = nucleus_log_probs(log_probs_BV, self.top_p)
        return log_probs_BV, draw(log_probs_BV, generators)


class _Written:
    """One answer so far."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.log_probs: list[float] = []
        self.finished = False

    def add(self, token: int, log_prob: float, *, ends: bool) -> None:
        self.ids.append(token)
        self.log_probs.append(log_prob)
        self.finished = ends


def draw(log_probs_BV: Tensor, generators: Generators) -> Tensor:
    """One token a row, by one uniform number from the row's own generator: what is drawn does not depend on neighbours. Int64, (B,)."""
    uniform_B = torch.tensor([generator.random() for generator in generators], dtype=torch.float64, device=log_probs_BV.device)
    cumulative_BV = log_probs_BV.double().exp().cumsum(-1)
    threshold_B = uniform_B * cumulative_BV[:, -1]
    return torch.searchsorted(cumulative_BV, threshold_B[:, None], right=True)[:, 0].clamp_max(log_probs_BV.shape[1] - 1)
