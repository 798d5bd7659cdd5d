"""REINFORCE with a baseline, whitened advantages, an entropy bonus and replay with clipped importance weights.

Williams 1992; Reflect-RL, section 3.2.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.config import RLSettings
from workbench.models.policy import Policy
from workbench.rollout.team import ALONE, Team
from workbench.trainers.advantages import StateBaseline, whiten
from workbench.trainers.algorithm import UpdateResult
from workbench.trainers.learner import Learner, Pass
from workbench.trainers.objectives import clipped_importance_weights, reinforce_loss
from workbench.trainers.replay import Step

__all__ = ["Reinforce", "UpdateResult"]


class Reinforce:
    """Updates the policy from steps.

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
        self.baseline = StateBaseline()

    def update(self, steps: Sequence[Step], replayed: Sequence[Step]) -> UpdateResult:
        """Learn from freshly collected ``steps`` and from ``replayed`` ones."""
        everything, fresh = [*steps, *replayed], len(steps)
        advantages_N = self._advantages(steps, everything)

        def loss(one: Pass) -> Tensor:
            weights_N = clipped_importance_weights(one.picked_N, one.behaviour_N, limit=self.settings.replay.max_importance_weight)
            is_fresh_N = torch.tensor([row < fresh for row in one.rows], device=weights_N.device)
            weights_N = torch.where(is_fresh_N, torch.ones_like(weights_N), weights_N)
            coefficient = self.settings.entropy_coef
            return reinforce_loss(one.picked_N, one.of(advantages_N), weights_N, one.entropies_N, entropy_coef=coefficient, total=one.total)

        metrics = self.learner.learn(everything, self.learner.plan(everything, range(len(everything))), loss, fresh=fresh)
        return UpdateResult(advantages_N[:fresh].tolist(), metrics)

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"baseline": self.baseline.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
        self.baseline.load_state_dict(state["baseline"])

    def _advantages(self, steps: Sequence[Step], everything: Sequence[Step]) -> np.ndarray:
        returns_N = np.array([step.return_to_go for step in everything])
        advantages_N: np.ndarray
        keys = [step.baseline_key for step in everything]
        fresh = len(steps)
        if self.settings.baseline == "state":
            advantages_N = returns_N - self.baseline.values(keys, returns_N[:fresh])
            self.baseline.update(keys[:fresh], returns_N[:fresh])
        elif self.settings.baseline == "batch":
            advantages_N = returns_N - returns_N[:fresh].mean()
        else:
            advantages_N = returns_N
        if not self.settings.whiten_advantages:
            return advantages_N
        # Scale by the fresh steps alone: replayed successes would shrink what failures teach.
        return whiten(advantages_N, reference_N=advantages_N[:fresh])
