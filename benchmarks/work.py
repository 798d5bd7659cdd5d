"""Counts what models compute, and measures what the machine could."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from workbench.models.language_model import LanguageModel

SIDE = 2048
BACKWARD = 2
"""A backward pass costs twice its forward pass."""


class Work:
    """Floating-point operations that some models really carry out, backward passes included.

    Two for every parameter of a linear layer and row that is fed to it, and causal attention over real tokens (a last block that
    answers for one position has one query). What padding costs is counted apart; norms, activations and softmax are not counted. A
    backward pass is taken to cost twice its forward pass.
    """

    def __init__(self, *models: nn.Module) -> None:
        self.clear()
        for model in models:
            assert isinstance(model, PreTrainedModel)
            _Counter(self, model)

    def clear(self) -> None:
        """Begin again at zero."""
        self.flops = 0.0
        self.padded_flops = 0.0
        self.update_flops = 0.0
        self.spared_flops = 0.0

    @property
    def model_flops(self) -> float:
        """What the model asks for: as if every prompt were computed alone, whatever is spared by sharing beginnings."""
        return self.flops + self.spared_flops

    def watch(self, player: LanguageModel) -> None:
        """Count what ``player`` spares where prompts that begin alike share their beginnings."""
        computed = player.last_logits

        def last_logits(prompts: Sequence[Sequence[int]]) -> Tensor:
            before = self.flops
            result = computed(prompts)
            alone = sum(_flops_alone(player, len(prompt)) for prompt in prompts)
            self.spared_flops += alone * (1 + BACKWARD * torch.is_grad_enabled()) - (self.flops - before)
            return result

        player.last_logits = last_logits  # type: ignore[method-assign]

    def add(self, flops: float, real_share: float) -> None:
        """Count a forward pass of which only ``real_share`` was not padding."""
        flops *= 1 + BACKWARD * torch.is_grad_enabled()
        self.flops += flops * real_share
        self.update_flops += flops * real_share * torch.is_grad_enabled()
        self.padded_flops += flops * (1 - real_share)


class _Counter:
    """The hooks of one model."""

    def __init__(self, work: Work, model: PreTrainedModel) -> None:
        self.work = work
        self.layers, self.hidden = model.config.num_hidden_layers, model.config.hidden_size
        self.width, self.real_share = 1, 1.0
        model.register_forward_pre_hook(self.before, with_kwargs=True)
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.register_forward_pre_hook(self.linear)

    def before(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """Count attention, and note how much of the batch is padding."""
        ids_BT: Tensor = kwargs["input_ids"]
        rows, self.width = ids_BT.shape
        cache, mask_BS = kwargs.get("past_key_values"), kwargs.get("attention_mask")
        if mask_BS is None:
            mask_BS = ids_BT.new_ones(rows, self.width + (cache.get_seq_length() if cache is not None else 0))
        seen_B, new_B = mask_BS.sum(1), mask_BS[:, -self.width :].sum(1)
        pairs = int((new_B * (seen_B - new_B) + new_B * (new_B + 1) // 2).sum())
        last_pairs = int(seen_B.sum()) if kwargs.get("last_only") else pairs
        self.real_share = int(new_B.sum()) / ids_BT.numel()
        self.work.add(4 * self.hidden * (pairs * (self.layers - 1) + last_pairs), 1.0)

    def linear(self, layer: nn.Linear, args: tuple[Tensor]) -> None:
        """Count one product; rows of one position each are never padding."""
        is_padded = args[0].shape[1] == self.width > 1
        self.work.add(2.0 * layer.weight.numel() * args[0].numel() / layer.in_features, self.real_share if is_padded else 1.0)


def _flops_alone(player: LanguageModel, tokens: int) -> float:
    """Of one pass over one prompt whose last position is answered: a last block computes keys and values there, the rest once."""
    model: Any = player.model
    *blocks, last = model.model.layers
    attention = last.self_attn
    early = sum(layer.weight.numel() for block in blocks for layer in block.modules() if isinstance(layer, nn.Linear))
    early += attention.k_proj.weight.numel() + attention.v_proj.weight.numel()
    once = sum(
        layer.weight.numel()
        for layer in (attention.q_proj, attention.o_proj, *last.mlp.children(), model.lm_head)
        if hasattr(layer, "weight")
    )
    pairs = len(blocks) * tokens * (tokens + 1) // 2 + tokens
    return float(2 * (early * tokens + once) + 4 * model.config.hidden_size * pairs)


def matrix_rate() -> float:
    """Floating-point operations per second of one float32 product of two square matrices, the better of three."""
    one, other = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        torch.mm(one, other)
        best = max(best, 2 * SIDE**3 / (time.perf_counter() - started))
    return best
