"""What a design has to beat: chance, the middles of clusters, and how fast prompts are learned."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans, MiniBatchKMeans

from workbench.errors import DataError
from workbench.seeding import derived_seed, generator
from workbench.selection.inputs import Doubles, Selection, check_budget, check_column, check_embeddings

BATCHED_ABOVE = 20_000
"""Larger pools are clustered in batches."""


def random_choice(pool: int, budget: int, *, seed: int) -> Selection:
    """``budget`` of ``pool`` prompts, each as likely as any other; a smaller budget with this seed gives the beginning.

    Raises:
        DataError: The budget cannot be spent on this pool.
    """
    budget = check_budget(budget, pool)
    return Selection(generator(seed, "random-choice").permutation(pool)[:budget].astype(np.int64))


def k_means(embeddings: ArrayLike, budget: int, *, seed: int) -> Selection:
    """The prompt nearest the middle of each of ``budget`` clusters, large clusters first.

    Where clusters share that prompt or are empty (copies), the places left go to the prompts farthest from their middle.

    Args:
        embeddings: One row a prompt, (N, D).
        budget: How many to choose, from 1 to N.
        seed: Draws the first middles.

    Returns:
        ``value`` is the sum of squared distances to the middles, of which there is no bound.

    Raises:
        DataError: The budget or the embeddings cannot be used.
    """
    points_ND = check_embeddings(embeddings)
    budget = check_budget(budget, len(points_ND))
    settings = {"n_clusters": min(budget, len(np.unique(points_ND, axis=0))), "random_state": derived_seed(seed, "k-means"), "n_init": 1}
    model = (KMeans if len(points_ND) <= BATCHED_ABOVE else MiniBatchKMeans)(**settings).fit(points_ND)
    apart_N = np.linalg.norm(points_ND - model.cluster_centers_[model.labels_], axis=1).astype(np.float64)
    sizes = np.bincount(model.labels_, minlength=settings["n_clusters"])
    chosen: list[int] = []
    for cluster in np.argsort(-sizes, kind="stable"):
        members = np.flatnonzero(model.labels_ == cluster)
        if len(members):
            chosen.append(int(members[apart_N[members].argmin()]))
    apart_N[chosen] = -1
    chosen += np.argsort(-apart_N, kind="stable")[: budget - len(chosen)].tolist()
    return Selection(np.array(chosen, np.int64), float(model.inertia_))


def learning_percentage(before: ArrayLike, early: ArrayLike, late: ArrayLike) -> Doubles:
    """Which share of what is learned about a text is learned early (after Mekala et al. 2024), as a score.

    Hard texts have a low percentage; what is given is 1 - percentage, so that larger means annotate first, as ``top_k`` reads it.

    Args:
        before: Perplexity of each prompt under the model before training on the prompts, (N,).
        early: After one epoch, (N,).
        late: After the last epoch, (N,).

    Returns:
        1 - (before - early) / (before - late), clipped to [0, 1]; 1 where nothing was learned at all. Float64, (N,).

    Raises:
        DataError: The columns do not fit one another.

    Example:
        >>> learning_percentage([10.0, 10.0], [6.0, 9.0], [5.0, 5.0]).tolist()
        [0.2, 0.8]
    """
    first_N = check_column(before, None, "perplexities before training", positive=True)
    early_N = check_column(early, len(first_N), "perplexities after one epoch", positive=True)
    late_N = check_column(late, len(first_N), "perplexities after the last epoch", positive=True)
    if not len(first_N):
        raise DataError("there are no perplexities; name at least one prompt")
    learned_N = first_N - late_N
    share_N = np.divide(first_N - early_N, learned_N, out=np.zeros_like(learned_N), where=learned_N > 0)
    return np.asarray(1 - np.clip(share_N, 0, 1), dtype=np.float64)
