"""Checkpoints: whole or absent, verified when read, and free of pickle.

A checkpoint is a folder ``checkpoints/<phase>/000100`` with one subfolder per saved player (what
``from_pretrained`` of transformers or PEFT reads), ``optimizer.safetensors``, an algorithm's own modules
(``critic.safetensors``), ``state.json`` and a manifest of sizes and hashes. It is built under a hidden name and renamed when complete.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from workbench.errors import CheckpointError
from workbench.models.language_model import LanguageModel
from workbench.models.loading import save_player

MANIFEST, STATE, OPTIMIZER = "manifest.json", "state.json", "optimizer.safetensors"


def save_checkpoint(
    folder: Path,
    step: int,
    *,
    state: Mapping[str, Any],
    players: Mapping[str, LanguageModel],
    optimizer: torch.optim.Optimizer | None = None,
    keep: int | None = None,
    extra: Callable[[Path], object] | None = None,
) -> Path:
    """Write ``folder/<step>`` whole and remove older ones beyond ``keep``.

    Args:
        folder: ``checkpoints/<phase>`` of a run.
        step: Update or optimizer step it stands for.
        state: JSON values; whatever an exact resume needs besides weights and optimizer.
        players: Players to save, by role.
        optimizer: Its tensors go to safetensors, its numbers to JSON.
        keep: How many of this phase are kept; all when None.
        extra: Writes further files into the folder it is given.
    """
    target = folder / f"{step:06d}"
    part = folder / f".{target.name}.part"
    for left in folder.glob(".[0-9]*"):  # by a process that was killed while it wrote or deleted
        shutil.rmtree(left, ignore_errors=True)
    part.mkdir(parents=True)
    for role, player in players.items():
        save_player(player, part, role)
    if extra is not None:
        extra(part)
    content: dict[str, Any] = {"step": step, **state}
    if optimizer is not None:
        tensors, content["optimizer"] = _split_optimizer(optimizer)
        save_file(tensors, part / OPTIMIZER)
    (part / STATE).write_text(json.dumps(content), encoding="utf-8")
    manifest = {str(path.relative_to(part)): _fingerprint(path) for path in sorted(part.rglob("*")) if path.is_file()}
    (part / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    for path in part.rglob("*"):
        if path.is_file():
            _sync(path)
    if target.exists():
        remove_checkpoint(target)
    os.replace(part, target)
    _sync(folder)
    if keep is not None:
        for old in steps(folder)[:-keep]:
            remove_checkpoint(folder / f"{old:06d}")
    return target


def steps(folder: Path) -> list[int]:
    """Steps of the complete checkpoints in ``folder``, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if re.fullmatch(r"\d{6,}", path.name) and (path / MANIFEST).is_file())


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint of a phase, or None."""
    found = steps(folder)
    return folder / f"{found[-1]:06d}" if found else None


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The JSON state of a verified checkpoint.

    Raises:
        CheckpointError: A file is missing, has another size, or other content than when it was written.
    """
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
        for name, expected in manifest.items():
            found = _fingerprint(checkpoint / name)
            if found != expected:
                raise CheckpointError(_damaged(checkpoint, f"{name} is not what was written"))
        state: dict[str, Any] = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(_damaged(checkpoint, str(error).splitlines()[0])) from None
    return state


def load_optimizer(checkpoint: Path, state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Put the saved optimizer state back."""
    tensors = load_file(checkpoint / OPTIMIZER)
    entries: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        entries.setdefault(int(index), {})[key] = tensor
    groups = [{**group, **({"betas": tuple(group["betas"])} if "betas" in group else {})} for group in state["optimizer"]]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def save_modules(folder: Path, modules: Mapping[str, torch.nn.Module]) -> None:
    """Write ``<name>.safetensors`` for each module."""
    for name, module in modules.items():
        tensors = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
        save_file(tensors, folder / f"{name}.safetensors")


def load_modules(checkpoint: Path, modules: Mapping[str, torch.nn.Module]) -> None:
    """Read what :func:`save_modules` wrote.

    Raises:
        CheckpointError: A module was not saved, or has another shape.
    """
    for name, module in modules.items():
        try:
            module.load_state_dict(load_file(checkpoint / f"{name}.safetensors"))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(_damaged(checkpoint, f"{name}: {str(error).splitlines()[0]}")) from None


def remove_checkpoint(checkpoint: Path) -> None:
    """Delete a checkpoint so that a kill half-way leaves no incomplete one behind."""
    doomed = checkpoint.with_name(f".{checkpoint.name}.doomed")
    shutil.rmtree(doomed, ignore_errors=True)
    os.replace(checkpoint, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _split_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    state = optimizer.state_dict()
    tensors = {
        f"{index}.{key}": value.detach().contiguous().cpu()
        for index, entry in state["state"].items()
        for key, value in entry.items()
        if isinstance(value, torch.Tensor)
    }
    return tensors, state["param_groups"]


def _fingerprint(path: Path) -> list[int | str]:
    with path.open("rb") as file:
        return [path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damaged(checkpoint: Path, reason: str) -> str:
    return f"{checkpoint}: the checkpoint is damaged ({reason}); delete this folder and resume to go on from the one before"
