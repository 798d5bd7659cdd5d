"""The whole configuration of a run: the one source of command-line settings, YAML files and forms.

Every field has a default, a range and a description. ``load_preset`` and ``load_config`` return a validated
:class:`RunConfig`; ``apply_overrides`` takes ``a.b=c`` strings. Unknown keys are refused with the nearest
known ones. Names follow TRL and transformers where they have one.
"""

from workbench.config.base import Count, Rate, Section, Share
from workbench.config.data import Behaviour, DataConfig, EndpointConfig, ServerConfig, TeacherConfig
from workbench.config.loading import apply_overrides, dump_config, load_config, load_preset, preset_names, section_keys, validated
from workbench.config.players import EnvConfig, LoraSettings, PolicyConfig, ReflectionConfig, ReflectionServer, TinyConfig
from workbench.config.rlmec import (
    ObjectiveSettings,
    PolicySettings,
    ProblemSettings,
    RewardModelSettings,
    RlmecConfig,
    SamplingSettings,
)
from workbench.config.run import PHASES, PHASES_OF, RLMEC_PHASES, Phase, Recipe, RunConfig
from workbench.config.sections import (
    CacheImplementation,
    CurriculumConfig,
    DeviceConfig,
    EvaluationConfig,
    RecordConfig,
    ReplaySettings,
    RLSettings,
    SFTSettings,
)
from workbench.config.tracking import Tracker, TrackingConfig

__all__ = [
    "PHASES",
    "PHASES_OF",
    "RLMEC_PHASES",
    "Behaviour",
    "CacheImplementation",
    "Count",
    "CurriculumConfig",
    "DataConfig",
    "DeviceConfig",
    "EndpointConfig",
    "EnvConfig",
    "EvaluationConfig",
    "LoraSettings",
    "ObjectiveSettings",
    "Phase",
    "PolicyConfig",
    "PolicySettings",
    "ProblemSettings",
    "RLSettings",
    "Rate",
    "Recipe",
    "RecordConfig",
    "ReflectionConfig",
    "ReflectionServer",
    "ReplaySettings",
    "RewardModelSettings",
    "RlmecConfig",
    "RunConfig",
    "SFTSettings",
    "SamplingSettings",
    "Section",
    "ServerConfig",
    "Share",
    "TeacherConfig",
    "TinyConfig",
    "Tracker",
    "TrackingConfig",
    "apply_overrides",
    "dump_config",
    "load_config",
    "load_preset",
    "preset_names",
    "section_keys",
    "validated",
]
