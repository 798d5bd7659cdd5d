"""What an evaluation plays: what a person asked for, and the configuration's own where they said nothing."""

from collections.abc import Sequence
from typing import NamedTuple

from workbench.config import EvaluationConfig, RunConfig
from workbench.errors import ConfigError, nearest


class Wanted(NamedTuple):
    """What a person asked for; None takes the configuration's own."""

    trajectories: int | None = None
    """How many."""
    seed: int | None = None
    """Of tasks and dice."""
    stage: str | None = None
    """The last one when None."""
    split: str | None = None
    """Start states."""


class Scope(NamedTuple):
    """What is played."""

    trajectories: int
    seed: int
    stage: str
    split: str


def completed(wanted: Wanted, settings: EvaluationConfig, stages: Sequence[str]) -> Scope:
    """All that an evaluation needs to know.

    Raises:
        ConfigError: The environment has no such stage, or there is nothing to play.
    """
    if wanted.trajectories is not None and wanted.trajectories < 1:
        raise ConfigError(f"--trajectories must be at least 1, found {wanted.trajectories}")
    if wanted.stage is not None and wanted.stage not in stages:
        raise ConfigError(f"--stage {wanted.stage!r} is unknown; {nearest(wanted.stage, stages)}")
    return Scope(
        trajectories=settings.trajectories if wanted.trajectories is None else wanted.trajectories,
        seed=settings.seed if wanted.seed is None else wanted.seed,
        stage=stages[-1] if wanted.stage is None else wanted.stage,
        split=settings.split if wanted.split is None else wanted.split,
    )


def must_play(config: RunConfig, *, run: str | None = None) -> None:
    """Refuse a configuration, or the run that has it, whose policy plays no trajectories.

    Raises:
        ConfigError: It writes worked solutions (RLMEC).
    """
    if config.recipe != "reflect-rl":
        what = f"run {run}" if run else f"preset {config.preset}"
        advice = f"`workbench show {run}` tells how well" if run else f"`workbench train {config.preset}` trains and judges it"
        raise ConfigError(f"{what} is of the recipe {config.recipe}: its policy solves problems and plays no world; {advice}")
