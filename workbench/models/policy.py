"""The policy player: one forward over a prompt gives the distribution over this state's commands."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.models.language_model import LanguageModel
from workbench.models.scoring import IMPOSSIBLE, label_log_probs


class Decision(NamedTuple):
    """A question to the policy."""

    prompt_token_ids: Sequence[int]
    label_token_ids: Sequence[int]


def label_tensors(decisions: Sequence[Decision], device: torch.device) -> tuple[Tensor, Tensor]:
    """Label ids and their mask, (B, K), padded on the right with id 0 and False."""
    width = max(len(decision.label_token_ids) for decision in decisions)
    ids = [list(decision.label_token_ids) + [0] * (width - len(decision.label_token_ids)) for decision in decisions]
    mask = [[place < len(decision.label_token_ids) for place in range(width)] for decision in decisions]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


class Policy:
    """Scores commands by their labels.

    Args:
        player: The language model.
        batch_tokens: Rough bound on the padded tokens of one forward pass.
    """

    def __init__(self, player: LanguageModel, *, batch_tokens: int = 16_384) -> None:
        self.player = player
        self.batch_tokens = batch_tokens

    def log_probs(self, decisions: Sequence[Decision], *, temperature: float = 1.0) -> Tensor:
        """Log-probability of every label, nats, (B, K), -1e9 on padding; differentiable when gradients are on."""
        logits_BV = self.player.last_logits([decision.prompt_token_ids for decision in decisions])
        ids_BK, mask_BK = label_tensors(decisions, self.player.device)
        return label_log_probs(logits_BV, ids_BK, mask_BK, temperature=temperature)

    @torch.inference_mode()
    def distributions(self, decisions: Sequence[Decision], *, temperature: float = 1.0) -> list[np.ndarray]:
        """Log-probabilities over each decision's labels, float64 arrays of shape (K,), in the order asked."""
        self.player.activate()
        results: list[np.ndarray] = [np.empty(0)] * len(decisions)
        for rows in length_batches([len(decision.prompt_token_ids) for decision in decisions], self.batch_tokens):
            log_probs_BK = self.log_probs([decisions[row] for row in rows], temperature=temperature).cpu().double().numpy()
            for row, values in zip(rows, log_probs_BK, strict=True):
                results[row] = values[values > IMPOSSIBLE / 2]
        return results


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Rows sorted by length and cut into batches of at most ``batch_tokens`` padded tokens (at least one row)."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    batches: list[list[int]] = []
    for row in order:
        if batches and (len(batches[-1]) + 1) * lengths[row] <= batch_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches
