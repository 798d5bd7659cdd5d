"""The budget spread over tasks: every task gets its share, whatever its size (arXiv:2507.21482).

A task here is what a prompt asks for (translate, deliver the passenger, ...): part of the question, never of the answer.
"""

import heapq
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import DataError
from workbench.seeding import generator
from workbench.selection.inputs import Integers, Selection, check_budget, check_column


def even_per_task(tasks: Sequence[Hashable], budget: int, *, seed: int, scores: ArrayLike | None = None) -> Selection:
    """The same number from every task, as far as tasks are large enough; tasks take turns.

    With one task this is a random choice (or the highest scores) over the pool.

    Args:
        tasks: Each prompt's task, (N,).
        budget: How many to choose, from 1 to N.
        seed: Draws within tasks.
        scores: Within a task the highest come first instead, ties by lowest place, (N,).

    Raises:
        DataError: The budget or the scores cannot be used.
    """
    return _spread(tasks, budget, dict.fromkeys(tasks, 1.0), seed=seed, scores=scores)


def inverse_confidence_per_task(
    tasks: Sequence[Hashable], confidence: ArrayLike, budget: int, *, seed: int, scores: ArrayLike | None = None
) -> Selection:
    """More from the tasks that the model is less sure of: shares in proportion to 1 / mean confidence of the task.

    Args:
        tasks: Each prompt's task, (N,).
        confidence: The model's confidence in its own response, in [0, 1], e.g. 1 - the mean of 1 - p, (N,).
        budget: How many to choose, from 1 to N.
        seed: Draws within tasks.
        scores: As in :func:`even_per_task`.

    Raises:
        DataError: The budget or the columns cannot be used.
    """
    sure_N = check_column(confidence, len(tasks), "confidences", positive=True)
    if len(sure_N) and sure_N.max() > 1:
        raise DataError(f"confidences have to lie in [0, 1], found {sure_N.max():g} in row {int(sure_N.argmax())}")
    # A task that the model is never sure of would take everything; a thousandth keeps its share finite.
    shares = {task: 1 / max(float(sure_N[places].mean()), 1e-3) for task, places in _members(tasks).items()}
    return _spread(tasks, budget, shares, seed=seed, scores=scores)


def _members(tasks: Sequence[Hashable]) -> dict[Hashable, Integers]:
    places: dict[Hashable, list[int]] = {}
    for place, task in enumerate(tasks):
        places.setdefault(task, []).append(place)
    return {task: np.array(found, np.int64) for task, found in sorted(places.items(), key=lambda item: str(item[0]))}


def _spread(tasks: Sequence[Hashable], budget: int, shares: dict[Hashable, float], *, seed: int, scores: ArrayLike | None) -> Selection:
    budget = check_budget(budget, len(tasks))
    scores_N = None if scores is None else check_column(scores, len(tasks), "scores")
    queues: dict[Hashable, Integers] = {}
    for task, places in _members(tasks).items():
        if scores_N is None:
            queues[task] = generator(seed, "per-task", str(task)).permutation(places)
        else:
            queues[task] = places[np.argsort(-scores_N[places], kind="stable")]
    # Each turn goes to the task that would be least ahead of its share (the highest averages of d'Hondt).
    turns = [(1 / shares[task], number, task) for number, task in enumerate(queues)]
    heapq.heapify(turns)
    taken = dict.fromkeys(queues, 0)
    chosen: list[int] = []
    while len(chosen) < budget:
        _, number, task = heapq.heappop(turns)
        chosen.append(int(queues[task][taken[task]]))
        taken[task] += 1
        if taken[task] < len(queues[task]):
            heapq.heappush(turns, ((taken[task] + 1) / shares[task], number, task))
    return Selection(np.array(chosen, np.int64), facts={"quotas": {str(task): count for task, count in taken.items()}})
