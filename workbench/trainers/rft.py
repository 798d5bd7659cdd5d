"""RFT, or filtered behaviour cloning: the choices of trajectories that succeeded become likelier, others are not looked at.

Rejection-sampling fine-tuning (Yuan et al. 2023, arXiv 2308.01825), online: what succeeded lately is learned along, see ``rl.replay``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.config import RLSettings
from workbench.models.policy import Policy
from workbench.rollout.team import ALONE, Team
from workbench.trainers.algorithm import UpdateResult
from workbench.trainers.learner import Learner, Pass
from workbench.trainers.objectives import reinforce_loss
from workbench.trainers.replay import Step


class RFT:
    """Supervised learning of the policy from its own successes.

    Args:
        policy: The policy player; its own parameters are trained.
        optimizer: Over those parameters.
        settings: Of the update.
        seed: Unused: nothing is drawn here.
        team: Processes that update it together.
    """

    replays = True

    def __init__(
        self, policy: Policy, optimizer: torch.optim.Optimizer, settings: RLSettings, *, seed: int = 0, team: Team = ALONE
    ) -> None:
        self.settings = settings
        self.learner = Learner(policy, optimizer, settings, team=team)
        self.modules = self.learner.modules

    def update(self, steps: Sequence[Step], replayed: Sequence[Step]) -> UpdateResult:
        """Learn from those of the fresh ``steps`` whose trajectory succeeded, and from ``replayed`` ones, which did."""
        everything = [*steps, *replayed]
        weights_N = np.array([float(step.success) for step in everything])
        rows = [row for row, step in enumerate(everything) if step.success]

        def loss(one: Pass) -> Tensor:
            alike = torch.ones_like(one.behaviour_N)
            return reinforce_loss(one.picked_N, alike, alike, one.entropies_N, entropy_coef=self.settings.entropy_coef, total=one.total)

        metrics = self.learner.learn(everything, self.learner.plan(everything, rows), loss, fresh=len(steps))
        return UpdateResult(weights_N[: len(steps)].tolist(), {**metrics, "rft/turns": float(len(rows))})

    def state_dict(self) -> dict[str, Any]:
        """Nothing: an update depends on its steps alone."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to put back."""
