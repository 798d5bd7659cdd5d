"""The critic: what a state is worth, read off the policy's own last hidden state."""

from typing import Literal

import torch
from torch import Tensor, nn

LEAST_DEVIATION = 1e-3


class Critic(nn.Module):
    """A value head on what the policy thinks at the last position of its prompt.

    Its output is shifted and scaled by mean and deviation of the returns it was first shown, so that one learning rate fits worlds that
    pay in hundredths and in hundreds; before that it says 0. The last layer begins at zero: a fresh critic says the mean return.

    Args:
        width: Size E of the hidden state.
        kind: One linear layer, or two with tanh between them.
        hidden_size: Of the layer between, for ``mlp``.
        seed: Of the starting weights.
    """

    mean: Tensor
    deviation: Tensor
    is_calibrated: Tensor

    def __init__(self, width: int, *, kind: Literal["linear", "mlp"] = "mlp", hidden_size: int = 64, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            last = nn.Linear(width if kind == "linear" else hidden_size, 1)
            before = [] if kind == "linear" else [nn.Linear(width, hidden_size), nn.Tanh()]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.head = nn.Sequential(*before, last)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("is_calibrated", torch.zeros((), dtype=torch.bool))

    def forward(self, hidden_NE: Tensor) -> Tensor:
        """Value of each state, environment units, float32, (N,); differentiable."""
        values_N: Tensor = self.head(hidden_NE.float())[:, 0] * self.deviation + self.mean
        return values_N

    def calibrate(self, returns_N: Tensor) -> None:
        """Take mean and deviation from the first returns ever shown, environment units, (N,); later calls change nothing."""
        if bool(self.is_calibrated) or not bool(torch.isfinite(returns_N).all()):
            return
        self.mean.copy_(returns_N.mean())
        self.deviation.copy_(returns_N.std(correction=0).clamp_min(LEAST_DEVIATION))
        self.is_calibrated.fill_(True)
