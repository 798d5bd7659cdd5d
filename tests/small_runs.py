"""Whole runs in seconds, and what two runs are compared by: everything they wrote, times aside."""

import gc
import hashlib
import json
from pathlib import Path
from typing import Any

from workbench.config import RunConfig, apply_overrides
from workbench.recipes.execute import execute, prepare_run
from workbench.store.layout import RunPaths
from workbench.trainers import checkpoint

_WARM_UP = ("per_device_train_batch_size=16", "learning_rate=3e-3", "warmup_steps=5", "logging_steps=10")
CHAIN_SETTINGS = (
    "preset=chain",
    "env.name=tests.chain_world:ChainWorld",
    "device.num_threads=1",
    "policy.tiny={n_layer: 2, n_embd: 48, n_head: 4, n_positions: 96, vocab_size: 400, initializer_range: 0.12}",
    "data.trajectories=60",
    "data.negatives=20",
    "data.validation_share=0",
    "data.test_share=0.25",
    "sft_reflection.max_steps=60",
    "sft_policy.max_steps=24",
    *(f"{section}.{setting}" for section in ("sft_reflection", "sft_policy") for setting in _WARM_UP),
    "rl.max_steps=25",
    "rl.trajectories_per_update=32",
    "rl.rollout_batch_size=32",
    "rl.learning_rate=1e-3",
    "rl.eval_steps=10",
    "rl.eval_trajectories=64",
    "rl.save_steps=10",
    "evaluation.trajectories=100",
    "evaluation.split=all",
)
SHORT_SETTINGS = (
    "sft_reflection.max_steps=8",
    "sft_reflection.save_steps=4",
    "sft_reflection.logging_steps=3",
    "sft_policy.max_steps=8",
    "sft_policy.save_steps=4",
    "sft_policy.logging_steps=3",
    "rl.max_steps=6",
    "rl.trajectories_per_update=8",
    "rl.eval_steps=3",
    "rl.eval_trajectories=8",
    "rl.save_steps=2",
    "evaluation.trajectories=16",
)
"""Every phase, several checkpoints in each, two to three seconds; learns next to nothing."""


def chain_config(*overrides: str) -> RunConfig:
    """All of Reflect-RL with two tiny players on ChainWorld, in about six seconds on one core."""
    return apply_overrides(RunConfig(), [*CHAIN_SETTINGS, *overrides])


def short_config(*overrides: str) -> RunConfig:
    """The same way in two to three seconds."""
    return chain_config(*SHORT_SETTINGS, *overrides)


def run_config(root: Path, config: RunConfig) -> RunPaths:
    """A run that went through every phase of ``config``."""
    return carry_on(prepare_run(root, config))


def carry_on(paths: RunPaths) -> RunPaths:
    """The run, taken to its end from wherever it stood."""
    # A warm-up collects garbage at every end of a segment; what the libraries made when they were imported is not looked at again.
    gc.freeze()
    try:
        execute(paths, queue=False, show_progress=False)
    finally:
        gc.unfreeze()
    return paths


def lines(path: Path) -> list[dict[str, Any]]:
    """A JSON-lines file as written, without the times."""
    every = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "time" and not key.startswith("time/")} for line in every]


def weights(paths: RunPaths) -> dict[str, str]:
    """Hashes of the players' weights and the optimizer's state in the newest checkpoint of every phase."""
    found = {}
    for folder in sorted(paths.checkpoints.iterdir()):
        newest = checkpoint.latest(folder)
        assert newest is not None, folder
        for path in sorted(newest.rglob("*.safetensors")):
            found[str(path.relative_to(paths.checkpoints))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def assert_same_run(one: RunPaths, other: RunPaths) -> None:
    """Metrics, evaluations and final weights are equal bit for bit."""
    for name in ("metrics", "evaluations"):
        mine, theirs = lines(getattr(one, name)), lines(getattr(other, name))
        assert mine == theirs, next(pair for pair in zip(mine, theirs, strict=False) if pair[0] != pair[1])
    assert weights(one) == weights(other)
