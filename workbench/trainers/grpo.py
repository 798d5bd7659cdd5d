"""GRPO: no critic; a trajectory is compared with others from the same start.

Shao et al. 2024 (arXiv 2402.03300); without the scale and without lengths Liu et al. 2025 (Dr. GRPO, arXiv 2503.20783); the mean over
all turns and the higher upper clip Yu et al. 2025 (DAPO, arXiv 2503.14476). Names of settings are TRL's.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from workbench.config import RLSettings
from workbench.models.policy import Policy
from workbench.rollout.team import ALONE, Team
from workbench.trainers.algorithm import UpdateResult
from workbench.trainers.groups import Grouped, compare, trajectory_rows
from workbench.trainers.learner import Learner, Pass
from workbench.trainers.objectives import clip_fraction, clipped_surrogate
from workbench.trainers.replay import Step


class GRPO:
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
        settings = self.settings.grpo
        found = compare(steps, credit=self.settings.credit, leave_one_out=False)
        advantages_N = scaled(found, steps, settings.scale_rewards)
        weights_N = turn_weights(steps, found.rows, settings.loss_type)
        low, high = settings.epsilon, settings.epsilon_high
        clipped: list[float] = []

        def loss(one: Pass) -> Tensor:
            gain_N = clipped_surrogate(one.picked_N, one.behaviour_N, one.of(advantages_N), low=low, high=high)
            clipped.append(clip_fraction(one.picked_N, one.behaviour_N, low=low, high=high) * len(one.rows))
            return -((one.of(weights_N) * gain_N).sum() + self.settings.entropy_coef * one.entropies_N.sum()) / one.total

        plan = self.learner.plan(steps, found.rows) * settings.num_iterations
        metrics = self.learner.learn(steps, plan, loss)
        metrics["policy/clip_fraction"] = sum(self.learner.team.concatenated(clipped)) / max(1, settings.num_iterations * len(found.rows))
        return UpdateResult(advantages_N.tolist(), {**metrics, **found.metrics()})

    def state_dict(self) -> dict[str, Any]:
        """Nothing: an update depends on its own steps alone."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to put back."""


def scaled(found: Grouped, steps: Sequence[Step], scale: Literal["group", "batch", "none"]) -> np.ndarray:
    """Advantages: what turns earned beyond their group, in deviations of the group's returns, of all returns, or in environment units."""
    if scale == "none":
        return found.gains_N
    if scale == "batch":
        deviation = float(np.std([steps[rows[0]].return_to_go for rows in trajectory_rows(steps)]))
        batch_N: np.ndarray = found.gains_N / (deviation or 1.0)
        return batch_N
    group_N: np.ndarray = np.divide(found.gains_N, found.deviations_N, out=np.zeros(len(steps)), where=found.deviations_N > 0)
    return group_N


def turn_weights(steps: Sequence[Step], rows: Sequence[int], loss_type: Literal["grpo", "dapo", "dr_grpo"]) -> np.ndarray:
    """Weight of each turn of the update in a mean over the turns ``rows``; 0 for other turns.

    With T trajectories of length L among ``rows`` and N turns in all: ``grpo`` N / (T L), so that trajectories weigh the same; ``dapo`` 1;
    ``dr_grpo`` N / T, so that turns are summed and no length divides.

    Example:
        >>> step = Step((1,), (2,), 0, 0.0, 0.0, "")
        >>> turn_weights([step, step, step._replace(trajectory=1)], [0, 1, 2], "grpo").tolist()
        [0.75, 0.75, 1.5]
    """
    weights_N = np.zeros(len(steps))
    members = trajectory_rows([steps[row] for row in rows])
    for own in members:
        weight = {"grpo": len(rows) / (len(members) * len(own)), "dapo": 1.0, "dr_grpo": len(rows) / len(members)}[loss_type]
        weights_N[[rows[place] for place in own]] = weight
    return weights_N
