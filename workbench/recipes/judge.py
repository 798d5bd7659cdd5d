"""Evaluating a finished run, or any model, without touching a run folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from workbench.config import RunConfig, apply_overrides, load_config
from workbench.errors import ConfigError
from workbench.evaluation.evaluate import evaluate
from workbench.recipes.preflight import preflight
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.rlmec_judge import judge_run
from workbench.recipes.scope import Wanted, completed, must_play
from workbench.recipes.session import Session, open_session
from workbench.store.layout import RunPaths, create_run

# What an evaluation may change: how it is played, never who plays or which start states were held out.
_CHANGEABLE = (
    *("evaluation.", "device.", "env.options."),
    *("reflection.kind", "reflection.decoding", "reflection.temperature", "reflection.endpoint."),
)


def evaluate_run(paths: RunPaths, wanted: Wanted, *, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Success of a run's newest policy with its reflection player.

    Args:
        paths: The run folder; nothing in it changes.
        wanted: What to play.
        overrides: Other settings than the run's own, as ``a.b=c``, e.g. ``reflection.kind=none``.

    Raises:
        WorkbenchError: The run has no players yet, or a setting is unknown or was fixed by the training.
    """
    config = load_config(paths.config)
    session = open_session(paths, config=_changed(config, overrides))
    if session.weights("policy") is None:
        raise ConfigError(f"run {paths.run_id} has no checkpoint of its policy yet; `workbench resume {paths.run_id}` makes one")
    if config.recipe == "rlmec":
        return judge_run(session, wanted)
    return _evaluate(session, wanted)


def evaluate_model(model: str, preset: RunConfig, wanted: Wanted) -> dict[str, Any]:
    """Success of a hub model or folder as it is, without a reflection player, on a preset's environment.

    Raises:
        WorkbenchError: The model cannot be loaded, or a setting is unknown.
    """
    must_play(preset)
    config = apply_overrides(preset, [f"policy.model={json.dumps(model)}", "reflection.kind=none", "phases=[evaluate]"])
    preflight(config)
    with TemporaryDirectory() as scratch:
        return _evaluate(open_session(create_run(Path(scratch), config)), wanted)


def _changed(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    changed = apply_overrides(config, overrides)
    for override in overrides:
        key = override.partition("=")[0].strip()
        if not key.startswith(_CHANGEABLE):
            raise ConfigError(
                f"--set {key}: a run is evaluated as it was trained; evaluation.*, device.*, env.options.*, reflection.kind, "
                "reflection.decoding, reflection.temperature and reflection.endpoint.* can be changed"
            )
    reflects = ("model", "shuffled")
    if changed.reflection.kind in reflects and config.reflection.kind not in reflects:
        raise ConfigError(f"--set reflection.kind={changed.reflection.kind}: this run has no reflection player; use oracle or none")
    return changed


def _evaluate(session: Session, wanted: Wanted) -> dict[str, Any]:
    scope = completed(wanted, session.config.evaluation, session.make_env().stages)
    found = evaluate(
        make_collector(session, session.players()),
        session.tasks[scope.stage][scope.split],
        stage=scope.stage,
        count=scope.trajectories,
        seed=scope.seed,
        temperature=session.config.evaluation.temperature,
        phase="evaluate",
        update=0,
    )
    return {"stage": scope.stage, "split": scope.split, **found.values()}
