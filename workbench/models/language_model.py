"""A causal language model as one player uses it: its tokenizer, its adapter, its way of being fed.

Two players may share one model in memory under two adapters; :meth:`LanguageModel.activate` switches.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer

from workbench.config import CacheImplementation
from workbench.models.common_heads import CommonHeads, common_heads
from workbench.models.last_block import has_last_block
from workbench.prompts import PromptBuilder

if TYPE_CHECKING:
    from workbench.models.decoding import FixedCache

WORTH_SPLITTING = 0.8
"""Prompts are computed in two parts where that leaves at most this share of their padded tokens."""


class Batch(NamedTuple):
    """Prompts padded on the left, so that every row's last position is its answer's."""

    token_ids_BT: Tensor
    mask_BT: Tensor | None
    """1 where a token is real; None when no row is padded, which lets attention take its fastest way."""
    positions_BT: Tensor | None


class LastStates(NamedTuple):
    """What a model makes of prompts at their last position."""

    logits_BV: Tensor
    hidden_BE: Tensor
    """After the last block and its norm."""


def left_padded(prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> Batch:
    """Pad ``prompts`` on the left to the longest; positions count real tokens from 0."""
    width = max(map(len, prompts))
    rows = [[pad_id] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    ids_BT = torch.tensor(rows, dtype=torch.long, device=device)
    if all(len(prompt) == width for prompt in prompts):
        return Batch(ids_BT, None, None)
    lengths_B = torch.tensor([len(prompt) for prompt in prompts], device=device)
    offsets_BT = torch.arange(width, device=device)[None, :] - (width - lengths_B)[:, None]
    return Batch(ids_BT, (offsets_BT >= 0).long(), offsets_BT.clamp_min(0))


class LanguageModel:
    """One player's model.

    Args:
        model: A causal language model, or a PEFT model that holds this player's adapter.
        tokenizer: Its tokenizer.
        adapter: Name of this player's adapter; None when the whole model is the player's.
        name: What to call it in messages, e.g. ``gpt2-xl``.
        cache_implementation: How it decodes, see ``decoding.py``.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        adapter: str | None,
        name: str,
        cache_implementation: CacheImplementation = "dynamic",
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.adapter = adapter
        self.name = name
        self.cache_implementation = cache_implementation
        self.fixed_cache: FixedCache | None = None
        """What it decodes with where that is of fixed size; made when it first decodes."""
        base = model.get_base_model() if isinstance(model, PeftModel) else model
        self._has_last_block = has_last_block(base)
        self._takes_positions = "position_ids" in inspect.signature(base.forward).parameters
        config: Any = base.config
        self.context = context_length(config)
        self.hidden_size = int(config.get_text_config().hidden_size)
        self.vocabulary = int(config.vocab_size)
        self.pad_id = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def prompts(self, *, room: int, limit: int | None = None) -> PromptBuilder:
        """A builder whose prompts leave ``room`` tokens of the context for the answer."""
        longest = self.context - room
        return PromptBuilder(self.tokenizer, min(longest, limit) if limit else longest)

    def activate(self, *, training: bool = False) -> None:
        """Make this player's adapter the active one and set the mode; only training keeps dropout on."""
        if self.adapter is not None and isinstance(self.model, PeftModel) and self.model.active_adapter != self.adapter:
            self.model.set_adapter(self.adapter)
        if self.model.training != training:
            self.model.train(training)

    def trainable_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """This player's own parameters by name, gradients switched on."""
        self.activate()
        if self.adapter is None:
            chosen = list(self.model.named_parameters())
        else:
            chosen = [(name, value) for name, value in self.model.named_parameters() if f".{self.adapter}." in name]
        for _, value in chosen:
            value.requires_grad_(True)
        return chosen

    def forward(self, batch: Batch, *, positions_kept: int = 1, **extra: Any) -> Any:
        """The model's output with logits for the last ``positions_kept`` positions only."""
        if batch.mask_BT is not None:
            extra["attention_mask"] = batch.mask_BT
        if batch.positions_BT is not None and self._takes_positions:
            extra["position_ids"] = batch.positions_BT
        if self._has_last_block and positions_kept == 1:
            extra["last_only"] = True
        extra.setdefault("use_cache", False)
        return self.model(input_ids=batch.token_ids_BT, logits_to_keep=positions_kept, **extra)

    def last_logits(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Next-token logits after each prompt, (B, V); differentiable when gradients are on.

        Where it spares enough work, beginnings that prompts share are computed once.
        """
        split = common_heads([tuple(prompt) for prompt in prompts]) if self.can_share_heads() else None
        if split is not None and split.padded_tokens <= WORTH_SPLITTING * len(prompts) * max(map(len, prompts)):
            return self.tail_logits(split)[:, -1]
        logits: Tensor = self.forward(left_padded(prompts, self.pad_id, self.device)).logits
        return logits[:, -1]

    def last_states(self, prompts: Sequence[Sequence[int]]) -> LastStates:
        """As :meth:`last_logits`, with the hidden state that the logits are made of."""
        with self._watched_head() as seen:
            logits_BV = self.last_logits(prompts)
        return LastStates(logits_BV, seen[-1][:, -1])

    @contextmanager
    def _watched_head(self) -> Iterator[list[Tensor]]:
        # Whatever the architecture and its adapters, the hidden state is what its language-model head is fed.
        base: Any = self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model
        head = base.get_output_embeddings()
        seen: list[Tensor] = []
        handle = head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        try:
            yield seen
        finally:
            handle.remove()

    def can_share_heads(self) -> bool:
        """Whether beginnings can be computed once for all sequences that share them."""
        # A checkpointed pass has no cache, and dropout would differ between prompts that share a head; both come with training mode.
        return not self.model.training and all(type(layer) is DynamicLayer for layer in DynamicCache(config=self.model.config).layers)

    def tail_logits(self, split: CommonHeads, *, positions_kept: int = 1) -> Tensor:
        """Next-token logits at the last positions of every sequence, each shared beginning computed once, (B, ``positions_kept``, V)."""
        cache: Any = DynamicCache(config=self.model.config)
        heads, tails = (left_padded(part, self.pad_id, self.device) for part in (split.heads, split.tails))
        self.forward(heads, past_key_values=cache, use_cache=True)
        rows_B = torch.tensor(split.head_of, device=self.device)
        for layer in cache.layers:
            layer.keys, layer.values = layer.keys.index_select(0, rows_B), layer.values.index_select(0, rows_B)
        lengths_B = torch.tensor([len(head) for head in split.heads], device=self.device)[rows_B]
        masks = [part.mask_BT if part.mask_BT is not None else torch.ones_like(part.token_ids_BT) for part in (heads, tails)]
        tail_positions_BT = (masks[1].cumsum(1) - 1).clamp_min(0) + lengths_B[:, None]
        batch = Batch(tails.token_ids_BT, torch.cat([masks[0][rows_B], masks[1]], dim=1), tail_positions_BT)
        logits: Tensor = self.forward(batch, positions_kept=positions_kept, past_key_values=cache, use_cache=True).logits
        return logits


def context_length(config: Any) -> int:
    """Longest sequence a model of this configuration takes, tokens; 2,048 where it sets no limit."""
    for field in ("n_positions", "max_position_embeddings"):
        value = getattr(config, field, None)
        if isinstance(value, int):
            return value
    return 2048
