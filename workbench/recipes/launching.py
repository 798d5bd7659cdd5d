"""What the Launch page asks a process of its own: can this configuration run here?

``python -m workbench.recipes.launching`` reads one JSON object from standard input (``config``, YAML, and ``root``) and writes one to
standard output, so that the page's own process stays free of torch.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import psutil
import torch
import yaml
from transformers import AutoConfig, AutoModelForCausalLM

from workbench.config import RunConfig, validated
from workbench.errors import WorkbenchError
from workbench.models.loading import POLICY, REFLECTION, REWARD, build_tiny, model_of, resolve_device
from workbench.models.sources import locate, readable
from workbench.models.tokenizer import train_tokenizer
from workbench.prompts import MARKERS
from workbench.recipes.preflight import preflight

_ADAM = 3  # the gradient and two running means, for each trained number
_FREE_DISK = 2**28
_ROOM = 1.25
"""Activations and what libraries keep, beside weights and optimizer: a rough share that is measured nowhere."""


def check(config: RunConfig, root: Path) -> list[dict[str, Any]]:
    """Every check with a verdict and a sentence; those that hang on an earlier one are left out when it fails."""
    try:
        preflight(config)
    except WorkbenchError as error:
        return [{"check": "configuration, environment, model, prompts", "ok": False, "found": str(error)}]
    found = [{"check": "configuration, environment, model, prompts", "ok": True, "found": "all of it holds"}]
    device, dtype = resolve_device(config.device)
    whole, trained = parameters(config)
    needed = round((whole * weight_bytes(config, dtype) + trained * 4 * _ADAM) * _ROOM)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    words = f"about {needed / 1e9:.2f} GB for weights and optimizer, {free / 1e9:.1f} GB free on {device}"
    found.append({"check": "memory (estimate)", "ok": needed < free, "found": words})
    kept = (config.rl.save_total_limit + 4) * trained * 4 * _ADAM + _FREE_DISK
    existing = next(folder for folder in (root.resolve(), *root.resolve().parents) if folder.is_dir())
    space = shutil.disk_usage(existing).free
    words = f"up to about {kept / 1e9:.2f} GB for checkpoints and trajectories, {space / 1e9:.1f} GB free"
    found.append({"check": "disk (estimate)", "ok": kept < space, "found": words})
    return found


def weight_bytes(config: RunConfig, dtype: torch.dtype) -> float:
    """Bytes that one weight of a base model takes."""
    if config.policy.load_in_8bit or config.policy.load_in_4bit:
        return 1.0 if config.policy.load_in_8bit else 0.5
    return float(torch.empty(0, dtype=dtype).element_size())


def parameters(config: RunConfig) -> tuple[int, int]:
    """Numbers in all weights, and how many of them are trained at once; weights are neither read nor made."""
    roles = [POLICY]
    if config.recipe == "rlmec":
        roles.append(REWARD)
    elif config.reflection.kind in ("model", "shuffled"):
        roles.append(REFLECTION)
    names = [model_of(config, role) for role in roles]
    tiny = names.count("tiny")
    whole = trained = 0
    if tiny:
        tokenizer = train_tokenizer([], whole=MARKERS, vocab_size=300)
        with torch.device("meta"):
            model = build_tiny(config.policy.tiny, tokenizer, seed=0)
        # Rows of a tokenizer that is yet to be trained; the embedding is tied, so they count once.
        unborn = config.policy.tiny.vocab_size - len(tokenizer)
        trained = sum(int(weight.numel()) for weight in model.parameters()) + unborn * config.policy.tiny.n_embd
        whole = tiny * trained
    for name in set(names) - {"tiny"}:
        source = locate(name)
        with readable(name), torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source.path, **source.options))
        own = sum(int(weight.numel()) for weight in model.parameters())
        whole += own
        # Two low-rank factors beside about four square matrices of every block.
        trained += 8 * config.policy.lora.lora_r * model.config.hidden_size * model.config.num_hidden_layers
    return whole, trained


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request; an error that a person can mend is an answer, too."""
    try:
        config = validated(yaml.safe_load(request["config"]), source="this form")
        return {"checks": check(config, Path(request["root"]))}
    except WorkbenchError as error:
        return {"error": str(error)}


def main() -> None:
    """Read a request, answer it."""
    print(json.dumps(answer(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
