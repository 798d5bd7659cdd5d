"""The whole configuration of a run: the one source of command-line settings, YAML files and forms.

Every field has a default, a range and a description. ``load_preset`` and ``load_config`` return a validated
:class:`RunConfig`; ``apply_overrides`` takes ``a.b=c`` strings. Unknown keys are refused with the nearest
known ones. Names follow TRL and transformers where they have one.
"""

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workbench.errors import ConfigError, nearest

Phase = Literal["generate", "sft-reflection", "sft-policy", "rl", "evaluate"]
PHASES: tuple[Phase, ...] = ("generate", "sft-reflection", "sft-policy", "rl", "evaluate")

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """A part of the configuration; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


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
    vocab_size: int = Field(768, ge=300, le=65536, description="Size of the tokenizer trained on the environment's own text")

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


class Behaviour(Section):
    """One way of playing that training data is collected from."""

    share: float = Field(1.0, gt=0, description="Weight of this behaviour in the mixture")
    random: Share = Field(0.0, description="Chance that a turn is a random command instead of the oracle's")
    safe: bool = Field(True, description="Random commands are drawn among those that do not end the trajectory in failure")


class DataConfig(Section):
    """How warm-up data is made."""

    trajectories: Count = Field(600, description="Trajectories played to find states, all behaviours and stages together")
    behaviours: list[Behaviour] = Field(
        default_factory=lambda: [
            Behaviour(share=1, random=0.0),
            Behaviour(share=2, random=0.35),
            Behaviour(share=1, random=0.9, safe=False),
        ],
        min_length=1,
        description="Mixture of behaviours",
    )
    negatives: Count | Literal[0] = Field(600, description="Negative examples: a wrong command off the oracle's path, then its correction")
    policy_labels: Literal["oracle", "behaviour"] = Field(
        "oracle", description="What the policy is taught: the right command, or the one that was executed"
    )
    policy_label_noise: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of policy rows that teach a random command, so that online learning begins with some exploration",
    )
    validation_share: float = Field(0.05, ge=0, lt=0.5, description="Share of start states kept for validation")
    test_share: float = Field(0.15, ge=0, lt=0.5, description="Share of start states kept for the final evaluation")


class SFTSettings(Section):
    """Supervised warm-up of one player through TRL."""

    max_steps: int = Field(400, ge=0, description="Optimizer steps; 0 skips this warm-up")
    learning_rate: float = Field(1e-3, gt=0, le=1)
    per_device_train_batch_size: Count = Field(64)
    gradient_accumulation_steps: Count = Field(1)
    warmup_steps: int = Field(20, ge=0)
    lr_scheduler_type: Literal["constant", "cosine", "linear"] = Field("cosine")
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    save_steps: Count = Field(200, description="Steps between checkpoints")
    logging_steps: Count = Field(20)
    gradient_checkpointing: bool = Field(False, description="Less memory, more arithmetic")


class ReplaySettings(Section):
    """Replay of successful trajectories."""

    capacity: int = Field(200, ge=0, description="Successful trajectories kept; 0 turns replay off")
    trajectories_per_update: int = Field(4, ge=0, description="How many join each update")
    max_importance_weight: float = Field(2.0, ge=1, description="Importance weights are clipped to [1/x, x]")


class RLSettings(Section):
    """Online fine-tuning of the policy."""

    algorithm: Literal["reinforce"] = Field("reinforce")
    max_steps: Count = Field(120, description="Updates")
    trajectories_per_update: Count = Field(64)
    rollout_batch_size: Count = Field(64, description="Trajectories played at once; has no effect on what each meets")
    temperature: float = Field(1.0, gt=0, le=10, description="Sampling temperature of the policy while it explores")
    learning_rate: float = Field(3e-4, gt=0, le=1)
    lr_scheduler_type: Literal["constant", "linear", "cosine"] = Field("constant")
    per_device_train_batch_size: Count = Field(256, description="Turns per forward and backward pass")
    gradient_accumulation_steps: int = Field(0, ge=0, description="Passes per optimizer step; 0 takes all turns of an update in one step")
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    entropy_coef: float = Field(0.003, ge=0, description="Weight of the entropy bonus, a term of the loss")
    gamma: Rate = Field(1.0, description="Discount of later rewards")
    baseline: Literal["state", "batch", "none"] = Field("state", description="Running mean return of the same state, or the batch mean")
    whiten_advantages: bool = Field(True)
    replay: ReplaySettings = ReplaySettings()
    eval_steps: int = Field(20, ge=0, description="Updates between evaluations; 0 evaluates at the end only")
    eval_trajectories: Count = Field(200)
    save_steps: Count = Field(20, description="Updates between checkpoints")
    save_total_limit: Count = Field(3, description="Checkpoints kept per phase")
    gradient_checkpointing: bool = Field(False)


class CurriculumConfig(Section):
    """Which stages are played when."""

    kind: Literal["none", "fixed", "success"] = Field(
        "fixed", description="Only the last stage; equal parts of the updates; or move on at a success rate"
    )
    stages: list[str] = Field(default_factory=list, description="Stages in order; the environment's own when empty")
    threshold: Rate = Field(0.9, description="kind=success: rate at which the next stage begins")
    window: Count = Field(256, description="kind=success: trajectories the rate is taken over")


class EvaluationConfig(Section):
    """How a policy is judged."""

    trajectories: Count = Field(1000)
    temperature: float = Field(1.0, ge=0, le=10, description="0 takes the most probable command")
    split: Literal["train", "validation", "test", "all"] = Field("test", description="Start states that are played")
    seed: int = Field(1_000_003, ge=0)


class DeviceConfig(Section):
    """Where and how precisely it is computed."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="bfloat16 on CUDA and float32 on CPU when auto")
    num_threads: int = Field(0, ge=0, le=1024, description="CPU threads; 0 takes all cores, or one when another run is live")


