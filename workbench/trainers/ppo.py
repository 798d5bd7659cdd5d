"""PPO with a critic on the policy's own last hidden state, and generalised advantages over turns.

Schulman et al. 2017 (arXiv 1707.06347) and 2016 (arXiv 1506.02438); the paper's own PPO clips at 0.1 over 3 epochs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.config import RLSettings
from workbench.models.critic import Critic
from workbench.models.policy import Policy
from workbench.rollout.team import ALONE, Team
from workbench.seeding import derived_seed, generator
from workbench.trainers.advantages import generalized_advantages, whiten
from workbench.trainers.algorithm import UpdateResult
from workbench.trainers.groups import trajectory_rows
from workbench.trainers.learner import Learner, Pass, Plan
from workbench.trainers.objectives import clip_fraction, clipped_surrogate, value_loss
from workbench.trainers.replay import Step


class PPO:
    """Several epochs of clipped optimizer steps over every update's turns.

    Args:
        policy: The policy player; its own parameters are trained, and it is given the critic, so that turns are played with a value.
        optimizer: Over those parameters; the critic's become a second group.
        settings: Of the update.
        seed: Of the critic's first weights and of the order of turns.
        team: Processes that update it together.
    """

    replays = False

    def __init__(
        self, policy: Policy, optimizer: torch.optim.Optimizer, settings: RLSettings, *, seed: int = 0, team: Team = ALONE
    ) -> None:
        own = settings.ppo.critic
        width, first = policy.player.hidden_size, derived_seed(seed, "weights", "critic")
        self.critic = Critic(width, kind=own.kind, hidden_size=own.hidden_size, seed=first).to(policy.player.device)
        policy.critic = self.critic
        optimizer.add_param_group({"params": list(self.critic.parameters()), "lr": own.learning_rate})
        self.settings = settings
        self.seed = seed
        self.updates = 0
        self.learner = Learner(policy, optimizer, settings, team=team)
        self.modules: dict[str, nn.Module] = {"critic": self.critic, **self.learner.modules}

    def update(self, steps: Sequence[Step], replayed: Sequence[Step]) -> UpdateResult:
        """Learn from freshly collected ``steps``, which were played with a value; ``replayed`` ones are left alone."""
        settings = self.settings.ppo
        values_N = self._values(steps)
        gains_N = self._gains(steps, values_N)
        targets_N = values_N + gains_N
        advantages_N = whiten(gains_N) if self.settings.whiten_advantages else gains_N
        unit = float(self.critic.deviation)
        value_losses: list[float] = []
        clipped: list[float] = []

        def loss(one: Pass) -> Tensor:
            assert one.hidden_NE is not None
            gain_N = clipped_surrogate(one.picked_N, one.behaviour_N, one.of(advantages_N), low=settings.cliprange)
            hidden_NE = one.hidden_NE if settings.critic.trains_policy else one.hidden_NE.detach()
            values, old, targets = self.critic(hidden_NE) / unit, one.of(values_N / unit), one.of(targets_N / unit)
            errors_N = value_loss(values, old, targets, clip=settings.cliprange_value)
            value_losses.extend(errors_N.tolist())
            clipped.append(clip_fraction(one.picked_N, one.behaviour_N, low=settings.cliprange) * len(one.rows))
            kept = gain_N.sum() + self.settings.entropy_coef * one.entropies_N.sum() - settings.vf_coef * errors_N.sum()
            return -kept / one.total

        metrics = self.learner.learn(steps, self._plan(steps), loss, reads=True)
        self.updates += 1
        value_losses, clipped = map(self.learner.team.concatenated, (value_losses, clipped))
        metrics["loss/value"] = float(np.mean(value_losses)) if value_losses else float("nan")
        metrics["policy/clip_fraction"] = sum(clipped) / max(1, len(value_losses))
        metrics["critic/explained_variance"] = explained_variance(values_N, np.array([step.return_to_go for step in steps]))
        return UpdateResult(advantages_N.tolist(), metrics)

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
        self.updates = int(state["updates"])

    def _values(self, steps: Sequence[Step]) -> np.ndarray:
        noted_N = np.array([0.0 if step.value is None else step.value for step in steps])
        if bool(self.critic.is_calibrated):
            return noted_N
        # A critic that has seen nothing says 0; told what returns are like, it would have said their mean.
        self.critic.calibrate(torch.tensor([step.return_to_go for step in steps]))
        calibrated_N: np.ndarray = noted_N * float(self.critic.deviation) + float(self.critic.mean)
        return calibrated_N

    def _gains(self, steps: Sequence[Step], values_N: np.ndarray) -> np.ndarray:
        gains_N = np.empty(len(steps))
        for own in trajectory_rows(steps):
            rewards, values = [steps[row].reward for row in own], values_N[own].tolist()
            gains_N[own] = generalized_advantages(rewards, values, gamma=self.settings.gamma, lam=self.settings.ppo.lam)
        return gains_N

    def _plan(self, steps: Sequence[Step]) -> Plan:
        """Every epoch all rows in a new order, cut into mini-batches of one optimizer step each."""
        plan: Plan = []
        for epoch in range(self.settings.ppo.num_ppo_epochs):
            order = generator(self.seed, "mini-batches", self.updates, epoch).permutation(len(steps)).tolist()
            parts = min(self.settings.ppo.num_mini_batches, len(steps))
            plan += [self.learner.passes(steps, order[part::parts], alike=True) for part in range(parts)]
        return plan


def explained_variance(values_N: np.ndarray, returns_N: np.ndarray) -> float:
    """Share of the returns' variance that the values foretold: 1 all of it, 0 no better than a constant; not-a-number without variance.

    Example:
        >>> explained_variance(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
        0.75
    """
    variance = float(returns_N.var())
    return 1.0 - float((returns_N - values_N).var()) / variance if variance > 0 else float("nan")
