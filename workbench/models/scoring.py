"""The only place where logits become probabilities.

Axis letters: B rows, V vocabulary, K labels of a state (padded), T tokens.
"""

import torch
from torch import Tensor

IMPOSSIBLE = -1e9


def label_log_probs(logits_BV: Tensor, label_ids_BK: Tensor, label_mask_BK: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Log-probability of every label of each state; labels of no command get none.

    Reflect-RL, section 3.3 (single-prompt action enumeration), with the softmax over this state's labels only.

    Args:
        logits_BV: Next-token logits at the last prompt position. Float, (B, V).
        label_ids_BK: Vocabulary ids of the labels, padded with any valid id. Int64, (B, K).
        label_mask_BK: True where a label stands for a command. Bool, (B, K).
        temperature: Divides the logits; above 0.

    Returns:
        Nats, float32, (B, K); -1e9 where the mask is False. Differentiable.

    Example:
        >>> logits = torch.tensor([[0.0, 5.0, 0.0]])
        >>> label_log_probs(logits, torch.tensor([[0, 2]]), torch.tensor([[True, True]])).exp().tolist()
        [[0.5, 0.5]]
    """
    chosen_BK = logits_BV.gather(1, label_ids_BK).float() / temperature
    masked_BK = chosen_BK.masked_fill(~label_mask_BK, IMPOSSIBLE)
    return torch.log_softmax(masked_BK, dim=-1).masked_fill(~label_mask_BK, IMPOSSIBLE)


def string_log_probs(sums_BK: Tensor, parts_BK: Tensor, mask_BK: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Log-probability of every candidate string of each state, from the log-probabilities of the strings themselves.

    Candidates of other lengths are made comparable by dividing by their parts: 1 leaves the sum, which favours short strings; their
    tokens or their words give means.

    Args:
        sums_BK: Log-probability of each whole string, nats. Float, (B, K).
        parts_BK: What each sum is divided by; above 0. Float, (B, K).
        mask_BK: True where there is a candidate. Bool, (B, K).
        temperature: Divides the scores; above 0.

    Returns:
        Nats, float32, (B, K); -1e9 where the mask is False. Differentiable.

    Example:
        >>> sums, mask = torch.tensor([[-2.0, -4.0]]), torch.tensor([[True, True]])
        >>> string_log_probs(sums, torch.tensor([[1.0, 2.0]]), mask).exp().tolist()
        [[0.5, 0.5]]
    """
    scores_BK = (sums_BK.float() / parts_BK / temperature).masked_fill(~mask_BK, IMPOSSIBLE)
    return torch.log_softmax(scores_BK, dim=-1).masked_fill(~mask_BK, IMPOSSIBLE)


def entropy(log_probs_BK: Tensor) -> Tensor:
    """Entropy of each row, nats, (B,); entries of -1e9 count as impossible. Differentiable."""
    probs_BK = log_probs_BK.exp()
    return -(probs_BK * log_probs_BK.clamp_min(-50.0)).sum(-1)


def token_log_probs(logits_BV: Tensor, *, temperature: float = 1.0, forbidden_ids: Tensor | None = None) -> Tensor:
    """Log-probabilities over the vocabulary, nats, float32, (B, V), with some ids ruled out."""
    scaled_BV = logits_BV.float() / temperature
    if forbidden_ids is not None and len(forbidden_ids):
        scaled_BV = scaled_BV.index_fill(1, forbidden_ids, float("-inf"))
    return torch.log_softmax(scaled_BV, dim=-1)


def chosen_log_probs(logits_NV: Tensor, token_ids_N: Tensor, *, temperature: float = 1.0, forbidden_ids: Tensor | None = None) -> Tensor:
    """Log-probability of one token in each row, nats, float32, (N,), with some ids ruled out. Differentiable.

    Example:
        >>> chosen_log_probs(torch.zeros(1, 4), torch.tensor([2])).exp().tolist()
        [0.25]
    """
    return token_log_probs(logits_NV, temperature=temperature, forbidden_ids=forbidden_ids).gather(1, token_ids_N[:, None])[:, 0]


def nucleus_log_probs(log_probs_BV: Tensor, top_p: float) -> Tensor:
    """The likeliest tokens that together hold at least ``top_p``, renormalised; -inf elsewhere (Holtzman et al. 2020, arXiv 1904.09751).

    Args:
        log_probs_BV: Nats, (B, V).
        top_p: In (0, 1]; 1 changes nothing. The likeliest token always stays.
    """
    if top_p >= 1:
        return log_probs_BV
    sorted_BV, order_BV = log_probs_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = sorted_BV.exp().cumsum(-1) - sorted_BV.exp()
    outside_BV = torch.zeros_like(before_BV, dtype=torch.bool).scatter(1, order_BV, before_BV >= top_p)
    outside_BV.scatter_(1, order_BV[:, :1], False)
    return torch.log_softmax(log_probs_BV.masked_fill(outside_BV, float("-inf")), dim=-1)
