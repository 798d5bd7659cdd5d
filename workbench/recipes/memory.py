"""What a run needs of a device's memory, reckoned before it begins: weights, what training keeps for them, and its fullest moment.

Reckoned and not measured: the moment is an upper bound, since passes over prompts that begin alike, short answers and frozen layers
need less.
"""

import logging
from typing import Any, NamedTuple

import psutil
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from workbench.config import PolicySettings, RLSettings, RunConfig, SFTSettings
from workbench.errors import DeviceError
from workbench.models.loading import POLICY, REFLECTION, REWARD, build_tiny, model_of, resolve_device
from workbench.models.sources import locate, readable
from workbench.models.tokenizer import train_tokenizer
from workbench.prompts import MARKERS

log = logging.getLogger("workbench")

ADAM = 3
"""The gradient and two running means, each in float32, for each trained number."""
LAYER_BYTES = 34
"""A block keeps so much for its backward pass, for each token and hidden unit, in 16 bits and with attention that keeps no matrix
(Korthikanti et al. 2022, arXiv 2205.05198, section 4.1)."""
MOST_DECODED = 256
"""Prompts that are decoded together, see ``models/generation.py``."""
_ROOM = 1.1
"""What the allocator and the libraries keep besides: a rough share that is measured nowhere."""
_GIGA = 1e9


class Size(NamedTuple):
    """One model's."""

    parameters: int
    trained: int
    layers: int
    hidden: int
    cached: int
    """Numbers that one token leaves in the cache of one layer: keys and values."""
    vocabulary: int
    weight_bytes: float
    """Of one parameter that is not trained, as the device holds it."""
    number_bytes: int
    """Of one activation."""


class Memory(NamedTuple):
    """Bytes."""

    weights: float
    optimizer: float
    moment: float
    """The larger of a pass forwards and backwards and of decoding."""

    @property
    def least(self) -> float:
        """Without what passes need."""
        return self.weights + self.optimizer

    @property
    def total(self) -> float:
        """All of it, and what libraries keep."""
        return (self.least + self.moment) * _ROOM


def check_memory(config: RunConfig, tokens: int) -> None:
    """Compare with the whole memory of the run's device, or its part of it, whoever else uses it at the moment.

    Args:
        config: The run's configuration.
        tokens: Of the longest prompt with its answer.

    Raises:
        DeviceError: Weights and optimizer alone do not fit. Where only the estimate of all does not, there is a warning.
    """
    device, dtype = resolve_device(config.device)
    there = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else psutil.virtual_memory().total / config.device.num_processes
    needed = needed_memory(config, tokens=tokens, dtype=dtype)
    if needed.least > there:
        raise DeviceError(
            f"{device} has {there / _GIGA:.1f} GB, and weights ({needed.weights / _GIGA:.1f} GB) and optimizer "
            f"({needed.optimizer / _GIGA:.1f} GB) of policy.model={config.policy.model} do not fit; use a smaller model, a smaller "
            "policy.lora.lora_r, or on CUDA policy.load_in_8bit or load_in_4bit"
        )
    if needed.total > there:
        log.warning(
            "about %.1f GB are needed at the fullest moment (an estimate) and %s has %.1f GB; where that fails, use a smaller "
            "per_device_train_batch_size or rollout_batch_size, or gradient_checkpointing=true",
            needed.total / _GIGA,
            device,
            there / _GIGA,
        )


def needed_memory(config: RunConfig, *, tokens: int, dtype: torch.dtype) -> Memory:
    """The estimate for one process.

    Args:
        config: The run's configuration.
        tokens: Of the longest prompt with its answer.
        dtype: Of pretrained weights and their activations; ``tiny`` has float32.
    """
    found = sizes(config, dtype)
    weights = sum(one.parameters * one.weight_bytes + (0 if one.parameters == one.trained else one.trained * 4) for one in found)
    # One player is trained at a time, or both by one update.
    trained = sum(one.trained for one in found) if config.rl.train_reflection else max(one.trained for one in found)
    moment = max(max(training_bytes(config, one, tokens), decoding_bytes(config, one, tokens)) for one in found)
    return Memory(weights, trained * 4 * ADAM, moment)


