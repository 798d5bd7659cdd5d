"""Settings that one algorithm of online learning has for itself."""

from typing import Literal

from pydantic import Field

from workbench.config.base import Count, Section, Share


class CriticSettings(Section):
    """The critic: a value head on the policy's own last hidden state."""

    kind: Literal["linear", "mlp"] = Field("mlp", description="One linear layer, or two")
    hidden_size: Count = Field(64, description="kind=mlp: size of the layer between")
    learning_rate: float = Field(1e-3, gt=0, le=1)
    trains_policy: bool = Field(
        False, description="Let the value loss reach the policy's weights, too; otherwise the critic only reads its hidden state"
    )


class PPOSettings(Section):
    """algorithm=ppo."""

    num_ppo_epochs: Count = Field(3, description="Passes over the turns of an update")
    num_mini_batches: Count = Field(4, description="Optimizer steps of an epoch")
    cliprange: float = Field(0.2, gt=0, lt=1, description="Ratios of probabilities are clipped to [1 - x, 1 + x]")
    cliprange_value: float | None = Field(
        None, gt=0, description="How far a value may move in an update, in standard deviations of the first returns; empty: no limit"
    )
    vf_coef: float = Field(0.5, ge=0, description="Weight of the value loss")
    lam: Share = Field(0.95, description="Lambda of generalised advantage estimation: 0 trusts the critic, 1 the rewards")
    critic: CriticSettings = CriticSettings()


class GRPOSettings(Section):
    """algorithm=grpo."""

    num_iterations: Count = Field(1, description="Passes over the turns of an update")
    epsilon: float = Field(0.2, gt=0, lt=1, description="Ratios of probabilities are clipped below at 1 - x")
    epsilon_high: float | None = Field(None, gt=0, description="And above at 1 + x; as epsilon when empty")
    scale_rewards: Literal["group", "batch", "none"] = Field(
        "group", description="Standard deviation that advantages are divided by: of the group's returns, of all returns, none"
    )
    loss_type: Literal["grpo", "dapo", "dr_grpo"] = Field(
        "grpo",
        description="Mean over each trajectory's turns, then over trajectories; over all turns; sum over turns, mean over trajectories",
    )


class DPOSettings(Section):
    """algorithm=dpo."""

    beta: float = Field(0.1, gt=0, description="Strength of the tie to the policy before online learning")
    num_iterations: Count = Field(1, description="Passes over the pairs of an update")
