"""Facility location: choose so that every prompt of the pool has a similar one among the chosen.

f(S) = sum over i of u_i max over j in S of w_ij, plus an optional sum of bonuses over S. With w, u and bonuses not negative it is
monotone and submodular, so greedy reaches 1 - 1/e = 0.632 of the best value (Nemhauser, Wolsey and Fisher 1978); what it reached on
this pool is told by ``value / bound``.
"""

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import ConfigError, DataError, nearest
from workbench.seeding import generator
from workbench.selection import greedy
from workbench.selection.graph import Graph, neighbor_graph
from workbench.selection.inputs import Doubles, Floats, Selection, check_budget, check_column, check_embeddings
from workbench.selection.kernels import (
    Kernel,
    WidthTrial,
    check_kernel,
    dense_similarity,
    placed,
    sample_of,
    width_trials,
)

Greedy: TypeAlias = Literal["lazy", "naive", "stochastic"]
GREEDY: tuple[Greedy, ...] = ("lazy", "naive", "stochastic")
DENSE_LIMIT = 15_000
"""Largest pool whose similarities are held as a full matrix (0.9 GB); larger ones go through a graph of nearest neighbours."""
FLAT = 0.9
"""A width is refused when the last choice gains more than this share of what the first did: all choices are alike to it."""


class _Rows(NamedTuple):
    """Similarities as the compiled loops take them."""

    starts: Any
    columns: Any
    values: Any


def facility_location(
    embeddings: ArrayLike,
    budget: int,
    *,
    kernel: Kernel = "gaussian",
    width: float | None = None,
    weights: ArrayLike | None = None,
    bonus: ArrayLike | None = None,
    search: Greedy = "lazy",
    epsilon: float = 0.05,
    seed: int = 0,
    neighbors: int | None = None,
) -> Selection:
    """The prompts that cover the pool best.

    Label-efficient SFT (arXiv:2401.06692). Ties go to the lowest place; a copy of a chosen prompt gains nothing and comes last.

    Args:
        embeddings: One row a prompt, (N, D).
        budget: How many to choose, from 1 to N.
        kernel: ``gaussian``, exp(-d²/width), or ``cosine``, where negative similarities count as 0.
        width: Of the Gaussian, in squared units of the embeddings. None: of 0.01, 0.03, 0.1, 0.3, 1 and 3 times the median squared
            distance, the one at which similarities of pairs vary most and gains do not stay flat.
        weights: How much it matters that each prompt is covered, not negative, (N,): its uncertainty makes a hybrid of both.
        bonus: What choosing a prompt is worth in itself, in units of coverage, not negative, (N,).
        search: ``lazy`` (exact), ``naive`` (the same choice, slowly) or ``stochastic`` (1 - 1/e - epsilon of the best, on average).
        epsilon: Of the stochastic search, in (0, 1); every step looks at (N / budget) ln(1 / epsilon) prompts.
        seed: Of the stochastic search.
        neighbors: Similar prompts that each one is compared with; None compares all up to 15,000 prompts and 64 above.

    Returns:
        Value and gains in units of coverage (at most the sum of weights), and an upper bound of the best value.

    Raises:
        ConfigError: An argument is unknown or out of range.
        DataError: The budget, the embeddings or the columns cannot be used.
    """
    points_ND = check_embeddings(embeddings)
    budget = check_budget(budget, len(points_ND))
    check_kernel(kernel, width)
    if neighbors is not None and neighbors < 1:
        raise ConfigError(f"neighbors has to be at least 1, found {neighbors}")
    points_ND = placed(points_ND, kernel)
    facts: dict[str, Any] = {"kernel": kernel}
    if kernel == "gaussian" and width is None:
        trial = choose_width(points_ND, budget)
        width = trial.width
        facts |= {"width_factor": trial.factor}
    if kernel == "gaussian":
        facts |= {"width": width}
    similarity: Floats | Graph
    if neighbors is None and len(points_ND) <= DENSE_LIMIT:
        similarity = dense_similarity(points_ND, kernel, width or 1.0)
    else:
        similarity = neighbor_graph(points_ND, kernel=kernel, width=width or 1.0, neighbors=neighbors or 64, seed=seed)
        facts |= {"neighbors": neighbors or 64, "edges": len(similarity.columns)}
    chosen = facility_location_of(similarity, budget, weights=weights, bonus=bonus, search=search, epsilon=epsilon, seed=seed)
    return Selection(chosen.indices, chosen.value, chosen.bound, chosen.gains, {**facts, **chosen.facts})


