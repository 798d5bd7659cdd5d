"""The optimizer of every phase."""

from collections.abc import Iterable

import torch


def adamw(parameters: Iterable[torch.nn.Parameter], *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over ``parameters``; on CUDA its step is one kernel for all of them (``fused``), where else it is one for each operation."""
    chosen = list(parameters)
    fused = bool(chosen) and all(one.device.type == "cuda" and one.is_floating_point() for one in chosen)
    return torch.optim.AdamW(chosen, lr=learning_rate, weight_decay=weight_decay, fused=True if fused else None)
