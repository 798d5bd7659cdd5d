"""The processes that carry one run out together, and what they tell one another.

Every process goes through the same recipe and has the same curriculum, replay and weights; each plays its share of the trajectories and
has its share of the turns in every gradient. The first one leads: it alone writes. What is said is JSON over gloo; gradients that lie on
GPUs are summed by NCCL. Without partners nothing here costs anything.
"""

import atexit
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from workbench.errors import PartnerError

_ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE")
PARTNER_GONE = "another process of the run has ended"
_PATIENCE = timedelta(days=30)
"""The leader generates and warms up alone, which may take days; that a process has died is seen at once."""


class Team:
    """A process by itself, and what any team can do.

    Attributes:
        rank: This process's number, from 0.
        size: Processes in all.
    """

    rank = 0
    size = 1

    @property
    def leads(self) -> bool:
        """True for the process that writes."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """What every process says here, by rank; JSON values.

        Raises:
            PartnerError: Another process has ended.
        """
        return [value]

    def agreed(self, value: bool) -> bool:
        """What the leader says here; the others wait for it.

        Raises:
            PartnerError: Another process has ended.
        """
        return value

    def add_up(self, tensor: Tensor) -> Tensor:
        """``tensor`` with its sum over all processes put into it.

        Raises:
            PartnerError: Another process has ended.
        """
        return tensor

    def concatenated(self, values: list[float]) -> list[float]:
        """The numbers of all processes, by rank."""
        return values if self.size == 1 else [one for part in self.gather(values) for one in part]

    def share(self, costs: Sequence[float]) -> list[int]:
        """This process's places, see :func:`balanced_share`."""
        return balanced_share(costs, self.rank, self.size)


ALONE = Team()


class ProcessTeam(Team):
    """A process among others, all of one torch process group.

    Args:
        rank: This process's number.
        size: Processes in all.
        talk: A gloo group of all of them; the default group when None.
    """

    def __init__(self, rank: int, size: int, talk: Any = None) -> None:
        self.rank = rank
        self.size = size
        self._talk = talk

    def gather(self, value: Any) -> list[Any]:
        """As :meth:`Team.gather`."""
        told = torch.frombuffer(bytearray(json.dumps(value, default=_plain).encode()), dtype=torch.uint8)
        with _heard():
            lengths = [torch.zeros(1, dtype=torch.long) for _ in range(self.size)]
            torch.distributed.all_gather(lengths, torch.tensor([len(told)]), group=self._talk)
            longest = max(int(length) for length in lengths)
            parts = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.size)]
            torch.distributed.all_gather(parts, torch.nn.functional.pad(told, (0, longest - len(told))), group=self._talk)
        return [
            json.loads(bytes(part[: int(length)].numpy())) if rank != self.rank else value
            for rank, (part, length) in enumerate(zip(parts, lengths, strict=True))
        ]

    def agreed(self, value: bool) -> bool:
        """As :meth:`Team.agreed`."""
        told = torch.tensor([value], dtype=torch.uint8)
        with _heard():
            torch.distributed.broadcast(told, src=0, group=self._talk)
        return bool(told)

    def add_up(self, tensor: Tensor) -> Tensor:
        """As :meth:`Team.add_up`."""
        with _heard():
            torch.distributed.all_reduce(tensor, group=None if tensor.is_cuda else self._talk)
        return tensor


def join() -> Team:
    """Join the processes that accelerate has started; a process that it did not start is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    from accelerate import PartialState

    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    with _heard():
        state = PartialState(cpu=on_cpu, timeout=_PATIENCE, **({"backend": "gloo"} if on_cpu else {}))
        # A group that stands at the end of Python has threads yet, and C++ may abort a process that has done all its work.
        atexit.register(torch.distributed.destroy_process_group)
        talk = None if on_cpu else torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
    team = ProcessTeam(state.process_index, state.num_processes, talk)
    # The warm-up is the leader's alone: trainers of other libraries must not take the team for theirs.
    for name in _ENVIRONMENT:
        os.environ.pop(name, None)
    PartialState._reset_state()
    return team


def balanced_share(costs: Sequence[float], rank: int, size: int) -> list[int]:
    """Places that fall to ``rank``: neighbours, so that sorted rows stay alike, cut where the costs (above 0) are shared most evenly.

    Example:
        >>> [balanced_share([1, 1, 2, 4], rank, 2) for rank in range(2)]
        [[0, 1, 2], [3]]
    """
    total, before = sum(costs), 0.0
    places = []
    for place, cost in enumerate(costs):
        # A row belongs to where its middle lies.
        if int((before + cost / 2) * size / total) == rank:
            places.append(place)
        before += cost
    return places


@contextmanager
def _heard() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo and NCCL have no error of their own for a partner that is gone
        raise PartnerError(f"{PARTNER_GONE}, and none can go on alone; resume the run") from error


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's own."""
    return value.item()
