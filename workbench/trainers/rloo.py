"""RLOO: REINFORCE whose baseline is what the others from the same start earned.

Kool et al. 2019; Ahmadian et al. 2024 (arXiv 2402.14740).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from workbench.config import RLSettings
from workbench.models.policy import Policy
from workbench.rollout.team import ALONE, Team
from workbench.trainers.advantages import whiten
from workbench.trainers.algorithm import UpdateResult
from workbench.trainers.groups import compare
from workbench.trainers.learner import Learner, Pass
from workbench.trainers.objectives import reinforce_loss
from workbench.trainers.replay import Step


class RLOO:
    """Updates the policy from groups of trajectories.

    Args:
        policy: The policy player; its own parameters are trained.
        optimizer: Over those parameters.
        settings: Of the update.
        seed: Unused: nothing is drawn here.
        team: Processes that update it together.
    """

    replays = False

    def __init__(
        self, policy: Policy, optimizer: torch.optim.Optimizer, settings: RLSettings, *, seed: int = 0, team: Team = ALONE
    ) -> None:
        self.settings = settings
        self.learner = Learner(policy, optimizer, settings, team=team)
        self.modules = self.learner.modules

    def update(self, steps: Sequence[Step], replayed: Sequence[Step]) -> UpdateResult:
        """Learn from freshly collected ``steps``; ``replayed`` ones are left alone."""
        found = compare(steps, credit=self.settings.credit, leave_one_out=True)
        advantages_N = found.gains_N.copy()
        if self.settings.whiten_advantages and found.rows:
            advantages_N[found.rows] = whiten(advantages_N[found.rows])

        def loss(one: Pass) -> Tensor:
            return reinforce_loss(
                one.picked_N,
                one.of(advantages_N),
                torch.ones_like(one.behaviour_N),
                one.entropies_N,
                entropy_coef=self.settings.entropy_coef,
                total=one.total,
            )

        metrics = self.learner.learn(steps, self.learner.plan(steps, found.rows), loss)
        return UpdateResult(advantages_N.tolist(), {**metrics, **found.metrics()})

    def state_dict(self) -> dict[str, Any]:
        """Nothing: an update depends on its own steps alone."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to put back."""
