"""The greedy loops of facility location, over a dense matrix or a graph, compiled.

Similarities come as (starts, columns, values): row j of a graph is ``columns[starts[j]:starts[j + 1]]`` with its ``values``, (1, E);
for a dense matrix ``values`` is (N, N) and the other two are None, which takes the branch for graphs out before types are inferred.
Rows equal columns (the similarity is symmetric), so that every evaluation reads one row. Rows hold a point's similarity with itself.

A gain is a sum in one fixed order over terms that only shrink while the cover grows, and rounding keeps that order; so a stale gain is
an upper bound to the last bit, and the lazy loop chooses exactly what the naive one does.
"""

from typing import Any

import numpy as np

from workbench.selection.compiled import compiled
from workbench.selection.inputs import Doubles, Floats, Integers


@compiled
def gain_of(starts: Any, columns: Any, values: Any, weights_N: Floats, cover_N: Floats, row: int) -> float:
    """How much the weighted coverage grows when ``row`` is added to what covers by ``cover_N``."""
    total = 0.0
    if columns is None:
        for place in range(cover_N.shape[0]):
            total += weights_N[place] * max(values[row, place] - cover_N[place], np.float32(0))
    else:
        for entry in range(starts[row], starts[row + 1]):
            place = columns[entry]
            total += weights_N[place] * max(values[0, entry] - cover_N[place], np.float32(0))
    return total


@compiled
def gains_of_all(starts: Any, columns: Any, values: Any, weights_N: Floats, bonus_N: Doubles, cover_N: Floats) -> Doubles:
    """Every row's gain and bonus. Float64, (N,)."""
    gains_N = np.empty(cover_N.shape[0])
    for row in range(cover_N.shape[0]):
        gains_N[row] = gain_of(starts, columns, values, weights_N, cover_N, row) + bonus_N[row]
    return gains_N


@compiled
def add_to_cover(starts: Any, columns: Any, values: Any, cover_N: Floats, row: int) -> None:
    """Let ``row`` cover, too; changes ``cover_N``."""
    if columns is None:
        for place in range(cover_N.shape[0]):
            cover_N[place] = max(cover_N[place], values[row, place])
    else:
        for entry in range(starts[row], starts[row + 1]):
            place = columns[entry]
            cover_N[place] = max(cover_N[place], values[0, entry])


@compiled
def sink(heap_N: Integers, size: int, keys_N: Doubles) -> None:
    """Restore a heap whose root may be too small: larger keys first, among equals the lower place."""
    parent = 0
    moved = heap_N[0]
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size:
            left, right = heap_N[child], heap_N[child + 1]
            if keys_N[right] > keys_N[left] or (keys_N[right] == keys_N[left] and right < left):
                child += 1
        lower = heap_N[child]
        if keys_N[lower] < keys_N[moved] or (keys_N[lower] == keys_N[moved] and lower > moved):
            break
        heap_N[parent] = lower
        parent = child
    heap_N[parent] = moved


@compiled
def lazy_loop(
    starts: Any,
    columns: Any,
    values: Any,
    weights_N: Floats,
    bonus_N: Doubles,
    cover_N: Floats,
    heap_N: Integers,
    keys_N: Doubles,
    chosen_K: Integers,
    gains_K: Doubles,
) -> int:
    """Minoux' accelerated greedy: re-evaluates the largest stale gain until the largest is fresh.

    ``heap_N`` and ``keys_N`` hold the first gains, sorted. Fills ``chosen_K`` and ``gains_K``, changes the other arrays, and gives
    the number of evaluations after the first gains.
    """
    fresh_N = np.zeros(keys_N.shape[0], np.int64)
    evaluations, size = 0, keys_N.shape[0]
    for step in range(chosen_K.shape[0]):
        row = heap_N[0]
        while fresh_N[row] != step:
            keys_N[row] = gain_of(starts, columns, values, weights_N, cover_N, row) + bonus_N[row]
            fresh_N[row] = step
            evaluations += 1
            sink(heap_N, size, keys_N)
            row = heap_N[0]
        chosen_K[step] = row
        gains_K[step] = keys_N[row]
        size -= 1
        heap_N[0] = heap_N[size]
        sink(heap_N, size, keys_N)
        add_to_cover(starts, columns, values, cover_N, row)
    return evaluations


@compiled
def naive_loop(
    starts: Any, columns: Any, values: Any, weights_N: Floats, bonus_N: Doubles, cover_N: Floats, chosen_K: Integers, gains_K: Doubles
) -> int:
    """Greedy as it is written on paper: every gain at every step; the lowest place wins among equals."""
    taken_N = np.zeros(cover_N.shape[0], np.bool_)
    evaluations = 0
    for step in range(chosen_K.shape[0]):
        best, best_gain = -1, -1.0
        for row in range(cover_N.shape[0]):
            if not taken_N[row]:
                gain = gain_of(starts, columns, values, weights_N, cover_N, row) + bonus_N[row]
                evaluations += 1
                if gain > best_gain:
                    best, best_gain = row, gain
        chosen_K[step], gains_K[step] = best, best_gain
        taken_N[best] = True
        add_to_cover(starts, columns, values, cover_N, best)
    return evaluations


@compiled
def stochastic_loop(
    starts: Any,
    columns: Any,
    values: Any,
    weights_N: Floats,
    bonus_N: Doubles,
    cover_N: Floats,
    draws_KS: Doubles,
    chosen_K: Integers,
    gains_K: Doubles,
) -> int:
    """Greedy over S candidates drawn anew at every step from those left; ``draws_KS`` are uniform in [0, 1)."""
    left_N = np.arange(cover_N.shape[0])
    evaluations, size = 0, cover_N.shape[0]
    for step in range(chosen_K.shape[0]):
        best, best_gain = -1, -1.0
        for draw in range(min(draws_KS.shape[1], size)):
            other = draw + int(draws_KS[step, draw] * (size - draw))
            left_N[draw], left_N[other] = left_N[other], left_N[draw]
            gain = gain_of(starts, columns, values, weights_N, cover_N, left_N[draw]) + bonus_N[left_N[draw]]
            evaluations += 1
            if gain > best_gain or (gain == best_gain and left_N[draw] < left_N[best]):
                best, best_gain = draw, gain
        chosen_K[step], gains_K[step] = left_N[best], best_gain
        size -= 1
        left_N[best] = left_N[size]
        add_to_cover(starts, columns, values, cover_N, chosen_K[step])
    return evaluations
