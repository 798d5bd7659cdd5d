"""Two ways to decode token by token: with a cache that grows, or with one of fixed size, whose step can be compiled.

A step of decoding is little arithmetic and many small kernels: on a GPU the time goes into starting them. With shapes that never
change, ``torch.compile`` makes one CUDA graph of a step. Shapes come from a few sizes (rows a power of two, lengths a multiple of
32), so that nothing is compiled any more once each size has come up.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, StaticCache
from transformers.cache_utils import StaticLayer

from workbench.models.language_model import Batch, LanguageModel, left_padded

Prompts = Sequence[tuple[int, ...]]
LEAST_ROWS = 8
LENGTH_STEP = 32
MOST_SIZES = 64
"""Sizes that are compiled; PyTorch's own limit of 8 is meant for shapes that go astray."""


class Decoding(Protocol):
    """Prompts that are continued side by side."""

    def begin(self, prompts: Prompts, room: int) -> Tensor:
        """Next-token logits after each prompt, (B, V), leaving room for so many more tokens."""

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these rows only."""

    def next(self, picked_B: Tensor) -> Tensor:
        """Next-token logits of the rows that are left, after one more token of each, (B, V)."""


def decoding_of(player: LanguageModel) -> Decoding:
    """As ``player.cache_implementation`` asks; models that attend to their last tokens only always have a cache that grows."""
    if player.cache_implementation == "dynamic" or not can_be_fixed(player):
        return GrowingCache(player)
    if player.fixed_cache is None:
        player.fixed_cache = FixedCache(player, compiled=player.cache_implementation == "compiled")
    return player.fixed_cache


def can_be_fixed(player: LanguageModel) -> bool:
    """True where every layer keeps all tokens."""
    return all(type(layer) is StaticLayer for layer in StaticCache(config=player.model.config, max_cache_len=1).layers)


class GrowingCache:
    """Keys and values of exactly the tokens so far; rows that are done leave it.

    Args:
        player: Whose model decodes.
    """

    def __init__(self, player: LanguageModel) -> None:
        self.player = player

    def begin(self, prompts: Prompts, room: int) -> Tensor:
        """Equal prompts are computed once."""
        device = self.player.device
        unique = list(dict.fromkeys(prompts))
        batch = left_padded(unique, self.player.pad_id, device)
        self.mask_BT = batch.mask_BT if batch.mask_BT is not None else torch.ones_like(batch.token_ids_BT)
        self.cache: Any = DynamicCache(config=self.player.model.config)
        logits_BV: Tensor = self.player.forward(batch, past_key_values=self.cache, use_cache=True).logits[:, -1]
        if len(unique) < len(prompts):
            places = {prompt: place for place, prompt in enumerate(unique)}
            copies_B = torch.tensor([places[prompt] for prompt in prompts], device=device)
            self.cache.batch_select_indices(copies_B)
            logits_BV, self.mask_BT = logits_BV[copies_B], self.mask_BT[copies_B]
        self.lengths_B = self.mask_BT.sum(1)
        return logits_BV

    def keep(self, places: Sequence[int]) -> None:
        """The others leave the cache, so that the rest go faster."""
        index_B = torch.tensor(places, device=self.player.device)
        self.cache.batch_select_indices(index_B)
        self.mask_BT, self.lengths_B = self.mask_BT[index_B], self.lengths_B[index_B]

    def next(self, picked_B: Tensor) -> Tensor:
        """One pass over one token a row."""
        self.mask_BT = torch.cat([self.mask_BT, self.mask_BT.new_ones(len(picked_B), 1)], dim=1)
        batch = Batch(picked_B[:, None], self.mask_BT, self.lengths_B[:, None])
        logits_BV: Tensor = self.player.forward(batch, past_key_values=self.cache, use_cache=True).logits[:, -1]
        self.lengths_B = self.lengths_B + 1
        return logits_BV


class FixedCache:
    """Keys and values in memory that is laid out once for each size and used again; rows that are done are carried along.

    Args:
        player: Whose model decodes; at most one of its batches at a time.
        compiled: Compile a step, on CUDA as a graph.
        backend: Of ``torch.compile``.
    """

    def __init__(self, player: LanguageModel, *, compiled: bool, backend: str | Callable[..., Any] = "inductor") -> None:
        self.player = player
        self.sizes: dict[tuple[int, int], Any] = {}
        """The caches by rows and length."""
        self._step: Callable[..., Tensor] = self._forward
        if compiled:
            # A graph replays what was once recorded, addresses included: the caches are therefore kept.
            mode = "reduce-overhead" if player.device.type == "cuda" and backend == "inductor" else None
            self._step = torch.compile(self._forward, dynamic=False, mode=mode, backend=backend)

    def begin(self, prompts: Prompts, room: int) -> Tensor:
        """The prompts go through a cache that grows, since only what comes up again and again is worth fixing."""
        prefill = GrowingCache(self.player)
        logits_BV = prefill.begin(prompts, room)
        count, width = prefill.mask_BT.shape
        rows, length = fixed_size(count, width + room)
        # Rows that fill the size up repeat the first one; nobody reads what they give.
        copies_R = torch.tensor([*range(count), *[0] * (rows - count)], device=self.player.device)
        self.cache = self.sizes.setdefault((rows, length), StaticCache(config=self.player.model.config, max_cache_len=length))
        for layer, source in zip(self.cache.layers, prefill.cache.layers, strict=True):
            keys, values = source.keys.index_select(0, copies_R), source.values.index_select(0, copies_R)
            if not layer.is_initialized:
                layer.lazy_initialization(keys, values)
            layer.keys[:, :, :width].copy_(keys)
            layer.values[:, :, :width].copy_(values)
            layer.cumulative_length.fill_(width)
        # Tokens to come count as seen already: that none looks ahead is the causal mask's business.
        self.mask_RS = torch.ones(rows, length, dtype=torch.long, device=self.player.device)
        self.mask_RS[:, :width] = prefill.mask_BT[copies_R]
        self.positions_R = prefill.lengths_B[copies_R]
        self.token_ids_R = torch.full((rows,), self.player.pad_id, dtype=torch.long, device=self.player.device)
        self.live_B = torch.arange(count, device=self.player.device)
        return logits_BV

    def keep(self, places: Sequence[int]) -> None:
        """The others stay where they are, and are read no more."""
        self.live_B = self.live_B[torch.tensor(places, device=self.player.device)]

    def next(self, picked_B: Tensor) -> Tensor:
        """One pass over one token a row, of the same shape every time."""
        self.token_ids_R = self.token_ids_R.index_copy(0, self.live_B, picked_B)
        with torch._dynamo.config.patch(recompile_limit=MOST_SIZES):
            logits_RV = self._step(self.token_ids_R[:, None], self.mask_RS, self.positions_R[:, None], self.cache)
        self.positions_R = self.positions_R + 1
        return logits_RV.index_select(0, self.live_B)

    def _forward(self, token_ids_R1: Tensor, mask_RS: Tensor, positions_R1: Tensor, cache: Any) -> Tensor:
        batch = Batch(token_ids_R1, mask_RS, positions_R1)
        logits_RV: Tensor = self.player.forward(batch, past_key_values=cache, use_cache=True).logits[:, -1]
        return logits_RV


def fixed_size(rows: int, length: int) -> tuple[int, int]:
    """The least rows and length of a cache of fixed size that hold so many.

    Example:
        >>> fixed_size(3, 40), fixed_size(9, 64)
        ((8, 64), (16, 64))
    """
    return max(LEAST_ROWS, 1 << (rows - 1).bit_length()), -(-length // LENGTH_STEP) * LENGTH_STEP
