"""A workbench for language-model agents that learn by doing."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.envs.catalog import register_with_gymnasium

if TYPE_CHECKING:
    from workbench.config import RunConfig, load_preset
    from workbench.envs.checker import check_text_env
    from workbench.envs.text_env import Outcome, TextEnv
    from workbench.records import Reflection, Trajectory, Turn
    from workbench.trainers.rlmec import edit_weights, token_rewards

__version__ = "0.1.0"

# What Gymnasium asks of a package of environments: that importing it is enough for `gymnasium.make`. Only names are given here.
register_with_gymnasium()

# Looked up on first use, so that `import workbench` never loads torch.
_HOMES = {
    "RunConfig": "workbench.config",
    "load_preset": "workbench.config",
    "check_text_env": "workbench.envs.checker",
    "Outcome": "workbench.envs.text_env",
    "TextEnv": "workbench.envs.text_env",
    "Reflection": "workbench.records",
    "Trajectory": "workbench.records",
    "Turn": "workbench.records",
    "edit_weights": "workbench.trainers.rlmec",
    "token_rewards": "workbench.trainers.rlmec",
}

__all__ = [
    "Outcome",
    "Reflection",
    "RunConfig",
    "TextEnv",
    "Trajectory",
    "Turn",
    "check_text_env",
    "edit_weights",
    "load_preset",
    "token_rewards",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")
