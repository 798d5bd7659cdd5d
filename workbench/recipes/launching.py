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

from workbench.config import RunConfig, validated
from workbench.errors import WorkbenchError
from workbench.models.loading import resolve_device
from workbench.recipes.memory import needed_memory
from workbench.recipes.preflight import preflight
from workbench.recipes.spread import devices_of

_FREE_DISK = 2**28


def check(config: RunConfig, root: Path) -> list[dict[str, Any]]:
    """Every check with a verdict and a sentence; those that hang on an earlier one are left out when it fails."""
    try:
        tokens = preflight(config)
    except WorkbenchError as error:
        return [{"check": "configuration, environment, model, prompts", "ok": False, "found": str(error)}]
    found = [{"check": "configuration, environment, model, prompts", "ok": True, "found": "all of it holds"}]
    device, dtype = resolve_device(config.device)
    needed = needed_memory(config, tokens=tokens, dtype=dtype)
    number = config.device.num_processes
    on_gpus = [torch.cuda.mem_get_info(name)[0] for name in devices_of(config)] if device.type == "cuda" else []
    free = min(on_gpus, default=psutil.virtual_memory().available // number)
    each = f" for each of {number} processes" if number > 1 else ""
    words = (
        f"about {needed.least / 1e9:.2f} GB for weights and optimizer and up to {needed.moment / 1e9:.2f} GB for passes, "
        f"{free / 1e9:.1f} GB free on {device}{each}"
    )
    found.append({"check": "memory (estimate)", "ok": needed.total < free, "found": words})
    kept = (config.rl.save_total_limit + 4) * needed.optimizer + _FREE_DISK
    existing = next(folder for folder in (root.resolve(), *root.resolve().parents) if folder.is_dir())
    space = shutil.disk_usage(existing).free
    words = f"up to about {kept / 1e9:.2f} GB for checkpoints and trajectories, {space / 1e9:.1f} GB free"
    found.append({"check": "disk (estimate)", "ok": kept < space, "found": words})
    return found


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
