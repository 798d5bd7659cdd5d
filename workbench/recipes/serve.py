"""A run's reflection player as a plain model folder that any server of transformers models can load."""

import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

from peft import PeftModel
from transformers import GenerationConfig

from workbench.config import RunConfig, apply_overrides, load_config
from workbench.errors import ModelError, StoreError
from workbench.models.language_model import LanguageModel
from workbench.models.loading import REFLECTION, build_models, load_player, model_of
from workbench.recipes.session import open_session
from workbench.store.files import writing
from workbench.store.layout import RunPaths


def export_reflection_player(paths: RunPaths) -> Path:
    """Write the newest reflection player of a run to its folder ``served``: a whole model, adapters merged, and its tokenizer.

    An older folder is replaced at once; a server that has it open keeps what it has loaded.

    Raises:
        StoreError: The run has no trained reflection player, or its folder cannot be written.
        ModelError: The weights do not fit, or their base cannot be loaded.
    """
    config = _whole(load_config(paths.config))
    session = open_session(paths, config=config)
    source = session.weights(REFLECTION)
    if source is None:
        raise StoreError(
            f"run {paths.run_id} has no trained reflection player (reflection.kind={config.reflection.kind}, {_progress(config)}); "
            "name a run that went through sft-reflection"
        )
    player = build_models(config, {REFLECTION: model_of(config, REFLECTION)}, session.tiny_tokenizer())[REFLECTION]
    load_player(player, source, REFLECTION)
    part = paths.folder / f".served-{uuid4().hex}.part"
    with writing(paths.folder):
        try:
            _write(player, part)
            if paths.served.exists():
                paths.served.rename(part.with_suffix(".old"))
            part.rename(paths.served)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(part.with_suffix(".old"), ignore_errors=True)
    return paths.served


def _whole(config: RunConfig) -> RunConfig:
    """Adapters are merged into the unquantised base: a quantised one cannot take them exactly."""
    return apply_overrides(config, ["policy.load_in_8bit=false", "policy.load_in_4bit=false"])


def _write(player: LanguageModel, folder: Path) -> None:
    model: Any = player.model
    if isinstance(model, PeftModel):
        model = model.merge_and_unload(adapter_names=[player.adapter])
    # Requests say the temperature, and 0 is greedy; a base's own top_k or penalties would make it another player.
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        bos_token_id=player.tokenizer.bos_token_id,
        eos_token_id=player.tokenizer.eos_token_id,
        pad_token_id=player.pad_id,
    )
    try:
        model.save_pretrained(folder)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{player.name} cannot be written as one model: {' '.join(str(error).split())[:200]}") from error
    player.tokenizer.save_pretrained(folder)


def _progress(config: RunConfig) -> str:
    return "sft-reflection is one of its phases" if "sft-reflection" in config.phases else "sft-reflection is none of its phases"