def training_bytes(config: RunConfig, size: Size, tokens: int) -> float:
    """The fullest pass forwards and backwards of any phase, with the number of tokens in a row that logits are needed at."""
    passes: list[tuple[SFTSettings | RLSettings | PolicySettings, int]]
    passes = [(config.sft_reflection, tokens), (config.sft_policy, 1), (config.rl, 1)]
    if config.recipe == "rlmec":
        passes = [(config.sft_reflection, tokens), (config.sft_policy, tokens), (config.rlmec.policy, tokens)]
    return max(
        _activations(size, settings.per_device_train_batch_size, tokens, checkpointing=settings.gradient_checkpointing)
        # Logits, their float32 copy and its gradient: at every answer token of a reflection, at one of a policy.
        + settings.per_device_train_batch_size * answers * size.vocabulary * (size.number_bytes + 8)
        for settings, answers in passes
    )


def _activations(size: Size, rows: int, tokens: int, *, checkpointing: bool) -> float:
    kept = 2 * size.layers + LAYER_BYTES if checkpointing else LAYER_BYTES * size.layers
    return rows * tokens * size.hidden * kept * size.number_bytes / 2


def decoding_bytes(config: RunConfig, size: Size, tokens: int) -> float:
    """Keys and values of the prompts that are decoded together; sizes that are kept sum up to less than twice the largest."""
    copies = {"dynamic": 1, "static": 3, "compiled": 3}[config.device.cache_implementation]
    rows = min(MOST_DECODED, config.rl.rollout_batch_size)
    return float(copies * rows * tokens * size.layers * size.cached * size.number_bytes)


def weight_bytes(config: RunConfig, dtype: torch.dtype) -> float:
    """Bytes that one weight of a pretrained base takes."""
    if config.policy.load_in_8bit or config.policy.load_in_4bit:
        return 1.0 if config.policy.load_in_8bit else 0.5
    return float(dtype.itemsize)


def parameters(config: RunConfig) -> tuple[int, int]:
    """Numbers in all weights, and how many of them are trained at once; weights are neither read nor made."""
    found = sizes(config, torch.float32)
    return sum(one.parameters for one in found), max(one.trained for one in found)


def sizes(config: RunConfig, dtype: torch.dtype) -> list[Size]:
    """Of every model that stands in memory by itself: each `tiny` player, each base with the adapters of those who share it."""
    roles = [POLICY]
    if config.recipe == "rlmec":
        roles.append(REWARD)
    elif config.reflection.kind in ("model", "shuffled"):
        roles.append(REFLECTION)
    names = [model_of(config, role) for role in roles]
    found = [_tiny_size(config)] * names.count("tiny")
    for name in dict.fromkeys(name for name in names if name != "tiny"):
        source = locate(name)
        with readable(name), torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source.path, **source.options))
        # Two low-rank factors beside about four square matrices of every block.
        adapter = 8 * config.policy.lora.lora_r * model.config.hidden_size * model.config.num_hidden_layers
        found.append(_size(model, adapter, weight_bytes(config, dtype), dtype.itemsize))
    return found


def _tiny_size(config: RunConfig) -> Size:
    tokenizer = train_tokenizer([], whole=MARKERS, vocab_size=300)
    with torch.device("meta"):
        model = build_tiny(config.policy.tiny, tokenizer, seed=0)
    size = _size(model, 0, 4.0, 4)
    # Rows of a tokenizer that is yet to be trained; the embedding is tied, so they count once.
    whole = size.parameters + (config.policy.tiny.vocab_size - len(tokenizer)) * config.policy.tiny.n_embd
    return size._replace(parameters=whole, trained=whole, vocabulary=config.policy.tiny.vocab_size)


def _size(model: Any, trained: int, weight: float, number: int) -> Size:
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    whole = sum(int(one.numel()) for one in model.parameters())
    return Size(whole, trained, config.num_hidden_layers, config.hidden_size, 2 * heads * head, config.vocab_size, weight, number)
