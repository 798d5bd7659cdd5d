"""Players from a configuration: `tiny` from scratch, or a hub id or folder with LoRA adapters.

`tiny` players are two full models, since an adapter on a random base learns little. Others share one base
under two adapters when both players name the same one. Remote code is never run and weights are read from
safetensors only.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from workbench.config import DeviceConfig, PolicyConfig, RunConfig, TinyConfig
from workbench.errors import DeviceError, ModelError
from workbench.models.adapters import load_adapter, save_adapter, with_adapter
from workbench.models.language_model import LanguageModel, context_length
from workbench.models.last_block import with_last_block
from workbench.models.sources import locate, readable
from workbench.seeding import derived_seed

POLICY, REFLECTION, REWARD = "policy", "reflection", "reward"
SHORT_CONTEXT = 96
"""Tokens; measured with heads of 32 on two cores, where the two ways take equally long at about 80."""


@dataclass(frozen=True, slots=True)
class Players:
    """Both players; ``reflection`` is None when no language model reflects."""

    policy: LanguageModel
    reflection: LanguageModel | None


def resolve_device(config: DeviceConfig) -> tuple[torch.device, torch.dtype]:
    """The device and precision a configuration asks for.

    Raises:
        DeviceError: CUDA is asked for and this machine has none, or not that many.
    """
    name = config.device if config.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError(
                f"device.device={config.device} asks for CUDA, but this PyTorch finds no CUDA device; use --set device.device=cpu"
            )
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise DeviceError(f"device.device={config.device}: this machine has {torch.cuda.device_count()} CUDA device(s), counted from 0")
    default = torch.bfloat16 if device.type == "cuda" else torch.float32
    return device, default if config.dtype == "auto" else getattr(torch, config.dtype)


def build_tiny(size: TinyConfig, tokenizer: PreTrainedTokenizerBase, *, seed: int) -> PreTrainedModel:
    """A small model with random weights drawn from ``seed``; no dropout, so that warm-up is exactly repeatable."""
    shared = {
        "vocab_size": len(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }
    config: PreTrainedConfig
    if size.architecture == "llama":
        config = LlamaConfig(
            hidden_size=size.n_embd,
            intermediate_size=2 * size.n_embd,
            num_hidden_layers=size.n_layer,
            num_attention_heads=size.n_head,
            max_position_embeddings=size.n_positions,
            tie_word_embeddings=True,
            initializer_range=size.initializer_range,
            # Prompts are short: a small base keeps every rotary frequency at work.
            rope_parameters={"rope_type": "default", "rope_theta": 100.0},
            **shared,
        )
    else:
        config = GPT2Config(
            n_embd=size.n_embd,
            n_layer=size.n_layer,
            n_head=size.n_head,
            n_positions=size.n_positions,
            initializer_range=size.initializer_range,
            # The fused form of the tanh approximation; GPT-2's default spells it out in eight passes.
            activation_function="gelu_pytorch_tanh",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **shared,
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Up to about this length two plain products are faster on a CPU than the fused kernel, forwards and backwards.
        attention = "eager" if size.n_positions <= SHORT_CONTEXT else "sdpa"
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    if not isinstance(model, LlamaForCausalLM):
        return model
    if size.matching_start:
        _match_equal_tokens(model)
    return with_last_block(model)


def _match_equal_tokens(model: LlamaForCausalLM) -> None:
    """Start keys as queries, and outputs as transposed values (mimetic initialisation, Trockman and Kolter 2023, arXiv 2305.09828)."""
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
            layer.self_attn.o_proj.weight.copy_(layer.self_attn.v_proj.weight.T)


def load_base(
    name: str, settings: PolicyConfig, device: torch.device, dtype: torch.dtype
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A pretrained model and its tokenizer, from a hub id or a folder.

    Raises:
        DeviceError: 8- or 4-bit weights are asked for without CUDA.
        ModelError: There is no such model, or no way to reach it.
    """
    if (settings.load_in_8bit or settings.load_in_4bit) and device.type != "cuda":
        bits = "8bit" if settings.load_in_8bit else "4bit"
        raise DeviceError(f"policy.load_in_{bits} needs a CUDA device, found {device.type}; use --set policy.load_in_{bits}=false")
    extra: dict[str, Any] = {}
    if settings.load_in_8bit:
        extra["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    elif settings.load_in_4bit:
        extra["quantization_config"] = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=dtype, bnb_4bit_quant_type="nf4")
    tokenizer = load_tokenizer(name)
    source = locate(name)
    with readable(name):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source.path, dtype=dtype, use_safetensors=True, device_map={"": device}, output_loading_info=True, **source.options, **extra
        )
    model, report = loaded
    if report["missing_keys"]:
        raise ModelError(f"{name}: its weights lack {min(report['missing_keys'])}, so it is no complete language model; use another model")
    return model, tokenizer


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a hub id or folder, with a padding token.

    Raises:
        ModelError: There is no such model, or no way to reach it.
    """
    source = locate(name)
    with readable(name):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source.path, **source.options)
    if tokenizer.eos_token_id is None:
        raise ModelError(f"{name}: its tokenizer has no end-of-text token, so reflections could not end; use another model")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def context_of(name: str) -> int:
    """Longest sequence of a hub id's or folder's model, tokens, without loading its weights.

    Raises:
        ModelError: There is no such model, or no way to reach it.
    """
    source = locate(name)
    with readable(name):
        return context_length(AutoConfig.from_pretrained(source.path, **source.options))


def build_players(config: RunConfig, tiny_tokenizer: PreTrainedTokenizerBase | None) -> Players:
    """Both players with their starting weights, placed on the configured device.

    Args:
        config: The run's configuration.
        tiny_tokenizer: Needed when a player is ``tiny``.

    Raises:
        ModelError: A model cannot be loaded, or ``tiny`` has no tokenizer yet.
        DeviceError: The device or precision is not there.
    """
    roles = [POLICY, REFLECTION] if config.reflection.kind in ("model", "shuffled") else [POLICY]
    players = build_models(config, {role: model_of(config, role) for role in roles}, tiny_tokenizer)
    return Players(players[POLICY], players.get(REFLECTION))


def model_of(config: RunConfig, role: str) -> str:
    """Name of the base model of a role; the policy's where no other is named."""
    named = {REFLECTION: config.reflection.model, REWARD: config.rlmec.reward_model.model}
    return named.get(role) or config.policy.model


