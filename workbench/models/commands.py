"""Whole command strings under a language model, instead of their labels: every candidate is read to its end after the same prompt.

The prompt is the one that labels are read from, list and all, so that the two ways differ in what is scored and in nothing else. Its keys
and values are computed once for all of its candidates.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from workbench.errors import PromptError
from workbench.models.common_heads import CommonHeads
from workbench.models.language_model import LanguageModel, left_padded
from workbench.models.scoring import chosen_log_probs, string_log_probs

Scoring = Literal["label", "sum", "token", "word"]
COMMAND_ROOM = 24
"""Tokens that a command may have; a prompt leaves room for so many."""


def command_log_probs(
    player: LanguageModel,
    prompts: Sequence[Sequence[int]],
    commands: Sequence[Sequence[Sequence[int]]],
    words: Sequence[Sequence[int]],
    *,
    scoring: Scoring,
    temperature: float = 1.0,
) -> Tensor:
    """Log-probability of every command of each state, nats, (B, K), -1e9 on padding; differentiable when gradients are on.

    Args:
        player: The policy.
        prompts: Token ids by state, at least two each.
        commands: Token ids of each state's commands, none empty.
        words: Number of words of each.
        scoring: ``sum``, ``token`` or ``word``, see :func:`string_log_probs`.
        temperature: Divides the scores.

    Raises:
        PromptError: A command has more tokens than room was left for.
    """
    rows = [(tuple(prompt), tuple(own)) for prompt, candidates in zip(prompts, commands, strict=True) for own in candidates]
    longest = max(len(own) for _, own in rows)
    if longest > COMMAND_ROOM:
        raise PromptError(f"a command has {longest} tokens and there is room for {COMMAND_ROOM}; use policy.scoring=label")
    logits_RTV = _logits(player, rows, longest)
    device = logits_RTV.device
    lengths_R = torch.tensor([len(own) for _, own in rows], device=device)
    is_token_RT = torch.arange(longest, device=device) >= longest - lengths_R[:, None]
    token_ids_N = torch.tensor([token for _, own in rows for token in own], dtype=torch.long, device=device)
    log_probs_N = chosen_log_probs(logits_RTV[is_token_RT], token_ids_N)
    row_of_N = torch.repeat_interleave(torch.arange(len(rows), device=device), lengths_R)
    sums_R = torch.zeros(len(rows), device=device).index_add(0, row_of_N, log_probs_N)
    counts = [len(candidates) for candidates in commands]
    mask_BK = torch.arange(max(counts), device=device) < torch.tensor(counts, device=device)[:, None]
    parts = {"sum": [1] * len(rows), "token": lengths_R.tolist(), "word": [count for own in words for count in own]}[scoring]
    return string_log_probs(
        _spread(sums_R, mask_BK),
        _spread(torch.tensor(parts, device=device, dtype=torch.float32), mask_BK),
        mask_BK,
        temperature=temperature,
    )


def _spread(values_R: Tensor, mask_BK: Tensor) -> Tensor:
    """Values of all rows, state by state, as (B, K); 1 on padding."""
    return torch.ones(mask_BK.shape, device=values_R.device).masked_scatter(mask_BK, values_R)


def _logits(player: LanguageModel, rows: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], kept: int) -> Tensor:
    """Logits that the commands' tokens come from, the last of each row at the right, (R, ``kept``, V)."""
    if player.can_share_heads():
        places: dict[tuple[int, ...], int] = {}
        head_of = [places.setdefault(prompt[:-1], len(places)) for prompt, _ in rows]
        tails = [(prompt[-1], *own[:-1]) for prompt, own in rows]
        return player.tail_logits(CommonHeads(list(places), head_of, tails), positions_kept=kept)
    batch = left_padded([(*prompt, *own[:-1]) for prompt, own in rows], player.pad_id, player.device)
    logits: Tensor = player.forward(batch, positions_kept=kept).logits
    return logits
