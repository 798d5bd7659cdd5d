"""A collection shared by several processes: each plays some of the assignments, all get every trajectory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

from workbench.errors import RunStopped, WorkbenchError
from workbench.records import Reflection, Trajectory, Turn
from workbench.rollout.collect import Collector
from workbench.rollout.play import Assignment, Rules
from workbench.rollout.team import ALONE, Team

_TRAJECTORY, _TURN, _REFLECTION = ([one.name for one in fields(kind)] for kind in (Trajectory, Turn, Reflection))


@dataclass
class SharedCollector(Collector):
    """Plays assignments with two players on every process of a team.

    Attributes:
        team: Whose processes call :meth:`collect` together, with the same assignments.
    """

    team: Team = ALONE

    def collect(
        self, assignments: Sequence[Assignment], *, rules: Rules | None = None, on_done: Callable[[Trajectory], object] | None = None
    ) -> list[Trajectory]:
        """As :meth:`Collector.collect`: every trajectory in the order of ``assignments``, on every process.

        What a greedy reflection player has said to one process is known to all of them afterwards.

        Raises:
            WorkbenchError: What ended the play of any process ends that of all.
            RunStopped: The same.
        """
        places = shares(assignments, self.team.size)
        memo: dict[Any, Reflection] | None = getattr(self.reflection, "memo", None)
        known = len(memo or {})
        told: dict[str, Any] = {}
        own: list[Trajectory] = []
        raised: WorkbenchError | RunStopped | None = None
        try:
            own = super().collect([assignments[place] for place in places[self.team.rank]], rules=rules, on_done=on_done)
            told = {"played": [packed(one) for one in own], "memo": [[key, _row(one)] for key, one in list((memo or {}).items())[known:]]}
        except RunStopped as stopped:
            raised, told = stopped, {"stopped": [stopped.phase, stopped.step]}
        except WorkbenchError as error:
            raised, told = error, {"error": str(error)}
        answers = self.team.gather(told)
        if raised is not None:
            raise raised
        for answer in answers:
            _raise_what_happened(answer)
        if memo is not None:
            self._share_memo(memo, known, [answer["memo"] for answer in answers])
        results: dict[int, Trajectory] = dict(zip(places[self.team.rank], own, strict=True))
        for rank, answer in enumerate(answers):
            if rank != self.team.rank:
                for place, row in zip(places[rank], answer["played"], strict=True):
                    results[place] = unpacked(row)
                    if on_done is not None:
                        on_done(results[place])
        return [results[place] for place in range(len(assignments))]

    def _share_memo(self, memo: dict[Any, Reflection], known: int, told: Sequence[Sequence[Any]]) -> None:
        """Have every process remember the same, in the same order; of two answers to one prompt the lower rank's."""
        mine = set(list(memo)[known:])
        for key in mine:
            del memo[key]
        keeper = getattr(self.reflection, "keeper", None)
        for part in told:
            for key, row in part:
                name = tuple(key) if isinstance(key, list) else key
                if name not in memo:
                    memo[name] = _reflection(row)
                    if keeper is not None and self.team.leads and name not in mine:
                        keeper.keep(name, memo[name])


def shared(collector: Collector, team: Team) -> Collector:
    """The collector that the processes of a team play with; the same one for a process that is alone."""
    if team.size == 1:
        return collector
    return SharedCollector(collector.make_env, collector.policy, collector.reflection, collector.rules, collector.batch_size, team=team)


def shares(assignments: Sequence[Assignment], size: int) -> list[list[int]]:
    """Places of ``assignments`` for each of ``size`` processes in turn; those of one start, a group, stay together."""
    found: list[list[int]] = [[] for _ in range(size)]
    starts = groupby(
        range(len(assignments)), key=lambda place: (assignments[place].task, assignments[place].stage, assignments[place].seed)
    )
    for number, (_, places) in enumerate(starts):
        found[number % size] += places
    return found


def packed(trajectory: Trajectory) -> list[Any]:
    """A trajectory as JSON values, every number exactly."""
    return [[_turn(turn) for turn in trajectory.turns] if name == "turns" else getattr(trajectory, name) for name in _TRAJECTORY]


def unpacked(row: Sequence[Any]) -> Trajectory:
    """What :func:`packed` gave, read back."""
    values = dict(zip(_TRAJECTORY, row, strict=True))
    turns = []
    for one in values["turns"]:
        told = _tuples(zip(_TURN, one, strict=True))
        turns.append(Turn(**{**told, "reflection": _reflection(told["reflection"])}))
    return Trajectory(**{**values, "turns": tuple(turns)})


def _turn(turn: Turn) -> list[Any]:
    return [_row(turn.reflection) if name == "reflection" else getattr(turn, name) for name in _TURN]


def _row(reflection: Reflection) -> list[Any]:
    return [getattr(reflection, name) for name in _REFLECTION]


def _reflection(row: Sequence[Any]) -> Reflection:
    return Reflection(**_tuples(zip(_REFLECTION, row, strict=True)))


def _tuples(values: Any) -> dict[str, Any]:
    return {name: _frozen(value) if isinstance(value, list) else value for name, value in values}


def _frozen(values: list[Any]) -> tuple[Any, ...]:
    return tuple(map(tuple, values)) if values and isinstance(values[0], list) else tuple(values)


def _raise_what_happened(answer: Mapping[str, Any]) -> None:
    if "stopped" in answer:
        raise RunStopped(*answer["stopped"])
    if "error" in answer:
        raise WorkbenchError(answer["error"])