class RecordConfig(Section):
    """What is written for later reading."""

    trajectories_every: int = Field(1, ge=0, description="Record the trajectories of every n-th update; 0 records evaluations only")
    oracle_commands: bool = Field(
        True, description="Write the oracle's command beside each recorded turn where the environment has an oracle"
    )


class RunConfig(Section):
    """One run: every phase it goes through and every setting of each."""

    preset: str = Field("custom", description="Name of the preset this came from")
    description: str = Field("", description="One line for lists and forms")
    recipe: Literal["reflect-rl"] = Field("reflect-rl")
    seed: int = Field(0, ge=0, le=2**31 - 1)
    phases: list[Phase] = Field(default_factory=lambda: list(PHASES), min_length=1)
    env: EnvConfig = EnvConfig()
    policy: PolicyConfig = PolicyConfig()
    reflection: ReflectionConfig = ReflectionConfig()
    data: DataConfig = DataConfig()
    sft_reflection: SFTSettings = SFTSettings()
    sft_policy: SFTSettings = SFTSettings()
    rl: RLSettings = RLSettings()
    curriculum: CurriculumConfig = CurriculumConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    device: DeviceConfig = DeviceConfig()
    record: RecordConfig = RecordConfig()

    @model_validator(mode="after")
    def _phases_in_order(self) -> "RunConfig":
        order = [PHASES.index(phase) for phase in self.phases]
        if order != sorted(set(order)):
            raise ValueError(f"phases {self.phases} must follow the order {list(PHASES)}, each at most once")
        return self


def validated(values: Mapping[str, Any], *, source: str) -> RunConfig:
    """Build a :class:`RunConfig`, turning pydantic's report into one line.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or lies outside its range.
    """
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(f"{source}: {_first_problem(error)}") from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = section_keys(problem["loc"][:-1])
        return f"unknown setting {key!r}; {nearest(str(problem['loc'][-1]), known)}"
    found = "" if problem["type"] == "missing" else f", found {problem['input']!r}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}{found}" if key else f"{message}"


def section_keys(path: Iterable[int | str]) -> list[str]:
    """Names of the settings below ``path`` in the schema, for error messages and forms."""
    model: Any = RunConfig
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field is not None else Behaviour
    return list(getattr(model, "model_fields", {}))


def apply_overrides(config: RunConfig, overrides: Iterable[str]) -> RunConfig:
    """Return ``config`` with ``a.b=c`` strings applied; each value is read as YAML.

    Raises:
        ConfigError: An override has no ``=``, names no setting, or its value is refused.
    """
    values = config.model_dump()
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {override!r} is not of the form a.b=value")
        _set_path(values, key.strip().split("."), _yaml_value(text, key))
    return validated(values, source="--set")


def _yaml_value(text: str, key: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {key}: the value {text!r} is not valid YAML") from None
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        try:
            return float(text)  # not the value: quotes keep a number a word
        except ValueError:
            return value
    return value


def _set_path(values: dict[str, Any], path: list[str], value: Any) -> None:
    node = values
    for depth, part in enumerate(path[:-1]):
        if not isinstance(node.get(part), dict):
            where = ".".join(path[: depth + 1])
            raise ConfigError(f"--set: unknown setting {where!r}; {nearest(part, node)}")
        node = node[part]
    # Free dictionaries (env.options) take any key; sections only those they declare.
    if path[-1] not in node and path[:-1] != ["env", "options"]:
        raise ConfigError(f"--set: unknown setting {'.'.join(path)!r}; {nearest(path[-1], node)}")
    node[path[-1]] = value


def preset_names() -> list[str]:
    """Names of the ready configurations, sorted."""
    folder = resources.files("workbench") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_preset(name: str) -> RunConfig:
    """Read a ready configuration by name.

    Raises:
        ConfigError: No preset has that name.
    """
    if name not in preset_names():
        raise ConfigError(f"unknown preset {name!r}; {nearest(name, preset_names())}")
    text = (resources.files("workbench") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return validated({**yaml.safe_load(text), "preset": name}, source=f"preset {name}")


def load_config(path: Path) -> RunConfig:
    """Read a configuration file written by hand or found in a run folder.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not validate.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path}: cannot be read as a configuration: {reason}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected settings as `key: value` lines, found {type(values).__name__}")
    return validated(values, source=str(path))


def dump_config(config: RunConfig) -> str:
    """The whole resolved configuration as YAML; ``load_config`` reads it back to an equal object."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
