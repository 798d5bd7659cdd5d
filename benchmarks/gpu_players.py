"""The players that ``gpu.py`` measures, and how much they compute."""

import importlib.util
import tempfile
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, Qwen2Config

from workbench.config import PolicyConfig, RLSettings, RunConfig, apply_overrides
from workbench.errors import ModelError
from workbench.models.adapters import with_adapter
from workbench.models.generation import Generator
from workbench.models.language_model import LanguageModel
from workbench.models.loading import POLICY, REFLECTION, load_base
from workbench.models.policy import Decision, Policy
from workbench.models.tokenizer import train_tokenizer
from workbench.recipes.memory import Size, decoding_bytes, training_bytes
from workbench.seeding import generator
from workbench.trainers.algorithm import Algorithm
from workbench.trainers.algorithms import make_algorithm
from workbench.trainers.optimizers import adamw
from workbench.trainers.replay import Step

LABELS = 6


class Shape(NamedTuple):
    """What is asked of the players."""

    rows: int
    tokens: int
    """Of a prompt."""
    answer: int
    """Of a reflection."""
    update_rows: int
    """Turns of one pass of the update."""
    bits: int | None
    """Of the base's weights; None leaves them as they are."""


@dataclass
class Bench:
    """Both players over one base, and an algorithm."""

    policy: LanguageModel
    reflection: LanguageModel
    algorithm: Algorithm
    shape: Shape
    weights: str
    """What the weights are."""
    config: RunConfig
    prompts: list[tuple[int, ...]]

    def decode(self, count: int) -> list[tuple[int, ...]]:
        """Sampled reflections of exactly ``count`` tokens."""
        writer = Generator(self.reflection, max_new_tokens=count)
        writer.eos_ids = set()
        return [one.token_ids for one in writer.generate(self.prompts, [generator(0, row) for row in range(len(self.prompts))])]

    def turn(self) -> None:
        """One turn of every row: reflect, choose, learn."""
        said = self.decode(self.shape.answer)
        labels = tuple(range(LABELS))
        asked = [Decision((*prompt, *own), labels) for prompt, own in zip(self.prompts, said, strict=True)]
        found = Policy(self.policy).distributions(asked)
        steps = [
            Step(tuple(one.prompt_token_ids), labels, 0, float(own[0]), float(row % 2), str(row), trajectory=row, group=row)
            for row, (one, own) in enumerate(zip(asked, found, strict=True))
        ]
        self.algorithm.update(steps, [])

    def flops_per_turn(self) -> float:
        """Reading and writing of the reflection player, and three passes' worth of the policy: choosing, forwards, and backwards, where the
        base's own gradients are not computed."""
        work, (_, tokens, answer, _, _) = work_of(self.policy.model), self.shape
        return work.forward(tokens + answer, answers=answer) + 3 * work.forward(tokens + answer, answers=1)

    def reckoned_bytes(self) -> float:
        """What the preflight would say."""
        size = size_of(self.policy.model)
        length = self.shape.tokens + self.shape.answer
        trained = sum(value.numel() for _, value in self.policy.trainable_parameters())
        moment = max(training_bytes(self.config, size, length), decoding_bytes(self.config, size, length))
        return size.parameters * size.weight_bytes + trained * 16 + moment


