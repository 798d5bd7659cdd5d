"""A hub model or folder as a chat model on this machine, with the same interface as an endpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from workbench.config import DeviceConfig, PolicyConfig
from workbench.errors import ModelError, PromptError
from workbench.models.endpoint import Completion
from workbench.models.language_model import context_length
from workbench.models.loading import load_base, resolve_device
from workbench.seeding import derived_seed


class LocalChat:
    """Answers conversations one at a time.

    A model without a chat template (GPT-2) reads the messages as paragraphs.

    Args:
        name: Hub id or folder.
        device: Where and how precisely it is computed.
        temperature: Sampling temperature; 0 takes the most probable token.
        max_tokens: Longest answer.
        seed: Of the sampling.

    Raises:
        ModelError: The model cannot be loaded.
    """

    def __init__(self, name: str, device: DeviceConfig, *, temperature: float, max_tokens: int, seed: int) -> None:
        if name == "tiny":
            raise ModelError("`tiny` has no weights before a run trains them; name a hub id or a folder")
        self.name = name
        model, self.tokenizer = load_base(name, PolicyConfig(model=name), *resolve_device(device))
        self.model = model.eval()
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.seed = seed
        self.context = context_length(self.model.config)
        self._answers = 0

    @torch.inference_mode()
    def complete(self, messages: Sequence[Mapping[str, str]]) -> Completion:
        """The model's answer.

        Raises:
            PromptError: The conversation and an answer do not fit the model's context.
        """
        ids = self._ids(messages)
        if len(ids) + self.max_tokens > self.context:
            raise PromptError(
                f"model {self.name!r}: a conversation of {len(ids)} tokens and an answer of up to {self.max_tokens} do not fit its "
                f"context of {self.context}; use a model with a longer context or a smaller data.teacher.max_tokens"
            )
        ids_BT = torch.tensor([ids], device=self.model.device)
        how: dict[str, Any] = {"do_sample": True, "temperature": self.temperature, "top_k": 0, "top_p": 1.0}
        if self.temperature == 0:
            how = {"do_sample": False}
        model: Any = self.model
        # The library samples from the global generator; it gets a state of its own for the time of one answer.
        with torch.random.fork_rng(devices=[self.model.device] if self.model.device.type == "cuda" else []):
            torch.manual_seed(derived_seed(self.seed, "local-chat", self._answers))
            output_BT = model.generate(
                ids_BT,
                attention_mask=torch.ones_like(ids_BT),
                max_new_tokens=self.max_tokens,
                pad_token_id=self.tokenizer.pad_token_id,
                **how,
            )
        self._answers += 1
        answer = output_BT[0, len(ids) :].tolist()
        finished = bool(answer) and answer[-1] == self.tokenizer.eos_token_id
        text = str(self.tokenizer.decode(answer, skip_special_tokens=True))
        return Completion(text, "stop" if finished else "length", len(ids), len(answer), False, 1)

    def _ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        if self.tokenizer.chat_template:
            rendered: Any = self.tokenizer.apply_chat_template(
                [dict(message) for message in messages], add_generation_prompt=True, tokenize=False
            )
            return list(self.tokenizer.encode(str(rendered), add_special_tokens=False))
        return list(self.tokenizer.encode("\n\n".join(message["content"] for message in messages) + "\n"))
