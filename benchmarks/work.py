"""Counts what models compute, and measures what the machine could."""

import time
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

SIDE = 2048
BACKWARD = 2
"""A backward pass costs twice its forward pass."""


class Work:
    """Floating-point operations of every forward pass of some models, and of its backward pass where gradients are on.

    Two for each parameter of a matrix product and token that is really fed, and causal attention over real tokens; the head
    counts for the positions it is applied to. Padding is counted apart; norms, activations and softmax are not counted. A backward
    pass is taken to cost twice the forward pass.
    """

    def __init__(self, *models: nn.Module) -> None:
        self.clear()
        for model in models:
            assert isinstance(model, PreTrainedModel)
            head = model.get_output_embeddings()
            body = sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, nn.Linear) and layer is not head)
            model.register_forward_pre_hook(_Counter(self, model, body, head.weight.numel()), with_kwargs=True)

    def clear(self) -> None:
        """Begin again at zero."""
        self.flops = 0.0
        self.padded_flops = 0.0
        self.update_flops = 0.0


class _Counter:
    """The hook of one model."""

    def __init__(self, work: Work, model: PreTrainedModel, body: int, head: int) -> None:
        self.work, self.body, self.head = work, body, head
        self.attention = 4 * model.config.num_hidden_layers * model.config.hidden_size

    def __call__(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        ids_BT: Tensor = kwargs["input_ids"]
        rows, width = ids_BT.shape
        cache, mask_BS = kwargs.get("past_key_values"), kwargs.get("attention_mask")
        past = cache.get_seq_length() if cache is not None else 0
        if mask_BS is None:
            mask_BS = ids_BT.new_ones(rows, past + width)
        seen_B = mask_BS.sum(1)
        new_B = mask_BS[:, -width:].sum(1)
        pairs = int((new_B * (seen_B - new_B) + new_B * (new_B + 1) // 2).sum())
        real = int(new_B.sum())
        head = 2 * self.head * rows * (kwargs.get("logits_to_keep") or width)
        times = 1 + BACKWARD * torch.is_grad_enabled()
        flops = times * (2 * self.body * real + self.attention * pairs + head)
        self.work.flops += flops
        self.work.update_flops += flops if torch.is_grad_enabled() else 0
        self.work.padded_flops += times * 2 * self.body * (rows * width - real)


def matrix_rate() -> float:
    """Floating-point operations per second of one float32 product of two square matrices, the better of three."""
    one, other = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        torch.mm(one, other)
        best = max(best, 2 * SIDE**3 / (time.perf_counter() - started))
    return best
