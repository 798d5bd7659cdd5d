"""Log-probabilities of whole responses, teacher-forced, many at once."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from workbench.errors import DataError
from workbench.models.language_model import Batch, LanguageModel, left_padded
from workbench.models.scoring import chosen_log_probs

Ids = Sequence[int]
CPU_TOKENS, GPU_TOKENS = 2_048, 65_536
"""Tokens that are scored at once: on a CPU what its caches hold (measured with a model of half a million weights: a third less time
than with 8,192), on a GPU what keeps it busy."""


def response_log_probs(
    player: LanguageModel,
    prompts: Sequence[Ids],
    responses: Sequence[Ids],
    *,
    padding_side: Literal["left", "right"] = "left",
    temperature: float = 1.0,
    forbidden_ids: Tensor | None = None,
) -> Tensor:
    """Log-probability of every token of every response after its prompt, nats, float32, (N,). Differentiable.

    The tokens of the responses stand one after another, none for padding: which belongs to which follows from the lengths alone. Logits are
    computed for the last positions only, where responses are.

    Args:
        player: In training mode where a gradient is wanted.
        prompts: Token ids; none is empty.
        responses: Token ids, the end-of-text included; none is empty.
        padding_side: Has no part in the numbers; on the left fewer logits are computed.
        temperature: Divides the logits; what the responses were sampled at.
        forbidden_ids: Ids that could not be sampled.

    Raises:
        DataError: A prompt or response is empty, or both together are longer than the model's context.
    """
    rows = [[*prompt, *response[:-1]] for prompt, response in zip(prompts, responses, strict=True)]
    longest = max(map(len, rows))
    if longest > player.context:
        raise DataError(
            f"a prompt and its response have {longest + 1} tokens, but the context of {player.name} is {player.context}; "
            "shorten them or use a model with a longer context"
        )
    if not all(prompts) or not all(responses):
        raise DataError("a prompt or a response without tokens cannot be scored; leave it out")
    if padding_side == "left":
        batch, kept = left_padded(rows, player.pad_id, player.device), max(map(len, responses))
        starts = [kept - len(response) for response in responses]
    else:
        batch, kept = _right_padded(rows, player.pad_id, player.device), longest - min(map(len, prompts)) + 1
        starts = [len(prompt) - 1 - (longest - kept) for prompt in prompts]
    logits_BKV: Tensor = player.forward(batch, positions_kept=kept).logits
    columns_K = torch.arange(logits_BKV.shape[1], device=player.device)
    starts_B = torch.tensor(starts, device=player.device)
    lengths_B = torch.tensor([len(response) for response in responses], device=player.device)
    is_token_BK = (columns_K >= starts_B[:, None]) & (columns_K < (starts_B + lengths_B)[:, None])
    token_ids_N = torch.tensor([token for response in responses for token in response], dtype=torch.long, device=player.device)
    return chosen_log_probs(logits_BKV[is_token_BK], token_ids_N, temperature=temperature, forbidden_ids=forbidden_ids)


def _right_padded(rows: Sequence[Ids], pad_id: int, device: torch.device) -> Batch:
    width = max(map(len, rows))
    ids_BT = torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows], dtype=torch.long, device=device)
    lengths_B = torch.tensor([len(row) for row in rows], device=device)
    positions_T = torch.arange(width, device=device)
    return Batch(ids_BT, (positions_T < lengths_B[:, None]).long(), positions_T.expand(len(rows), width))


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Places of rows of about equal length that together hold at most ``batch_tokens``, padding included; at least one a batch."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: (lengths[place], place)):
        if not batches or (len(batches[-1]) + 1) * lengths[place] > batch_tokens:
            batches.append([])
        batches[-1].append(place)
    return batches


@torch.inference_mode()
def score_responses(
    player: LanguageModel,
    prompts: Sequence[Ids],
    responses: Sequence[Ids],
    *,
    batch_tokens: int = 0,
    on_batch: Callable[[int], object] = lambda count: None,
) -> list[list[float]]:
    """Log-probabilities of each response's tokens, nats, in order; without gradient, in batches of similar length.

    Args:
        player: The model.
        prompts: Token ids; none is empty.
        responses: Token ids, the end-of-text included; none is empty.
        batch_tokens: Most tokens of a batch, padding included; 0 takes what suits the device.
        on_batch: Called with the number of responses of each batch.

    Raises:
        DataError: A prompt or response is empty, or both together are longer than the model's context.
    """
    player.activate()
    found: list[list[float]] = [[] for _ in prompts]
    lengths = [len(prompt) + len(response) for prompt, response in zip(prompts, responses, strict=True)]
    most = batch_tokens or (GPU_TOKENS if player.device.type == "cuda" else CPU_TOKENS)
    for batch in length_batches(lengths, most):
        log_probs_N = response_log_probs(player, [prompts[place] for place in batch], [responses[place] for place in batch])
        for place, values in zip(batch, torch.split(log_probs_N, [len(responses[place]) for place in batch]), strict=True):
            found[place] = values.tolist()
        on_batch(len(batch))
    return found
