"""Settings of warm-up, online learning, evaluation and recording."""

from typing import Literal

from pydantic import Field, model_validator

from workbench.config.algorithms import DPOSettings, GRPOSettings, PPOSettings
from workbench.config.base import Count, Rate, Section

CacheImplementation = Literal["dynamic", "static", "compiled"]


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

    @property
    def rows(self) -> int:
        """How many rows are learnt from, repeated ones counted again."""
        return self.max_steps * self.per_device_train_batch_size * self.gradient_accumulation_steps


class ReplaySettings(Section):
    """Replay of successful trajectories, for algorithm=reinforce and rft."""

    capacity: int = Field(200, ge=0, description="Successful trajectories kept; 0 turns replay off")
    trajectories_per_update: int = Field(4, ge=0, description="How many join each update")
    max_importance_weight: float = Field(2.0, ge=1, description="Importance weights are clipped to [1/x, x]")


class RLSettings(Section):
    """Online fine-tuning of the policy."""

    algorithm: Literal["reinforce", "ppo", "grpo", "rloo", "rft", "dpo"] = Field(
        "reinforce",
        description="Policy gradient with a baseline; clipped, with a critic (ppo); against others from the same start (grpo, rloo); "
        "imitation of its own successes (rft); preferred choices of the same state (dpo)",
    )
    max_steps: Count = Field(120, description="Updates")
    trajectories_per_update: Count = Field(64)
    rollout_batch_size: Count = Field(64, description="Trajectories played at once; has no effect on what each meets")
    temperature: float = Field(1.0, gt=0, le=10, description="Sampling temperature of the policy while it explores")
    learning_rate: float = Field(3e-4, gt=0, le=1)
    lr_scheduler_type: Literal["constant", "linear", "cosine"] = Field("constant")
    per_device_train_batch_size: Count = Field(256, description="Turns per forward and backward pass")
    gradient_accumulation_steps: int = Field(
        0, ge=0, description="Passes per optimizer step; 0 takes all turns in one step (ppo has num_mini_batches)"
    )
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    entropy_coef: float = Field(0.003, ge=0, description="Weight of the entropy bonus, a term of the loss")
    gamma: Rate = Field(1.0, description="Discount of later rewards")
    baseline: Literal["state", "batch", "none"] = Field(
        "state", description="algorithm=reinforce: running mean return of the same state, or the batch mean"
    )
    whiten_advantages: bool = Field(True, description="Shift and scale to mean 0 and deviation 1; grpo has grpo.scale_rewards instead")
    group_size: int = Field(
        8, ge=2, description="algorithm=grpo, rloo, dpo: trajectories from the same start; divides trajectories_per_update"
    )
    credit: Literal["turn", "trajectory"] = Field(
        "turn", description="algorithm=grpo, rloo: a turn answers for the rewards from it on, or every turn for the whole trajectory"
    )
    kl_coef: float = Field(0.0, ge=0, description="Weight of KL(policy || policy before online learning), a term of the loss")
    train_reflection: bool = Field(
        False, description="Train the reflection player, too, by the same advantages; reflection.decoding must be sample"
    )
    reflection_learning_rate: float = Field(1e-4, gt=0, le=1, description="For train_reflection")
    ppo: PPOSettings = PPOSettings()
    grpo: GRPOSettings = GRPOSettings()
    dpo: DPOSettings = DPOSettings()
    replay: ReplaySettings = ReplaySettings()
    eval_steps: int = Field(20, ge=0, description="Updates between evaluations; 0 evaluates at the end only")
    eval_trajectories: Count = Field(200)
    save_steps: Count = Field(20, description="Updates between checkpoints")
    save_total_limit: Count = Field(3, description="Checkpoints kept per phase")
    gradient_checkpointing: bool = Field(False)

    @property
    def grouped(self) -> bool:
        """True where trajectories are compared with others from the same start."""
        return self.algorithm in ("grpo", "rloo", "dpo")

    @model_validator(mode="after")
    def _groups_fill_an_update(self) -> "RLSettings":
        if self.grouped and self.trajectories_per_update % self.group_size:
            raise ValueError(
                f"algorithm={self.algorithm} plays groups of group_size={self.group_size}, "
                f"and trajectories_per_update={self.trajectories_per_update} is not a multiple of it"
            )
        return self


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
    stages: list[str] = Field(default_factory=list, description="Easier stages that are judged as well, before the whole task")
    seed: int = Field(1_000_003, ge=0)


class DeviceConfig(Section):
    """Where and how precisely it is computed."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="bfloat16 on CUDA and float32 on CPU when auto")
    cache_implementation: CacheImplementation = Field(
        "dynamic",
        description="How reflections are decoded: a cache that grows; one of fixed sizes (static); that one with each step compiled, "
        "on CUDA as one graph (compiled)",
    )
    num_threads: int = Field(0, ge=0, le=1024, description="CPU threads; 0 takes all (or OMP_NUM_THREADS), or one when another run is live")
    num_processes: int = Field(
        1, ge=1, le=64, description="Processes that one run is spread over by accelerate, on CUDA a device each; they share num_threads"
    )


class RecordConfig(Section):
    """What is written for later reading."""

    trajectories_every: int = Field(1, ge=0, description="Record the trajectories of every n-th update; 0 records evaluations only")
    oracle_commands: bool = Field(
        True, description="Write the oracle's command beside each recorded turn where the environment has an oracle"
    )