def size_of(model: Any) -> Size:
    """Of a base model with or without adapters."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    base = [value for name, value in model.named_parameters() if "lora_" not in name]
    stored = sum(value.numel() * value.element_size() for value in base)
    # Four-bit weights are stored two in a byte, so parameters are counted by the configuration's shape where they differ.
    whole = sum(value.numel() * (2 if value.dtype == torch.uint8 else 1) for value in base)
    number = 4 if base[0].dtype == torch.float32 else 2
    cached = 2 * heads * (config.hidden_size // config.num_attention_heads)
    return Size(whole, 0, config.num_hidden_layers, config.hidden_size, cached, config.vocab_size, stored / whole, number)


class Work(NamedTuple):
    """What decides how much a model computes."""

    body: int
    """Weights that every token passes."""
    head: int
    """Weights that turn a hidden state into logits."""
    layers: int
    hidden: int

    def forward(self, tokens: int, *, answers: int) -> float:
        """FLOPs of reading one text of which logits are wanted at some places: two for a weight and token, and causal attention.

        Example:
            >>> Work(body=1000, head=300, layers=2, hidden=10).forward(5, answers=1)
            11600.0
        """
        return 2.0 * self.body * tokens + 2.0 * self.head * answers + 2.0 * self.layers * self.hidden * tokens * tokens


def work_of(model: Any) -> Work:
    """Of a base model with or without adapters, whose weights are not counted."""
    size, config = size_of(model), model.config.get_text_config()
    head = config.vocab_size * config.hidden_size
    embeddings = head if config.tie_word_embeddings else 2 * head
    return Work(size.parameters - embeddings, head, size.layers, size.hidden)


def bench_of(name: str, shape: Shape, device: torch.device, *, smoke: bool) -> Bench:
    """Players of ``name``, or of its shape.

    Raises:
        ModelError: It can neither be loaded nor is its shape known.
    """
    bits = [f"policy.load_in_{shape.bits}bit=true"] if shape.bits else []
    settings = [f"rl.per_device_train_batch_size={shape.update_rows}", f"rl.rollout_batch_size={shape.rows}", "rl.baseline=none"]
    settings += [f"{phase}.per_device_train_batch_size={shape.update_rows}" for phase in ("sft_reflection", "sft_policy")]
    config = apply_overrides(RunConfig(), [*settings, *bits])
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    base, tokenizer, weights = _base(name, config.policy, device, dtype, smoke=smoke)
    adapted = base
    for role in (POLICY, REFLECTION):
        adapted = with_adapter(adapted, role, config.policy, 0)  # type: ignore[assignment]
    players = [LanguageModel(adapted.eval(), tokenizer, adapter=role, name=name) for role in (POLICY, REFLECTION)]
    policy = Policy(players[0])
    parameters = [value for _, value in players[0].trainable_parameters()]
    optimizer = adamw(parameters, learning_rate=1e-4, weight_decay=0.0)
    settings_of_rl: RLSettings = config.rl
    algorithm = make_algorithm(policy, optimizer, settings_of_rl, seed=0)
    return Bench(players[0], players[1], algorithm, shape, weights, config, _prompts(shape, len(tokenizer)))


def _prompts(shape: Shape, vocabulary: int) -> list[tuple[int, ...]]:
    dice = np.random.default_rng(0)
    return [tuple(map(int, row)) for row in dice.integers(3, vocabulary, size=(shape.rows, shape.tokens))]


def _base(
    name: str, settings: PolicyConfig, device: torch.device, dtype: torch.dtype, *, smoke: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str]:
    if not smoke:
        try:
            return (*load_base(name, settings, device, dtype), "pretrained")
        except ModelError:
            if name not in _SHAPES:
                raise
    tokenizer = train_tokenizer(["Go north. Go south. A wall is in the way."], whole=(), vocab_size=300)
    shape = _SHAPES[name](smoke) if name in _SHAPES else None
    if shape is None:
        raise ModelError(f"{name}: no shape of that name is known; name one of {', '.join(_SHAPES)}")
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(shape, dtype=dtype)
        if not (settings.load_in_8bit or settings.load_in_4bit):
            return model.to(device), tokenizer, "random, of its shape"  # type: ignore[arg-type]
        # Weights are quantised while they are loaded.
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        quantised, _ = load_base(folder, settings, device, dtype)
    return quantised, tokenizer, "random, of its shape"


def _gpt2_xl(smoke: bool) -> PreTrainedConfig:
    if smoke:
        return GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=400, bos_token_id=0, eos_token_id=0)
    return GPT2Config(n_embd=1600, n_layer=48, n_head=25)


def _qwen(smoke: bool) -> PreTrainedConfig:
    sizes = (32, 48, 2, 4, 2, 400) if smoke else (896, 4864, 24, 14, 2, 151_936)
    hidden, inner, layers, heads, groups, vocabulary = sizes
    return Qwen2Config(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        vocab_size=vocabulary,
        tie_word_embeddings=True,
    )


_SHAPES = {"gpt2-xl": _gpt2_xl, "Qwen/Qwen2.5-0.5B": _qwen}


def vllm_rate(bench: Bench, shape: Shape) -> float | None:
    """Decode tokens per second of vLLM for the same prompts and weights without adapters; None where it is not installed."""
    if importlib.util.find_spec("vllm") is None:
        return None
    import time

    from vllm import LLM, SamplingParams

    with tempfile.TemporaryDirectory() as folder:
        base: Any = bench.policy.model.get_base_model()  # type: ignore[operator]
        _plain(base).save_pretrained(folder)
        engine = LLM(model=folder, skip_tokenizer_init=True, gpu_memory_utilization=0.4, max_model_len=shape.tokens + shape.answer)

        def seconds(count: int) -> float:
            asked = SamplingParams(temperature=1.0, max_tokens=count, ignore_eos=True, detokenize=False)
            started = time.perf_counter()
            engine.generate([{"prompt_token_ids": list(prompt)} for prompt in bench.prompts], asked, use_tqdm=False)
            return time.perf_counter() - started

        found = [(seconds(shape.answer), seconds(1)) for _ in range(4)]
    whole, reading = (float(np.median([pair[place] for pair in found[1:]])) for place in (0, 1))
    return shape.rows * (shape.answer - 1) / max(whole - reading, 1e-9)


def _plain(base: Any) -> Any:
    """A copy of the base's configuration and weights without adapters."""
    shape = type(base)(base.config).to(next(base.parameters()).dtype)
    weights = {name.replace(".base_layer", ""): value for name, value in base.state_dict().items() if "lora_" not in name}
    shape.load_state_dict(weights, strict=False)
    return shape
