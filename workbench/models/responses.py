"""Log-probabilities of whole responses, teacher-forced, many at once."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from workbench.errors import DataError
from workbench.models.common_heads import CommonHeads, common_heads
from workbench.models.language_model import WORTH_SPLITTING, Batch, LanguageModel, left_padded
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
    return _chosen(logits_BKV, starts, responses, temperature=temperature, forbidden_ids=forbidden_ids)


def _chosen(
    logits_BKV: Tensor, starts: Sequence[int], responses: Sequence[Ids], *, temperature: float = 1.0, forbidden_ids: Tensor | None = None
) -> Tensor:
    """Log-probabilities of the responses' tokens, (N,); ``starts`` are the columns of the logits that their first tokens come from."""
    device = logits_BKV.device
    columns_K = torch.arange(logits_BKV.shape[1], device=device)
    starts_B = torch.tensor(starts, device=device)
    lengths_B = torch.tensor([len(response) for response in responses], device=device)
    is_token_BK = (columns_K >= starts_B[:, None]) & (columns_K < (starts_B + lengths_B)[:, None])
    token_ids_N = torch.tensor([token for response in responses for token in response], dtype=torch.long, device=device)
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

    A beginning that several prompts share, such as a problem that was answered several times, is computed once for all of them where that
    spares enough work, and equal responses to equal prompts are.

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
    cases = [(tuple(prompt), tuple(response)) for prompt, response in zip(prompts, responses, strict=True)]
    copies = Counter(cases)
    rows = list(copies)
    lengths = [len(prompt) + len(response) for prompt, response in rows]
    most = batch_tokens or (GPU_TOKENS if player.device.type == "cuda" else CPU_TOKENS)
    split = common_heads([prompt for prompt, _ in rows]) if player.can_share_heads() and _can_be_scored(player, rows) else None
    if split is not None and split.padded_tokens > WORTH_SPLITTING * len(rows) * max(len(prompt) for prompt, _ in rows):
        split = None
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], list[float]] = {}
    for batch in length_batches(lengths, most) if split is None else kin_batches(split, lengths, most):
        own = [rows[place] for place in batch]
        if split is None:
            log_probs_N = response_log_probs(player, [prompt for prompt, _ in own], [response for _, response in own])
        else:
            log_probs_N = _shared_log_probs(player, split, batch, [response for _, response in own])
        for row, values in zip(own, torch.split(log_probs_N, [len(response) for _, response in own]), strict=True):
            found[row] = values.tolist()
        on_batch(sum(copies[row] for row in own))
    return [found[case] for case in cases]


def _can_be_scored(player: LanguageModel, rows: Sequence[tuple[Ids, Ids]]) -> bool:
    """False where :func:`response_log_probs` has something to tell."""
    return all(prompt and response and len(prompt) + len(response) - 1 <= player.context for prompt, response in rows)


def kin_batches(split: CommonHeads, lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """As :func:`length_batches`, with the rows that share a head in one batch as far as they fit."""
    kin: list[list[int]] = [[] for _ in split.heads]
    for row, head in enumerate(split.head_of):
        kin[head].append(row)
    batches: list[list[int]] = []
    for rows in sorted(kin, key=lambda rows: (max(lengths[row] for row in rows), rows)):
        longest = max(lengths[row] for row in rows)
        room = max(1, batch_tokens // longest)
        for start in range(0, len(rows), room):
            part = rows[start : start + room]
            if not batches or (len(batches[-1]) + len(part)) * longest > batch_tokens:
                batches.append([])
            batches[-1] += part
    return batches


def _shared_log_probs(player: LanguageModel, split: CommonHeads, batch: Sequence[int], responses: Sequence[Ids]) -> Tensor:
    """As :func:`response_log_probs` for some rows of a split, each of their heads computed once, (N,)."""
    heads = list(dict.fromkeys(split.head_of[row] for row in batch))
    part = CommonHeads(
        [split.heads[head] for head in heads],
        [heads.index(split.head_of[row]) for row in batch],
        [(*split.tails[row], *response[:-1]) for row, response in zip(batch, responses, strict=True)],
    )
    kept = max(map(len, responses))
    return _chosen(player.tail_logits(part, positions_kept=kept), [kept - len(response) for response in responses], responses)