def build_models(config: RunConfig, names: Mapping[str, str], tiny_tokenizer: PreTrainedTokenizerBase | None) -> dict[str, LanguageModel]:
    """Language models by role, as :func:`build_players` has them; equal bases are loaded once, with an adapter for each role.

    Args:
        config: The run's configuration.
        names: Base model of each role.
        tiny_tokenizer: Needed when one is ``tiny``.

    Raises:
        ModelError: A model cannot be loaded, or ``tiny`` has no tokenizer yet.
        DeviceError: The device or precision is not there.
    """
    device, dtype = resolve_device(config.device)
    kept = config.device.cache_implementation
    players: dict[str, LanguageModel] = {}
    bases: dict[str, tuple[PreTrainedModel | PeftModel, PreTrainedTokenizerBase]] = {}
    for role, name in names.items():
        seed = derived_seed(config.seed, "weights", role)
        if name == "tiny":
            if tiny_tokenizer is None:
                raise ModelError(
                    "a `tiny` player needs the tokenizer that the generate phase trains; add generate to phases, or train --from a run"
                )
            model = build_tiny(config.policy.tiny, tiny_tokenizer, seed=seed)
            torch.nn.Module.to(model, device=device, dtype=torch.float32)
            players[role] = LanguageModel(model.eval(), tiny_tokenizer, adapter=None, name="tiny", cache_implementation=kept)
            continue
        base, tokenizer = bases.get(name) or load_base(name, config.policy, device, dtype)
        adapted = with_adapter(base, role, config.policy, seed)
        bases[name] = (adapted, tokenizer)
        players[role] = LanguageModel(adapted.eval(), tokenizer, adapter=role, name=name, cache_implementation=kept)
    return players


def save_player(player: LanguageModel, folder: Path, role: str) -> None:
    """Write ``folder/<role>``: a whole model, or a PEFT adapter, with the tokenizer beside it."""
    target = folder / role
    if isinstance(player.model, PeftModel) and player.adapter is not None:
        save_adapter(player.model, player.adapter, os.fspath(folder))
    else:
        player.model.save_pretrained(os.fspath(target))
    player.tokenizer.save_pretrained(target)


def load_player(player: LanguageModel, folder: Path, role: str) -> None:
    """Read what :func:`save_player` wrote into ``player``.

    Raises:
        ModelError: The weights are missing or do not fit this model.
    """
    source = folder / role
    try:
        if isinstance(player.model, PeftModel) and player.adapter is not None:
            load_adapter(player.model, player.adapter, os.fspath(source))
        else:
            _load_model(player.model, os.fspath(source))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{source}: these weights do not fit {player.name} ({reason}); name the run they came from") from error


def _load_model(model: torch.nn.Module, folder: str) -> None:
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, trust_remote_code=False, output_loading_info=True
    )
    stored, report = loaded
    if report["missing_keys"]:
        raise KeyError(f"{min(report['missing_keys'])} is missing")
    model.load_state_dict(stored.state_dict())
