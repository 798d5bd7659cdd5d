"""The designs by name, over one pool: what `workbench select` and a notebook's comparison call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.errors import ConfigError, DataError, nearest
from workbench.selection.baselines import k_means, random_choice
from workbench.selection.coverage import Greedy, facility_location
from workbench.selection.farthest import k_center
from workbench.selection.features import Features
from workbench.selection.inputs import Doubles, Selection
from workbench.selection.kernels import Kernel
from workbench.selection.per_task import even_per_task, inverse_confidence_per_task
from workbench.selection.pool import Pool
from workbench.selection.top import top_k

DEFAULT_SCORE = "entropy-mean"
CONFIDENCE = "least-confidence-mean"


@dataclass(frozen=True, slots=True)
class Settings:
    """How designs choose.

    Args:
        seed: Of everything that is drawn.
        score: Ranks prompts in top-k and within tasks, and weighs them in facility-location and k-center; None weighs nothing.
        kernel: Of facility-location.
        width: Of its Gaussian; None sweeps.
        search: Of facility-location.
        neighbors: Of facility-location; None decides by the size of the pool.
    """

    seed: int = 0
    score: str | None = None
    kernel: Kernel = "gaussian"
    width: float | None = None
    search: Greedy = "lazy"
    neighbors: int | None = None


Design = Callable[[Pool, Features | None, int, Settings], Selection]


def choose(design: str, pool: Pool, features: Features | None, budget: int, settings: Settings) -> Selection:
    """Apply a design of ``DESIGNS``.

    Raises:
        ConfigError: The design or a setting is unknown, or the design looks at features and there are none.
        DataError: The budget or the pool does not suit it.
    """
    check_design(design)
    return DESIGNS[design](pool, features, budget, settings)


def check_design(design: str) -> None:
    """Refuse what is no design.

    Raises:
        ConfigError: The name is unknown.
    """
    if design not in DESIGNS:
        raise ConfigError(f"unknown design {design!r}; {nearest(design, DESIGNS)}")


def needs_features(design: str, settings: Settings) -> bool:
    """Whether a design looks at more than prompts and tasks."""
    return design not in ("random", "even-per-task") or settings.score is not None


def _seen(features: Features | None) -> Features:
    if features is None:
        raise ConfigError("this design looks at what a model makes of the prompts; name one with --model, or a file with --features")
    return features


def _score(features: Features | None, name: str | None) -> Doubles | None:
    return None if name is None else _seen(features).score(name)


def _tasks(pool: Pool) -> tuple[str, ...]:
    if pool.tasks is None:
        raise DataError("this design spreads the budget over tasks, but the pool names none; name their column with --task-column")
    return pool.tasks


def _top_k(pool: Pool, features: Features | None, budget: int, settings: Settings) -> Selection:
    return top_k(_seen(features).score(settings.score or DEFAULT_SCORE), budget)


def _k_center(pool: Pool, features: Features | None, budget: int, settings: Settings) -> Selection:
    return k_center(_seen(features).embeddings, budget, weights=_score(features, settings.score))


def _facility_location(pool: Pool, features: Features | None, budget: int, settings: Settings) -> Selection:
    chosen: dict[str, Any] = {name: getattr(settings, name) for name in ("kernel", "width", "search", "neighbors", "seed")}
    return facility_location(_seen(features).embeddings, budget, weights=_score(features, settings.score), **chosen)


def _inverse_confidence(pool: Pool, features: Features | None, budget: int, settings: Settings) -> Selection:
    confidence_N = 1 - _seen(features).score(CONFIDENCE)
    return inverse_confidence_per_task(_tasks(pool), confidence_N, budget, seed=settings.seed, scores=_score(features, settings.score))


DESIGNS: dict[str, Design] = {
    "random": lambda pool, features, budget, settings: random_choice(len(pool), budget, seed=settings.seed),
    "top-k": _top_k,
    "k-center": _k_center,
    "facility-location": _facility_location,
    "k-means": lambda pool, features, budget, settings: k_means(_seen(features).embeddings, budget, seed=settings.seed),
    "even-per-task": lambda pool, features, budget, settings: even_per_task(
        _tasks(pool), budget, seed=settings.seed, scores=_score(features, settings.score)
    ),
    "inverse-confidence": _inverse_confidence,
}
