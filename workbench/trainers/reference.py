"""The policy as it was when online learning began, kept to measure how far it has gone from there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from workbench.models.language_model import LanguageModel
from workbench.models.policy import Decision, Policy


class Reference(nn.Module):
    """A copy of a player's own weights: of its adapter where it has one, of the whole model otherwise.

    Args:
        player: Copied as it is now.
    """

    def __init__(self, player: LanguageModel) -> None:
        super().__init__()
        for number, (_, value) in enumerate(player.trainable_parameters()):
            self.register_buffer(f"weights_{number}", value.detach().clone())

    def log_probs(self, policy: Policy, decisions: Sequence[Decision], *, temperature: float) -> list[np.ndarray]:
        """What the reference thinks of each decision's labels, nats, float64 arrays of shape (K,)."""
        with self.in_place_of(policy.player):
            return policy.distributions(decisions, temperature=temperature)

    @contextmanager
    def in_place_of(self, player: LanguageModel) -> Iterator[None]:
        """The player as it was, for as long as the context lasts."""
        parameters = [value for _, value in player.trainable_parameters()]
        present = [value.data for value in parameters]
        try:
            for value, kept in zip(parameters, self.buffers(), strict=True):
                value.data = kept
            yield
        finally:
            for value, own in zip(parameters, present, strict=True):
                value.data = own


def padded(log_probs: Sequence[np.ndarray], width: int, device: torch.device, *, filler: float) -> torch.Tensor:
    """Rows of different lengths as one float32 tensor, (N, ``width``), filled on the right."""
    rows = [[*row.tolist(), *[filler] * (width - len(row))] for row in log_probs]
    return torch.tensor(rows, dtype=torch.float32, device=device)
