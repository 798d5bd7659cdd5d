"""Settings of experiment trackers."""

from typing import Literal

from pydantic import Field, field_validator

from workbench.config.base import Section

Tracker = Literal["tensorboard", "mlflow", "wandb", "trackio"]


class TrackingConfig(Section):
    """Trackers that hear of every number a run writes; the run folder stays the source."""

    report_to: list[Tracker] = Field(
        default_factory=list, description="tensorboard, mlflow, wandb, trackio; where they are, their own environment variables say"
    )
    project: str = Field(
        "text-agent-workbench",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$",
        description="Project (W&B, trackio) or experiment (MLflow) that runs are listed under",
    )

    @field_validator("report_to")
    @classmethod
    def _each_once(cls, value: list[Tracker]) -> list[Tracker]:
        if len(set(value)) < len(value):
            raise ValueError(f"names a tracker twice: {', '.join(value)}")
        return value
