"""A team whose processes are threads of this one: what is shared and how, without what starting processes takes."""

import json
import threading
from collections.abc import Callable
from typing import Any

from torch import Tensor

from workbench.rollout.team import Team

_PATIENCE = 60.0


class ThreadTeam(Team):
    """One of ``size`` threads; ``common`` is the same for all of them."""

    def __init__(self, rank: int, size: int, common: "_Common") -> None:
        self.rank = rank
        self.size = size
        self._common = common

    def gather(self, value: Any) -> list[Any]:
        said = self._exchange(json.dumps(value))
        return [json.loads(one) for one in said]

    def agreed(self, value: bool) -> bool:
        return bool(self._exchange(value)[0])

    def add_up(self, tensor: Tensor) -> Tensor:
        first, *others = self._exchange(tensor.clone())
        tensor.copy_(sum(others, start=first))
        return tensor

    def _exchange(self, value: Any) -> list[Any]:
        self._common.said[self.rank] = value
        self._common.barrier.wait(_PATIENCE)
        found = list(self._common.said)
        self._common.barrier.wait(_PATIENCE)
        return found


class _Common:
    def __init__(self, size: int) -> None:
        self.said: list[Any] = [None] * size
        self.barrier = threading.Barrier(size)


def teams(size: int) -> list[ThreadTeam]:
    """The members of one team."""
    common = _Common(size)
    return [ThreadTeam(rank, size, common) for rank in range(size)]


def together(*work: Callable[[], Any]) -> list[Any]:
    """What each of ``work`` gives, one to a thread; an exception of the first that has one is raised when all have ended."""
    found: list[Any] = [None] * len(work)
    raised: list[BaseException | None] = [None] * len(work)

    def carry_out(place: int) -> None:
        try:
            found[place] = work[place]()
        except BaseException as error:
            raised[place] = error

    threads = [threading.Thread(target=carry_out, args=[place], daemon=True) for place in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    error = next((one for one in raised if one is not None), None)
    if error is not None:
        raise error
    return found
