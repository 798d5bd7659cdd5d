"""The configuration of a run as a whole."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from workbench.config.base import Section
from workbench.config.data import DataConfig
from workbench.config.players import EnvConfig, PolicyConfig, ReflectionConfig
from workbench.config.rlmec import RlmecConfig
from workbench.config.sections import CurriculumConfig, DeviceConfig, EvaluationConfig, RecordConfig, RLSettings, SFTSettings
from workbench.config.tracking import TrackingConfig

Recipe = Literal["reflect-rl", "rlmec"]
Phase = Literal["generate", "sft-reflection", "sft-policy", "rl", "sample", "rewrite", "reward-model", "score", "policy", "evaluate"]
PHASES: tuple[Phase, ...] = ("generate", "sft-reflection", "sft-policy", "rl", "evaluate")
"""Those of Reflect-RL, in order."""
RLMEC_PHASES: tuple[Phase, ...] = ("generate", "sft-policy", "sample", "rewrite", "reward-model", "score", "policy", "evaluate")
PHASES_OF: dict[str, tuple[Phase, ...]] = {"reflect-rl": PHASES, "rlmec": RLMEC_PHASES}


class RunConfig(Section):
    """One run: every phase it goes through and every setting of each."""

    preset: str = Field("custom", description="Name of the preset this came from")
    description: str = Field("", description="One line for lists and forms")
    recipe: Recipe = Field("reflect-rl", description="What is carried out: Reflect-RL, or RLMEC on worked solutions")
    seed: int = Field(0, ge=0, le=2**31 - 1)
    phases: list[Phase] = Field(default_factory=lambda: list(PHASES), min_length=1)
    env: EnvConfig = EnvConfig()
    policy: PolicyConfig = PolicyConfig()
    reflection: ReflectionConfig = ReflectionConfig()
    data: DataConfig = DataConfig()
    sft_reflection: SFTSettings = SFTSettings()
    sft_policy: SFTSettings = SFTSettings()
    rl: RLSettings = RLSettings()
    rlmec: RlmecConfig = RlmecConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    device: DeviceConfig = DeviceConfig()
    record: RecordConfig = RecordConfig()
    tracking: TrackingConfig = TrackingConfig()

    @model_validator(mode="before")
    @classmethod
    def _phases_of_the_recipe(cls, values: Any) -> Any:
        """All phases of the recipe where none are named."""
        if isinstance(values, Mapping) and "phases" not in values and values.get("recipe") == "rlmec":
            return {**values, "phases": list(RLMEC_PHASES)}
        return values

    @model_validator(mode="after")
    def _phases_in_order(self) -> "RunConfig":
        known = PHASES_OF[self.recipe]
        order = [known.index(phase) for phase in self.phases if phase in known]
        if order != sorted(set(order)) or len(order) < len(self.phases):
            raise ValueError(f"phases {self.phases} must follow the order {list(known)} of {self.recipe}, each at most once")
        return self
