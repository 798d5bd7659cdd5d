"""The configuration of a run as a whole."""

from typing import Literal

from pydantic import Field, model_validator

from workbench.config.base import Section
from workbench.config.data import DataConfig
from workbench.config.players import EnvConfig, PolicyConfig, ReflectionConfig
from workbench.config.sections import CurriculumConfig, DeviceConfig, EvaluationConfig, RecordConfig, RLSettings, SFTSettings

Phase = Literal["generate", "sft-reflection", "sft-policy", "rl", "evaluate"]
PHASES: tuple[Phase, ...] = ("generate", "sft-reflection", "sft-policy", "rl", "evaluate")


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