def facility_location_of(
    similarity: Floats | Graph,
    budget: int,
    *,
    weights: ArrayLike | None = None,
    bonus: ArrayLike | None = None,
    search: Greedy = "lazy",
    epsilon: float = 0.05,
    seed: int = 0,
) -> Selection:
    """:func:`facility_location` over similarities that are there already.

    Args:
        similarity: Symmetric, not negative: float32, (N, N), or a graph that has every point as its own neighbour.
        budget: As there, and so are the others.
        weights: As there.
        bonus: As there.
        search: As there.
        epsilon: As there.
        seed: As there.

    Raises:
        ConfigError: An argument is unknown or out of range.
        DataError: The budget, the similarities or the columns cannot be used.
    """
    if search not in GREEDY:
        raise ConfigError(f"unknown search {search!r}; {nearest(search, GREEDY)}")
    if not 0 < epsilon < 1:
        raise ConfigError(f"epsilon has to lie between 0 and 1, found {epsilon}")
    rows = _rows(similarity)
    size = len(rows.values) if rows.columns is None else len(rows.starts) - 1
    budget = check_budget(budget, size)
    weights_N = np.ones(size) if weights is None else check_column(weights, size, "weights", positive=True)
    bonus_N = np.zeros(size) if bonus is None else check_column(bonus, size, "bonuses", positive=True)
    return _choose(rows, budget, weights_N.astype(np.float32), bonus_N, search, epsilon, seed)


def _choose(rows: _Rows, budget: int, weights_N: Floats, bonus_N: Doubles, search: Greedy, epsilon: float, seed: int) -> Selection:
    size = len(weights_N)
    cover_N = np.zeros(size, np.float32)
    chosen_K, gains_K = np.empty(budget, np.int64), np.empty(budget)
    first_N = greedy.gains_of_all(*rows, weights_N, bonus_N, cover_N)
    if search == "lazy":
        heap_N = np.argsort(-first_N, kind="stable")
        evaluations = size + greedy.lazy_loop(*rows, weights_N, bonus_N, cover_N, heap_N, first_N.copy(), chosen_K, gains_K)
    elif search == "naive":
        evaluations = greedy.naive_loop(*rows, weights_N, bonus_N, cover_N, chosen_K, gains_K)
    else:
        candidates = min(size, int(np.ceil(size / budget * np.log(1 / epsilon))))
        draws_KS = generator(seed, "facility-location", "stochastic").random((budget, candidates))
        evaluations = greedy.stochastic_loop(*rows, weights_N, bonus_N, cover_N, draws_KS, chosen_K, gains_K)
    value = float(np.dot(weights_N.astype(np.float64), cover_N) + bonus_N[chosen_K].sum())
    # Whatever else is chosen adds at most its gain now (Leskovec et al. 2007), or its gain at the start.
    left_N = greedy.gains_of_all(*rows, weights_N, bonus_N, cover_N)
    bound = min(value + _largest(left_N, budget), _largest(first_N, budget))
    return Selection(chosen_K, value, max(bound, value), gains_K, {"search": search, "evaluations": int(evaluations)})


def choose_width(points_ND: Floats, budget: int) -> WidthTrial:
    """The first of :func:`width_trials` whose gains do not stay flat on a sample; the widest when all do.

    Args:
        points_ND: Placed points.
        budget: Of the whole pool; the sample gets the same share.

    Raises:
        DataError: All embeddings are equal.
    """
    trials = width_trials(points_ND)
    sample_MD = sample_of(points_ND)
    share = max(2, round(budget * len(sample_MD) / len(points_ND)))
    for trial in trials:
        gains_K = facility_location_of(dense_similarity(sample_MD, "gaussian", trial.width), min(share, len(sample_MD))).gains
        if gains_K is not None and gains_K[-1] <= FLAT * gains_K[0]:
            return trial
    return max(trials, key=lambda trial: trial.width)


def _largest(values_N: Doubles, count: int) -> float:
    return float(np.partition(values_N, len(values_N) - count)[len(values_N) - count :].sum())


def _rows(similarity: Floats | Graph) -> _Rows:
    if isinstance(similarity, Graph):
        return _Rows(similarity.starts, similarity.columns, similarity.values[None])
    table_NN = np.ascontiguousarray(similarity, dtype=np.float32)
    if table_NN.ndim != 2 or table_NN.shape[0] != table_NN.shape[1]:
        raise DataError(f"similarities have to be a square table, found shape {table_NN.shape}")
    low, high = (float(table_NN.min()), float(table_NN.max())) if table_NN.size else (0.0, 0.0)
    if not (low >= 0 and np.isfinite(high)):  # also where NaN made both NaN
        raise DataError(f"similarities have to be finite and not negative, found {low:g} to {high:g}")
    return _Rows(None, None, table_NN)
