"""k-center: choose so that no prompt of the pool is far from a chosen one (Gonzalez 1985; Sener and Savarese 2018)."""

import numpy as np
from numpy.typing import ArrayLike

from workbench.seeding import generator
from workbench.selection.compiled import compiled
from workbench.selection.inputs import Doubles, Floats, Integers, Selection, check_budget, check_column, check_embeddings


def k_center(
    embeddings: ArrayLike, budget: int, *, seed: int | None = None, weights: ArrayLike | None = None, power: float = 1.0
) -> Selection:
    """Farthest first: each choice is the prompt farthest from all chosen before.

    Without weights the radius is at most twice the best one's, whatever the start. Distances are Euclidean; for directions give
    unit vectors, whose distance is a metric, as 1 - cosine is not. Ties go to the lowest place.

    Args:
        embeddings: One row a prompt, (N, D).
        budget: How many to choose, from 1 to N.
        seed: Draws the start; None starts from the prompt nearest the mean, so that the order of the pool plays no part.
        weights: Not negative, (N,): a prompt's distance counts times ``weights ** power`` (its uncertainty makes a hybrid of both).
        power: 0 is plain k-center.

    Returns:
        ``value`` is the largest distance from any prompt to the nearest chosen one; ``bound`` is half of it, which no choice of
        this size can stay below (None with weights); ``gains`` are the distances at which prompts were chosen, the first's infinite.

    Raises:
        DataError: The budget, the embeddings or the weights cannot be used.
    """
    points_ND = check_embeddings(embeddings)
    size = len(points_ND)
    budget = check_budget(budget, size)
    factors_N = np.ones(size)
    if weights is not None:
        factors_N = check_column(np.power(check_column(weights, size, "weights", positive=True), power), size, "weights to their power")
    centered_ND = (points_ND - points_ND.mean(axis=0, dtype=np.float64)).astype(np.float32)
    if seed is None:
        start = int(np.argmin(np.einsum("nd,nd->n", centered_ND, centered_ND, dtype=np.float64)))
    else:
        start = int(generator(seed, "k-center").integers(size))
    nearest_N = np.full(size, np.inf)
    chosen_K, gains_K = np.empty(budget, np.int64), np.empty(budget)
    farthest_first(centered_ND, factors_N, start, nearest_N, chosen_K, gains_K)
    radius = float(np.sqrt(nearest_N.max()))
    return Selection(chosen_K, radius, radius / 2 if weights is None else None, gains_K, {"start": start})


@compiled
def farthest_first(points_ND: Floats, factors_N: Doubles, start: int, nearest_N: Doubles, chosen_K: Integers, gains_K: Doubles) -> None:
    """Fill ``chosen_K`` and ``gains_K``; leaves in ``nearest_N`` every point's squared distance to its nearest chosen one."""
    taken_N = np.zeros(points_ND.shape[0], np.bool_)
    row = start
    gains_K[0] = np.inf
    for step in range(chosen_K.shape[0]):
        chosen_K[step] = row
        taken_N[row] = True
        farthest, distance = -1, -1.0
        for other in range(points_ND.shape[0]):
            squared = np.float32(0)
            for axis in range(points_ND.shape[1]):
                apart = points_ND[other, axis] - points_ND[row, axis]
                squared += apart * apart
            nearest_N[other] = min(nearest_N[other], squared)
            counted = np.sqrt(nearest_N[other]) * factors_N[other]
            if not taken_N[other] and counted > distance:
                farthest, distance = other, counted
        if step + 1 < chosen_K.shape[0]:
            row, gains_K[step + 1] = farthest, distance
