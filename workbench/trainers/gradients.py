"""Gradients of several processes added up, so that all of them take the same optimizer step."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from workbench.rollout.team import Team

BUCKET_ELEMENTS = 2**24
"""Numbers sent at a time: large enough that a message's own cost is nothing, small beside a model."""


def add_up_gradients(team: Team, parameters: Sequence[Tensor], loss: float) -> float:
    """Replace every parameter's gradient by its sum over the processes.

    Each process has the part of a mean over the whole optimizer step that its own turns bring, so the sum is that mean, whatever the
    number of processes and however unequal their shares. A parameter without a gradient anywhere stays without.

    Args:
        team: All processes call this with parameters of the same shapes in the same order.
        parameters: Float, on one device; several dtypes may be among them.
        loss: This process's part.

    Returns:
        The loss of the whole step.

    Raises:
        PartnerError: Another process has ended.
    """
    told = torch.tensor([loss, *(float(one.grad is not None) for one in parameters)], dtype=torch.float64)
    total, *counts = team.add_up(told).tolist()
    needed = [one for one, count in zip(parameters, counts, strict=True) if count]
    for bucket in _buckets(needed):
        flat = torch.cat([(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in bucket])
        team.add_up(flat)
        for one, part in zip(bucket, flat.split_with_sizes([one.numel() for one in bucket]), strict=True):
            one.grad = part.view_as(one)
    return float(total)


def _buckets(parameters: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbours of one dtype, at most ``BUCKET_ELEMENTS`` numbers together unless one is larger by itself."""
    bucket: list[Tensor] = []
    for one in parameters:
        full = sum(other.numel() for other in bucket) + one.numel() > BUCKET_ELEMENTS
        if bucket and (full or one.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(one)
    if bucket:
        yield bucket
