"""Settings of the world and of both players."""

from typing import Any, Literal

from pydantic import Field, model_validator

from workbench.config.base import Section


class EnvConfig(Section):
    """Which world is played."""

    name: str = Field("taxi", description="A known environment, or package.module:ClassName of your own")
    options: dict[str, Any] = Field(default_factory=dict, description="Arguments of the environment's class")


class TinyConfig(Section):
    """Size of the small model that is built from its configuration where a model is called `tiny`."""

    architecture: Literal["llama", "gpt2"] = Field(
        "llama", description="Rotary positions (llama) learn to look labels up several times sooner than learned ones (gpt2)"
    )
    n_layer: int = Field(3, ge=1, le=48, description="Transformer blocks")
    n_embd: int = Field(128, ge=8, le=4096, description="Hidden size; a multiple of n_head")
    n_head: int = Field(4, ge=1, le=64, description="Attention heads")
    n_positions: int = Field(128, ge=16, le=8192, description="Longest prompt and answer together, tokens")
    initializer_range: float = Field(0.08, gt=0, le=1, description="Standard deviation of the starting weights; about 1 / sqrt(n_embd)")
    matching_start: bool = Field(
        False,
        description="Let equal tokens attend to each other from the start (keys begin as queries); helps where many commands are listed",
    )
    policy_from_reflection: bool = Field(
        False,
        description="The policy's warm-up begins with the weights of the warmed-up reflection player, which has learned to copy names",
    )
    vocab_size: int = Field(768, ge=300, le=65536, description="Size of the tokenizer trained on the environment's own text")
    pieces: Literal["words", "bare-words", "names", "phrases"] = Field(
        "words",
        description="Longest thing that may be one token: a word with its punctuation, a word alone, "
        "a word with a number behind it, all between two marks",
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> "TinyConfig":
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd={self.n_embd} is not a multiple of n_head={self.n_head}")
        return self


class LoraSettings(Section):
    """Low-rank adapters; they are used for every model but `tiny`, which is trained in full."""

    lora_r: int = Field(16, ge=1, le=1024, description="Rank")
    lora_alpha: int = Field(8, ge=1, le=4096, description="Scale; the update is multiplied by alpha / r")
    lora_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the adapter, during training only")
    lora_target_modules: list[str] | None = Field(None, description="Layers to adapt; PEFT's choice for the architecture when empty")


class PolicyConfig(Section):
    """The policy player."""

    model: str = Field("tiny", description="`tiny`, a hub id such as gpt2-xl, or a folder")
    tiny: TinyConfig = TinyConfig()
    lora: LoraSettings = LoraSettings()
    load_in_8bit: bool = Field(False, description="Quantise the base to 8 bits (bitsandbytes, CUDA only)")
    load_in_4bit: bool = Field(False, description="Quantise the base to 4 bits (bitsandbytes, CUDA only)")
    max_prompt_tokens: int | None = Field(
        None, ge=16, description="Shorten observations so that prompts fit; the model's context when empty"
    )

    @model_validator(mode="after")
    def _one_quantisation(self) -> "PolicyConfig":
        if self.load_in_8bit and self.load_in_4bit:
            raise ValueError("load_in_8bit and load_in_4bit are both set; choose one")
        return self


class ReflectionConfig(Section):
    """The reflection player."""

    kind: Literal["model", "oracle", "shuffled", "none"] = Field(
        "model", description="Language model; the environment's oracle in words (upper bound); reflections of other states (control); none"
    )
    model: str | None = Field(None, description="Base model; the policy's when empty, which then shares its weights under another adapter")
    decoding: Literal["greedy", "sample"] = Field("greedy", description="A greedy frozen player computes each prompt once")
    temperature: float = Field(1.0, gt=0, le=10, description="For decoding=sample")
    max_new_tokens: int = Field(40, ge=1, le=1024, description="Longest reflection; it normally stops at its end-of-text")
