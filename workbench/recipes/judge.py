"""Evaluating a finished run, or any model, without touching a run folder."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from workbench.config import RunConfig, apply_overrides, load_config
from workbench.envs.text_env import TextEnv
from workbench.errors import ConfigError, nearest
from workbench.evaluation.evaluate import evaluate
from workbench.recipes.preflight import preflight
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.session import Session, open_session
from workbench.store.layout import RunPaths, create_run

# What an evaluation may change: how it is played, never who plays or which start states were held out.
_CHANGEABLE = ("evaluation.", "device.", "env.options.", "reflection.kind", "reflection.decoding", "reflection.temperature")


def evaluate_run(
    paths: RunPaths, *, count: int | None, seed: int | None, stage: str | None, split: str | None, overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """Success of a run's newest policy with its reflection player; None takes the run's own setting.

    Args:
        paths: The run folder; nothing in it changes.
        count: Trajectories.
        seed: Of tasks and dice.
        stage: Stage to play.
        split: Start states.
        overrides: Other settings than the run's own, as ``a.b=c``, e.g. ``reflection.kind=none``.

    Raises:
        WorkbenchError: The run has no players yet, or a setting is unknown or was fixed by the training.
    """
    session = open_session(paths, config=_changed(load_config(paths.config), overrides))
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


def _changed(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    changed = apply_overrides(config, overrides)
    for override in overrides:
        key = override.partition("=")[0].strip()
        if not key.startswith(_CHANGEABLE):
            raise ConfigError(
                f"--set {key}: a run is evaluated as it was trained; evaluation.*, device.*, env.options.*, reflection.kind, "
                "reflection.decoding and reflection.temperature can be changed"
            )
    reflects = ("model", "shuffled")
    if changed.reflection.kind in reflects and config.reflection.kind not in reflects:
        raise ConfigError(f"--set reflection.kind={changed.reflection.kind}: this run has no reflection player; use oracle or none")
    return changed


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
