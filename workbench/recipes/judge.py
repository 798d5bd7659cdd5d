"""Evaluating a finished run, or any model, without touching a run folder."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from workbench.config import RunConfig, apply_overrides
from workbench.envs.text_env import TextEnv
from workbench.errors import ConfigError, nearest
from workbench.evaluation.evaluate import evaluate
from workbench.recipes.preflight import preflight
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.session import Session, open_session
from workbench.store.layout import RunPaths, create_run


def evaluate_run(paths: RunPaths, *, count: int | None, seed: int | None, stage: str | None, split: str | None) -> dict[str, Any]:
    """Success of a run's newest policy with its reflection player; None takes the run's own setting.

    Raises:
        WorkbenchError: The run has no players yet, or a setting is unknown.
    """
    session = open_session(paths)
    if session.weights("policy") is None:
        raise ConfigError(f"run {paths.run_id} has no checkpoint of its policy yet; `workbench resume {paths.run_id}` makes one")
    return _evaluate(session, count, seed, stage, split)


def evaluate_model(
    model: str, preset: RunConfig, *, count: int | None, seed: int | None, stage: str | None, split: str | None
) -> dict[str, Any]:
    """Success of a hub model or folder as it is, without a reflection player, on a preset's environment.

    Raises:
        WorkbenchError: The model cannot be loaded, or a setting is unknown.
    """
    config = apply_overrides(preset, [f"policy.model={model}", "reflection.kind=none", "phases=[evaluate]"])
    preflight(config)
    with TemporaryDirectory() as scratch:
        return _evaluate(open_session(create_run(Path(scratch), config)), count, seed, stage, split)


def _evaluate(session: Session, count: int | None, seed: int | None, stage: str | None, split: str | None) -> dict[str, Any]:
    settings, env = session.config.evaluation, session.make_env()
    if count is not None and count < 1:
        raise ConfigError(f"--trajectories must be at least 1, found {count}")
    stage, split = _known_stage(stage, env), split or settings.split
    found = evaluate(
        make_collector(session, session.players()),
        session.tasks[stage][split],
        stage=stage,
        count=count or settings.trajectories,
        seed=settings.seed if seed is None else seed,
        temperature=settings.temperature,
        phase="evaluate",
        update=0,
    )
    return {"stage": stage, "split": split, **found.values()}


def _known_stage(stage: str | None, env: TextEnv) -> str:
    if stage is not None and stage not in env.stages:
        raise ConfigError(f"--stage {stage!r} is unknown; {nearest(stage, env.stages)}")
    return stage or env.stages[-1]
