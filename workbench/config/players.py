"""Settings of the world and of both players."""

from typing import Any, Literal

from pydantic import Field, model_validator

from workbench.config.base import Section
from workbench.config.data import ServerConfig


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
    pieces: Literal["words", "bare-words", "names", "digits", "phrases"] = Field(
        "words",
        description="Longest thing that may be one token: a word with its punctuation, a word alone, "
        "a word with a number behind it, a single digit, all between two marks",
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
    scoring: Literal["label", "sum", "token", "word"] = Field(
        "label",
        description="How a choice is read: from a label that is one token, or from the whole command, as the sum of its tokens' "
        "log-probabilities or that sum by token or by word",
    )
    max_prompt_tokens: int | None = Field(
        None, ge=16, description="Shorten observations so that prompts fit; the model's context when empty"
    )

    @model_validator(mode="after")
    def _one_quantisation(self) -> "PolicyConfig":
        if self.load_in_8bit and self.load_in_4bit:
            raise ValueError("load_in_8bit and load_in_4bit are both set; choose one")
        return self


class ReflectionServer(ServerConfig):
    """The server that a reflection player of kind ``endpoint`` is asked at."""

    interface: Literal["completions", "chat"] = Field(
        "completions",
        description="completions: the bare prompt that a reflection player is warmed up with, as `workbench serve RUN` serves it; "
        "chat: an instruction for a chat model that was never warmed up",
    )
    concurrency: int = Field(16, ge=1, le=256, description="Requests under way at once; the server batches them")
    max_retries: int = Field(20, ge=0, le=100, description="Further tries of a request, so that roll-outs outlive a restart of the server")
    on_change: Literal["refuse", "warn"] = Field(
        "refuse", description="Where another model answers than at the start: end the run, or note it and go on with the new one"
    )
    check_seconds: float = Field(
        600.0, gt=0, description="Ask the probe again when this much time has passed; a broken connection does, too"
    )


class ReflectionConfig(Section):
    """The reflection player."""

    kind: Literal["model", "endpoint", "oracle", "shuffled", "none"] = Field(
        "model",
        description="Language model; one behind a server; the environment's oracle in words (upper bound); "
        "reflections of other states (control); none",
    )
    model: str | None = Field(None, description="Base model; the policy's when empty, which then shares its weights under another adapter")
    decoding: Literal["greedy", "sample"] = Field("greedy", description="A greedy frozen player computes each prompt once")
    temperature: float = Field(1.0, gt=0, le=10, description="For decoding=sample")
    max_new_tokens: int = Field(40, ge=1, le=1024, description="Longest reflection; it normally stops at its end-of-text")
    endpoint: ReflectionServer = ReflectionServer()

    @model_validator(mode="after")
    def _endpoint_can_be_asked(self) -> "ReflectionConfig":
        if self.kind == "endpoint" and not self.endpoint.model:
            raise ValueError("kind=endpoint needs reflection.endpoint.model, the model's name at the server")
        if self.kind == "endpoint" and self.decoding == "sample" and self.temperature > 2:
            raise ValueError(f"kind=endpoint takes temperatures up to 2, found reflection.temperature={self.temperature:g}")
        return self
