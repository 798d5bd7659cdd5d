"""One batched pass over a pool: how unsure the model is of its own response, and where each prompt lies.

Label-efficient SFT (arXiv:2401.06692): the selector sees prompts and what the model makes of them, never a label. Every prompt is read
once; from that reading come its embedding and the first token of a greedy response, which is decoded until its end-of-text.

Axis letters: N prompts, B prompts of a batch, T tokens, V vocabulary, E hidden size, Q token quantities.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache

from workbench.errors import ConfigError, DataError, ModelError
from workbench.models.language_model import LanguageModel, left_padded
from workbench.models.scoring import entropy, token_log_probs
from workbench.selection.features import QUANTITIES, REDUCERS, Features

Pooling: TypeAlias = Literal["mean", "last"]
POOLING: tuple[Pooling, ...] = ("mean", "last")


def token_quantities(log_probs_BV: Tensor, taken_B: Tensor) -> Tensor:
    """How unsure the model is of one token, in four ways (``QUANTITIES``), each 0 when it is certain.

    Args:
        log_probs_BV: Log-probabilities of the next token, nats, (B, V).
        taken_B: Ids of the tokens taken. Int64, (B,).

    Returns:
        Entropy (nats); 1 - p of the token taken; 1 - (largest p - second largest p); -log p of the token taken (nats). Float, (B, Q).

    Example:
        >>> token_quantities(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([0])).tolist()[0][1:3]
        [0.5, 0.75]
    """
    taken_log_probs_B = log_probs_BV.gather(1, taken_B[:, None])[:, 0]
    first_B2 = log_probs_BV.topk(2, dim=-1).values.exp()
    margin_B = first_B2[:, 0] - first_B2[:, 1]
    columns = (entropy(log_probs_BV), 1 - taken_log_probs_B.exp(), 1 - margin_B, -taken_log_probs_B)
    return torch.stack(columns, dim=-1).clamp_min(0)  # rounding can put a certain token just below


class _Batch(NamedTuple):
    """What one batch gives."""

    sums_BQ: Tensor
    maxima_BQ: Tensor
    lengths_B: Tensor
    embeddings_BE: Tensor


def score_prompts(
    player: LanguageModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 64,
    batch_size: int = 32,
    pooling: Pooling = "mean",
    on_progress: Callable[[int], object] | None = None,
) -> Features:
    """Scores, response lengths and embeddings of every prompt; gradients off, greedy, so that nothing is drawn.

    The response's end-of-text counts as one of its tokens (deciding to stop is a decision, and no response is without tokens); what
    comes after it does not. Prompts are plain text; one too long for the context loses its beginning.

    Args:
        player: The model before any training on the pool.
        prompts: Texts, (N,).
        max_new_tokens: Longest response.
        batch_size: Prompts decoded together.
        pooling: Embeddings are the ``mean`` of the last hidden layer over the prompt's tokens, or its ``last`` token's.
        on_progress: Called with the number of prompts done so far.

    Raises:
        ConfigError: A setting is out of range.
        DataError: There are no prompts.
        ModelError: The model gives NaN or infinity.
    """
    if pooling not in POOLING:
        raise ConfigError(f"unknown pooling {pooling!r}; known: {', '.join(POOLING)}")
    if batch_size < 1 or not 1 <= max_new_tokens < player.context:
        raise ConfigError(
            f"batch_size has to be at least 1 and max_new_tokens from 1 to {player.context - 1}, found {batch_size} and {max_new_tokens}"
        )
    if not prompts:
        raise DataError("the pool is empty; name one with at least one prompt")
    encoded = [player.tokenizer.encode(text, split_special_tokens=True) for text in prompts]
    longest = player.context - max_new_tokens
    cut = sum(len(ids) > longest for ids in encoded)
    encoded = [ids[-longest:] for ids in encoded]
    order = sorted(range(len(prompts)), key=lambda row: (len(encoded[row]), row))
    found = []
    for start in range(0, len(order), batch_size):
        found.append(_score_batch(player, [encoded[row] for row in order[start : start + batch_size]], max_new_tokens, pooling))
        if on_progress:
            on_progress(min(start + batch_size, len(order)))
    back = np.argsort(order)
    sums_NQ, maxima_NQ, lengths_N, embeddings_NE = (torch.cat(parts).cpu().numpy()[back] for parts in zip(*found, strict=True))
    if not (np.isfinite(sums_NQ).all() and np.isfinite(embeddings_NE).all()):
        raise ModelError(f"{player.name}: gives NaN or infinity for some prompts; use another precision or another model")
    tables = {"mean": sums_NQ / lengths_N[:, None], "max": maxima_NQ, "sum": sums_NQ}
    scores = {
        f"{name}-{reducer}": tables[reducer][:, place].astype(np.float64) for place, name in enumerate(QUANTITIES) for reducer in REDUCERS
    }
    facts = {"model": player.name, "pooling": pooling, "max_new_tokens": max_new_tokens, "prompts_cut": cut}
    return Features(embeddings_NE.astype(np.float32), scores, lengths_N.astype(np.int64), facts)


@torch.inference_mode()
def _score_batch(player: LanguageModel, prompts: Sequence[Sequence[int]], max_new_tokens: int, pooling: Pooling) -> _Batch:
    player.activate()
    device, ends = player.device, _end_ids(player)
    batch = left_padded(prompts, player.pad_id, device)
    mask_BT = batch.mask_BT if batch.mask_BT is not None else torch.ones_like(batch.token_ids_BT)
    cache: Any = DynamicCache(config=player.model.config)
    with _last_hidden(player) as hidden:
        # Two positions, for asked for one alone a `tiny` Llama would not compute the others' last hidden states.
        output = player.forward(batch, positions_kept=2, past_key_values=cache, use_cache=True)
    embeddings_BE = _pooled(hidden[0], mask_BT, pooling)
    sums_BQ = torch.zeros(len(prompts), len(QUANTITIES), dtype=torch.float64, device=device)
    maxima_BQ, lengths_B = torch.zeros_like(sums_BQ), torch.zeros(len(prompts), dtype=torch.long, device=device)
    live_L, positions_L = torch.arange(len(prompts), device=device), mask_BT.sum(1)
    for step in range(max_new_tokens):
        log_probs_LV = token_log_probs(output.logits[:, -1])
        taken_L = log_probs_LV.argmax(-1)
        quantities_LQ = token_quantities(log_probs_LV, taken_L).double()
        sums_BQ[live_L] += quantities_LQ
        maxima_BQ[live_L] = torch.maximum(maxima_BQ[live_L], quantities_LQ)
        lengths_B[live_L] += 1
        keep = torch.nonzero(~torch.isin(taken_L, ends))[:, 0]
        if step + 1 == max_new_tokens or not len(keep):
            break
        if len(keep) < len(live_L):  # rows that are done leave the cache
            cache.batch_select_indices(keep)
            live_L, positions_L, taken_L, mask_BT = live_L[keep], positions_L[keep], taken_L[keep], mask_BT[keep]
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(live_L), 1)], dim=1)
        following = batch._replace(token_ids_BT=taken_L[:, None], mask_BT=mask_BT, positions_BT=positions_L[:, None])
        output = player.forward(following, past_key_values=cache, use_cache=True)
        positions_L = positions_L + 1
    return _Batch(sums_BQ, maxima_BQ, lengths_B, embeddings_BE)


def _pooled(hidden_BTE: Tensor, mask_BT: Tensor, pooling: Pooling) -> Tensor:
    if pooling == "last":
        return torch.nn.functional.normalize(hidden_BTE[:, -1].float(), dim=-1)
    weights_BT1 = mask_BT[:, :, None].float()
    return torch.nn.functional.normalize((hidden_BTE.float() * weights_BT1).sum(1) / weights_BT1.sum(1), dim=-1)


def _end_ids(player: LanguageModel) -> Tensor:
    configured = getattr(player.model.generation_config, "eos_token_id", None)
    ids = {player.tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])} - {None}
    return torch.tensor(sorted(int(end) for end in ids), dtype=torch.long, device=player.device)


@contextmanager
def _last_hidden(player: LanguageModel) -> Iterator[list[Tensor]]:
    """What the layers below the vocabulary give while this is open; the hidden states of all other layers are not kept."""
    model = player.model.get_base_model() if isinstance(player.model, PeftModel) else player.model
    seen: list[Tensor] = []
    backbone: Any = model.base_model
    handle = backbone.register_forward_hook(lambda module, inputs, output: seen.append(output[0]))
    try:
        yield seen
    finally:
        handle.remove()
