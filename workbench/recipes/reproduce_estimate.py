"""A dry run of a study: its runs, the memory they need and the time they take, measured where it can be and reckoned otherwise.

Where no run like it is finished on this machine, time follows from arithmetic alone: two operations per weight and token forwards, as many
backwards through a frozen base, at the pace of :data:`SUSTAINED`. Starting kernels and the data are left out, so it is a lower bound, which
tells hours from weeks and no more.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedTokenizerBase

from workbench.config import RunConfig, apply_overrides
from workbench.envs.catalog import make_env
from workbench.errors import WorkbenchError
from workbench.models.loading import load_tokenizer
from workbench.prompts import policy_text, reflection_text
from workbench.recipes.reproduce import Piece, duration, seconds_left
from workbench.recipes.reproduce_study import Study
from workbench.store.pace import worked_seconds

SUSTAINED = 40e12
"""Operations a second that a GPU of 2022 (an A40, about 150e12 at best in 16 bits) is taken to sustain with small batches."""
BANDWIDTH = 500e9
"""Bytes a second of its memory: what decoding waits for."""
CHARACTERS_PER_TOKEN = 2.5
"""Of prompts with grids and commands, where no tokenizer is at hand to count."""
SHAPES: dict[str, dict[str, Any]] = {"gpt2-xl": {"n_layer": 48, "n_embd": 1600, "n_head": 25}}
"""Models whose configuration need not be asked of the hub (OpenAI's GPT-2, by its published configuration)."""


class Reckoned(NamedTuple):
    """What a run asks for."""

    gigabytes: float | None
    """Of device memory; None where the model's shape is not known here."""
    seconds: float | None
    how: str
    """Whether the time was measured, on other arms perhaps, or reckoned."""


def dry_run(study: Study, pieces: Sequence[Piece], *, tell: Callable[[str], object]) -> dict[str, Any]:
    """List every run with its memory and time, and the sums; starts nothing."""
    rows, seen = [], dict[tuple[str, str], Reckoned]()
    width = max(len(piece.row.combination.told()) for piece in pieces)
    for piece in pieces:
        key = (piece.world.name, piece.arm)
        if key not in seen:
            seen[key] = reckon(piece.row.combination.config, pieces, piece)
        own = seen[key]
        memory = "memory ?" if own.gigabytes is None else f"{own.gigabytes:5.1f} GB"
        time = "time ?" if own.seconds is None else f"{duration(own.seconds)} ({own.how})"
        run_id = piece.row.paths.run_id if piece.row.paths else ""
        tell(f"{piece.row.combination.told():<{width}}  {piece.row.state:<9}  {memory}  {time}  {run_id}".rstrip())
        rows.append({**piece.row.combination.over, "state": piece.row.state, "run": run_id or None, **own._asdict()})
    waiting = [row for row in rows if row["state"] != "finished"]
    known = [row["seconds"] for row in waiting if row["seconds"] is not None]
    most = max((row["gigabytes"] for row in rows if row["gigabytes"] is not None), default=None)
    whole = f"{len(pieces)} runs, {len(pieces) - len(waiting)} of them finished"
    whole += f"; {duration(sum(known))} left one after another" if known else ""
    whole += f", without {len(waiting) - len(known)} runs that nobody can reckon" if len(known) < len(waiting) else ""
    tell(whole + (f"; {most:.1f} GB of memory at most" if most is not None else ""))
    return {"study": study.name, "runs": rows, "seconds": sum(known), "gigabytes": most}


def reckon(config: RunConfig, pieces: Sequence[Piece], piece: Piece) -> Reckoned:
    """Memory and time of one run."""
    with TemporaryDirectory() as scratch:
        shaped = _with_shape(config, Path(scratch))
        tokens = prompt_tokens(config)
        gigabytes, weights = _memory(shaped, tokens), _parameters(shaped)
    same = [other for other in pieces if (other.world.name, other.arm) == (piece.world.name, piece.arm)]
    if any(other.row.state == "finished" for other in same):
        measured = [worked_seconds(other.row.paths) for other in same if other.row.state == "finished" and other.row.paths]
        return Reckoned(gigabytes, sum(measured) / len(measured), "measured")
    if config.policy.model == "tiny":
        guess = seconds_left([*(one for one in pieces if one.row.state == "finished"), piece])
        return Reckoned(gigabytes, guess, "measured on other arms")
    return Reckoned(gigabytes, None if weights is None else work_seconds(config, tokens, weights), "reckoned, at least")


def work_seconds(config: RunConfig, tokens: int, weights: float) -> float:
    """Seconds of a run's phases by arithmetic.

    Args:
        config: The run.
        tokens: Of a policy's prompt with its reflection.
        weights: Parameters of the base model.
    """
    said = 0 if config.reflection.kind == "none" else config.reflection.max_new_tokens
    byte = 1.0 if config.policy.load_in_8bit else 2.0
    # Frozen base: no gradients of weights; checkpointing computes the way forwards twice.
    forward, backward = 2 * weights * tokens, 2 * weights * tokens
    horizon = make_env(config.env.name, **config.env.options).horizon
    seconds = 0.0
    for phase, settings in (("sft-reflection", config.sft_reflection), ("sft-policy", config.sft_policy)):
        if phase in config.phases:
            seconds += settings.rows * (forward * (1 + settings.gradient_checkpointing) + backward) / SUSTAINED
    decode = said * weights * byte / BANDWIDTH  # of a batch at once

    def playing(trajectories: float) -> float:
        turns = trajectories * horizon
        return turns * 2 * forward / SUSTAINED + turns / max(1, config.rl.rollout_batch_size) * decode

    if "rl" in config.phases:
        trajectories = config.rl.max_steps * config.rl.trajectories_per_update
        update = trajectories * horizon * (forward * (1 + config.rl.gradient_checkpointing) + backward) / SUSTAINED
        judged = config.rl.max_steps // config.rl.eval_steps * config.rl.eval_trajectories if config.rl.eval_steps else 0
        seconds += playing(trajectories + judged) + update
    if "evaluate" in config.phases:
        seconds += playing(config.evaluation.trajectories * (1 + len(config.evaluation.stages)))
    return seconds


def prompt_tokens(config: RunConfig) -> int:
    """Tokens of a first prompt with the longest reflection; counted by the model's tokenizer where it is here."""
    if config.recipe != "reflect-rl":
        return config.policy.tiny.n_positions if config.policy.model == "tiny" else 1024
    said = 0 if config.reflection.kind == "none" else config.reflection.max_new_tokens
    if config.policy.model == "tiny":
        return config.policy.tiny.n_positions
    env = make_env(config.env.name, **config.env.options)
    observation, info = env.reset(seed=config.seed)
    commands = info["admissible_commands"]
    text = policy_text(info["task_statement"], observation, "", commands, [str(place) for place in range(len(commands))])
    text = max(text, reflection_text(info["task_statement"], observation), key=len)
    tokenizer = _tokenizer(config.policy.model)
    return said + (ceil(len(text) / CHARACTERS_PER_TOKEN) if tokenizer is None else len(tokenizer.encode(text)))


@lru_cache(maxsize=8)
def _tokenizer(model: str) -> PreTrainedTokenizerBase | None:
    try:
        return load_tokenizer(model)
    except WorkbenchError:  # asked once: a hub that cannot be reached takes its time
        return None


def _with_shape(config: RunConfig, folder: Path) -> RunConfig:
    """The configuration with a known model's shape in a folder, so that nothing is asked of the hub."""
    if config.policy.model not in SHAPES:
        return config
    from transformers import GPT2Config

    GPT2Config(architectures=["GPT2LMHeadModel"], **SHAPES[config.policy.model]).save_pretrained(folder)
    return apply_overrides(config, [f"policy.model={folder}"])


def _memory(config: RunConfig, tokens: int) -> float | None:
    from workbench.recipes.memory import needed_memory

    dtype = torch.float32 if config.policy.model == "tiny" else torch.bfloat16
    try:
        return needed_memory(config, tokens=tokens, dtype=dtype).total / 1e9
    except WorkbenchError:
        return None


def _parameters(config: RunConfig) -> float | None:
    from workbench.recipes.memory import parameters

    try:
        return float(parameters(config)[0])
    except WorkbenchError:
        return None
