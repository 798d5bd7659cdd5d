"""The last block of a Llama, where only the last position's answer is wanted.

A policy reads a whole prompt and answers at its end. In the last block, then, every position has to give its key and value, and
all else (query, output, feed-forward) is needed for one position only. In a `tiny` model of three blocks that is a quarter of all
arithmetic. Parameters, their names and the numbers that come out are the ordinary block's.
"""

from typing import Any

import torch
from torch import LongTensor, Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import LlamaForCausalLM
from transformers.cache_utils import Cache
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, rotate_half


class LastBlock(LlamaDecoderLayer):
    """A Llama's decoder layer that gives the last position alone where it is asked to (``last_only``)."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: LongTensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = False,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        last_only: bool = False,
        **kwargs: Any,
    ) -> Tensor:
        """Hidden states after the block: (B, T, E), or (B, 1, E) with ``last_only``."""
        if not last_only or hidden_states.shape[1] == 1:
            everywhere: Tensor = super().forward(
                hidden_states,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
                position_embeddings=position_embeddings,
                **kwargs,
            )
            return everywhere
        assert position_embeddings is not None
        last_mask = attention_mask[:, :, -1:] if attention_mask is not None else None
        attended_B1E = self._attend_last(self.input_layernorm(hidden_states), last_mask, position_embeddings, past_key_values)
        hidden_B1E = hidden_states[:, -1:] + attended_B1E
        last_B1E: Tensor = hidden_B1E + self.mlp(self.post_attention_layernorm(hidden_B1E))
        return last_B1E

    def _attend_last(
        self, states_BTE: Tensor, mask: Tensor | None, position_embeddings: tuple[Tensor, Tensor], past_key_values: Cache | None
    ) -> Tensor:
        attention = self.self_attn
        rows, width, _ = states_BTE.shape
        cos_BTD, sin_BTD = position_embeddings
        keys = attention.k_proj(states_BTE).view(rows, width, -1, attention.head_dim).transpose(1, 2)
        values = attention.v_proj(states_BTE).view(rows, width, -1, attention.head_dim).transpose(1, 2)
        query = attention.q_proj(states_BTE[:, -1:]).view(rows, 1, -1, attention.head_dim).transpose(1, 2)
        keys = _rotated(keys, cos_BTD, sin_BTD)
        query = _rotated(query, cos_BTD[:, -1:], sin_BTD[:, -1:])
        if past_key_values is not None:
            keys, values = past_key_values.update(keys, values, attention.layer_idx)
        attended = scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=attention.scaling)
        projected_B1E: Tensor = attention.o_proj(attended.transpose(1, 2).reshape(rows, 1, -1))
        return projected_B1E


def _rotated(states: Tensor, cos_BTD: Tensor, sin_BTD: Tensor) -> Tensor:
    turned: Tensor = rotate_half(states)
    return states * cos_BTD[:, None] + turned * sin_BTD[:, None]


def with_last_block(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """``model`` with its last decoder layer replaced by a :class:`LastBlock` of the same weights."""
    layers = model.model.layers
    with torch.random.fork_rng(devices=[]):
        block = LastBlock(model.config, len(layers) - 1)
    block.load_state_dict(layers[-1].state_dict())
    layers[-1] = block
    return model


def has_last_block(model: nn.Module) -> bool:
    """True where the model's last decoder layer is a :class:`LastBlock`, so that its forward takes ``last_only``."""
    return isinstance(model, LlamaForCausalLM) and isinstance(model.model.layers[-1], LastBlock)
