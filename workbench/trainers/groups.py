"""Trajectories beside others from the same start: who is compared with whom. Axis: N turns."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from workbench.trainers.advantages import group_advantages
from workbench.trainers.replay import Step

SAME = 1e-8
"""Returns of a group whose deviation is at most this are all the same, environment units."""


class Grouped(NamedTuple):
    """The turns of an update, compared within their groups."""

    gains_N: np.ndarray
    """Return beyond the group's, environment units; 0 where all returns of a group are the same."""
    deviations_N: np.ndarray
    """Standard deviation (the population's) of the returns of each turn's group, environment units."""
    rows: list[int]
    """Turns of the groups that tell anything, in order."""
    groups: int
    same: int
    """Groups without any difference; they are skipped."""

    def metrics(self) -> dict[str, float]:
        """How many groups there were, and how many of them told nothing."""
        return {"groups/played": float(self.groups), "groups/skipped": float(self.same)}


def trajectory_rows(steps: Sequence[Step]) -> list[list[int]]:
    """Rows of each trajectory, in order."""
    rows: dict[int, list[int]] = {}
    for row, step in enumerate(steps):
        rows.setdefault(step.trajectory, []).append(row)
    return list(rows.values())


def compare(steps: Sequence[Step], *, credit: Literal["turn", "trajectory"], leave_one_out: bool) -> Grouped:
    """Compare every trajectory with the others of its group."""
    groups: dict[int, list[list[int]]] = {}
    for rows in trajectory_rows(steps):
        groups.setdefault(steps[rows[0]].group, []).append(rows)
    gains_N, deviations_N = np.zeros(len(steps)), np.zeros(len(steps))
    kept: list[int] = []
    same = 0
    for members in groups.values():
        returns = [[steps[row].return_to_go for row in rows] for rows in members]
        deviation = float(np.std([own[0] for own in returns]))
        if deviation <= SAME:
            same += 1
            continue
        for rows, own in zip(members, group_advantages(returns, credit=credit, leave_one_out=leave_one_out), strict=True):
            gains_N[rows], deviations_N[rows] = own, deviation
            kept += rows
    return Grouped(gains_N, deviations_N, sorted(kept), len(groups), same)
