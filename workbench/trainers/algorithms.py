"""Every algorithm by its name in the configuration."""

from collections.abc import Callable

import torch

from workbench.config import RLSettings
from workbench.models.policy import Policy
from workbench.rollout.team import ALONE, Team
from workbench.trainers.algorithm import Algorithm
from workbench.trainers.dpo import DPO
from workbench.trainers.grpo import GRPO
from workbench.trainers.ppo import PPO
from workbench.trainers.reinforce import Reinforce
from workbench.trainers.rft import RFT
from workbench.trainers.rloo import RLOO

ALGORITHMS: dict[str, Callable[..., Algorithm]] = {"reinforce": Reinforce, "ppo": PPO, "grpo": GRPO, "rloo": RLOO, "rft": RFT, "dpo": DPO}


def make_algorithm(policy: Policy, optimizer: torch.optim.Optimizer, settings: RLSettings, *, seed: int, team: Team = ALONE) -> Algorithm:
    """The algorithm that ``settings`` name; what it trains besides the policy has joined ``optimizer``."""
    made = ALGORITHMS[settings.algorithm]
    # An algorithm of one's own need not know of teams.
    return made(policy, optimizer, settings, seed=seed, **({"team": team} if team.size > 1 else {}))
