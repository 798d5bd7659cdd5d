"""LoRA adapters by PEFT: added to a base, written to a folder, read back; several share one base."""

import os

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from peft.utils import SAFETENSORS_WEIGHTS_NAME, get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict
from transformers import PreTrainedModel

from workbench.config import PolicyConfig
from workbench.errors import ModelError


def with_adapter(model: PreTrainedModel | PeftModel, adapter: str, settings: PolicyConfig, seed: int) -> PeftModel:
    """``model`` with one more adapter, whose starting weights are drawn from ``seed``.

    Raises:
        ModelError: The settings name layers that this model does not have.
    """
    lora = settings.lora
    config = LoraConfig(
        r=lora.lora_r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=lora.lora_target_modules,
        task_type="CAUSAL_LM",
    )
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if isinstance(model, PeftModel):
                model.add_adapter(adapter, config)
                return model
            if settings.load_in_8bit or settings.load_in_4bit:
                model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
            wrapped: PeftModel = get_peft_model(model, config, adapter_name=adapter)
            return wrapped
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"policy.lora does not fit this model ({reason}); set policy.lora.lora_target_modules to its layer names"
        ) from None


def save_adapter(model: PeftModel, adapter: str, folder: str) -> None:
    """Write an adapter into the subfolder that has its name."""
    # The embeddings are the base's; "auto" would ask the hub at every save whether they grew.
    model.save_pretrained(folder, selected_adapters=[adapter], save_embedding_layers=False)


def load_adapter(model: PeftModel, adapter: str, folder: str) -> None:
    """Read an adapter's weights from the folder that holds its files.

    Raises:
        OSError: There is none.
        KeyError: It is of another shape of model.
        RuntimeError: As KeyError.
    """
    # A folder is checked first: PEFT takes a name it does not find for one on the hub.
    if not os.path.isfile(os.path.join(folder, SAFETENSORS_WEIGHTS_NAME)):
        raise FileNotFoundError(f"there is no {SAFETENSORS_WEIGHTS_NAME}")
    weights = load_peft_weights(folder, device=str(next(model.parameters()).device))
    known = get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False)
    if odd := sorted(weights.keys() ^ known.keys()):
        raise KeyError(f"{odd[0]} is {'missing' if odd[0] in known else 'unknown'}")
    set_peft_model_state_dict(model, weights, adapter_name=adapter)
