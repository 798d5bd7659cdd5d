"""Small models of four architectures with random weights, and tokenizers of three kinds, made here and now."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Regex, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as RawTokenizer
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from workbench.config import TinyConfig
from workbench.envs.catalog import make_env
from workbench.models.language_model import LanguageModel
from workbench.models.loading import build_tiny, load_tokenizer
from workbench.models.tokenizer import train_tokenizer
from workbench.prompts import MARKERS

ARCHITECTURES = ("gpt2", "llama", "qwen2", "mistral")
# Of every architecture one, one that attends to its last tokens only, and the library's own.
PLAYERS = (*ARCHITECTURES, "mistral-window", "tiny-gpt2", "tiny-llama")
CONTEXT = 512
# Number words and letters inside words only, so that no label is a token that begins a word.
WORDS = "The passenger is south and east so go south. A wall is in the way so drive west. pickup dropoff north x0 x1 x2 a10b"


def byte_level_tokenizer(texts: Iterable[str] = (WORDS,), *, vocab_size: int = 400, bos: bool = False) -> PreTrainedTokenizerFast:
    """As GPT-2's: bytes, merged; no text is unknown, and nothing is added to it."""
    raw = RawTokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    end = {"eos_token": "<|endoftext|>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, **(end | {"bos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"} if bos else end)
    )


def word_start_tokenizer(texts: Iterable[str] = (WORDS,)) -> PreTrainedTokenizerFast:
    """As Llama's and Mistral's: word starts are marked, digits stand alone (so ``0`` is two tokens), begin-of-text is added."""
    raw = RawTokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex("\n"), behavior="isolated"),
        ]
    )
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    raw = _with_bytes(raw)
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def _with_bytes(raw: RawTokenizer) -> RawTokenizer:
    # The trainer only knows characters; what is not among them is spelled in bytes.
    parts = json.loads(raw.to_str())
    vocabulary = parts["model"]["vocab"]
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    return RawTokenizer.from_str(json.dumps(parts))


def taxi_tokenizer(*, vocab_size: int = 400) -> PreTrainedTokenizerFast:
    """As the `tiny` players': trained on the environment's own text, with constant texts whole."""
    env = make_env("taxi")
    _, info = env.reset(seed=0)
    texts = [f"{env.reset(seed=seed)[0]}\n" for seed in range(20)] + [f" {command}\n" for command in info["admissible_commands"]]
    return train_tokenizer(texts, whole=[f"{info['task_statement']}\n", *MARKERS], vocab_size=vocab_size)


def tokenizer_for(architecture: str) -> PreTrainedTokenizerFast:
    """The kind of tokenizer that models of this architecture come with."""
    if architecture in ("llama", "mistral"):
        return word_start_tokenizer()
    return byte_level_tokenizer(bos=architecture == "gpt2")


def small_config(architecture: str, vocab_size: int, *, sliding_window: int | None = None) -> PreTrainedConfig:
    """Two layers of width 32; weights spread enough for outputs to differ."""
    if architecture == "gpt2":
        return GPT2Config(
            vocab_size=vocab_size,
            n_embd=32,
            n_layer=2,
            n_head=2,
            n_positions=CONTEXT,
            initializer_range=0.3,
            bos_token_id=0,
            eos_token_id=0,
        )
    common: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.3,
    }
    if architecture == "llama":
        return LlamaConfig(**common)
    if architecture == "qwen2":
        return Qwen2Config(**common, tie_word_embeddings=True)
    return MistralConfig(**common, sliding_window=sliding_window)


def small_model(architecture: str, vocab_size: int, *, seed: int = 0, sliding_window: int | None = None) -> PreTrainedModel:
    """A model with weights drawn from ``seed``, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(small_config(architecture, vocab_size, sliding_window=sliding_window))
    model.eval()
    return model


def small_player(architecture: str, *, seed: int = 0, sliding_window: int | None = None) -> LanguageModel:
    """A whole model as one player's, in memory."""
    tokenizer = tokenizer_for(architecture)
    model = small_model(architecture, len(tokenizer), seed=seed, sliding_window=sliding_window)
    return LanguageModel(model, tokenizer, adapter=None, name=architecture)


def tiny_player(architecture: Literal["gpt2", "llama"], *, seed: int = 0) -> LanguageModel:
    """A `tiny` player as the library builds it, with weights spread enough for outputs to differ."""
    tokenizer = taxi_tokenizer()
    size = TinyConfig(architecture=architecture, n_layer=2, n_embd=32, n_head=2, n_positions=CONTEXT, initializer_range=0.3)
    return LanguageModel(build_tiny(size, tokenizer, seed=seed).eval(), tokenizer, adapter=None, name="tiny")


def player_named(name: str) -> LanguageModel:
    """One of ``PLAYERS``."""
    if name == "mistral-window":
        return small_player("mistral", sliding_window=8)
    if name == "tiny-gpt2":
        return tiny_player("gpt2")
    return tiny_player("llama") if name == "tiny-llama" else small_player(name)


def save_small(folder: Path, architecture: str, *, seed: int = 0) -> Path:
    """A folder as a person downloads it from a hub: config, weights and tokenizer."""
    tokenizer = tokenizer_for(architecture)
    small_model(architecture, len(tokenizer), seed=seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert load_tokenizer(str(folder)).get_vocab() == tokenizer.get_vocab()
    return folder


def chat_model_folder(folder: Path) -> Path:
    """A chat model with random weights, a chat template and a context for whole conversations, as a hub model's folder."""
    tokenizer = byte_level_tokenizer(vocab_size=400)
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=1,
        n_head=2,
        n_positions=4096,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
