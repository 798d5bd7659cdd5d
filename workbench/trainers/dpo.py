"""DPO on turns: where trajectories of one start chose differently in the same state, the choice that earned more is preferred.

Rafailov et al. 2023 (arXiv 2305.18290), online, through TRL's ``DPOTrainer``; the reference is the policy that online learning began with.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import MultiplicativeLR

from workbench.config import PolicySettings, RLSettings
from workbench.errors import ConfigError
from workbench.models.policy import Policy
from workbench.models.responses import score_responses
from workbench.rollout.team import ALONE, Team
from workbench.trainers.algorithm import UpdateResult
from workbench.trainers.groups import SAME
from workbench.trainers.reference import Reference
from workbench.trainers.replay import Step
from workbench.trainers.rlmec.preferences import Preference, train_preferences


class TurnPair(NamedTuple):
    """Two rows of an update with one prompt and different choices."""

    chosen: int
    rejected: int


class DPO:
    """Updates the policy from pairs of turns.

    Args:
        policy: The policy player; its own parameters are trained.
        optimizer: Over those parameters.
        settings: Of the update.
        seed: Of the order of pairs.
        team: Processes that update it together; only one can.

    Raises:
        ConfigError: The run is spread over several processes.
    """

    replays = False

    def __init__(
        self, policy: Policy, optimizer: torch.optim.Optimizer, settings: RLSettings, *, seed: int = 0, team: Team = ALONE
    ) -> None:
        if team.size > 1:
            raise ConfigError(f"rl.algorithm=dpo trains in one process, found device.num_processes={team.size}; leave it at 1")
        self.policy = policy
        self.optimizer = optimizer
        self.settings = settings
        self.seed = seed
        self.reference = Reference(policy.player)
        self.modules: dict[str, nn.Module] = {"reference": self.reference}

    def update(self, steps: Sequence[Step], replayed: Sequence[Step]) -> UpdateResult:
        """Learn from freshly collected ``steps``; ``replayed`` ones are left alone."""
        pairs = turn_pairs(steps)
        marks_N = np.zeros(len(steps))
        for pair in pairs:
            marks_N[pair.chosen], marks_N[pair.rejected] = 1.0, -1.0
        told: list[dict[str, float]] = []
        if pairs:
            self._learn(self._preferences(steps, pairs), told)
        names = ("loss/policy", "preference/margin", "preference/accuracy", "policy/gradient_norm")
        metrics = {name: float(np.mean([one[name] for one in told])) if told else float("nan") for name in names}
        return UpdateResult(marks_N.tolist(), {**metrics, "preference/pairs": float(len(pairs)), "policy/skipped_steps": 0.0})

    def _preferences(self, steps: Sequence[Step], pairs: Sequence[TurnPair]) -> list[Preference]:
        rows = [row for pair in pairs for row in pair]
        prompts, answers = [steps[row].prompt_token_ids for row in rows], [_answer(steps[row]) for row in rows]
        with self.reference.in_place_of(self.policy.player):
            scores = [sum(one) for one in score_responses(self.policy.player, prompts, answers)]
        return [
            Preference(prompts[place], answers[place], answers[place + 1], scores[place], scores[place + 1])
            for place in range(0, len(rows), 2)
        ]

    def _learn(self, preferences: Sequence[Preference], told: list[dict[str, float]]) -> None:
        settings = self.settings
        per_step = min(len(preferences), max(1, settings.per_device_train_batch_size // 2))
        steps = -(-len(preferences) // per_step) * settings.dpo.num_iterations
        train_preferences(
            self.policy.player,
            preferences,
            self.optimizer,
            MultiplicativeLR(self.optimizer, lambda _: 1.0),  # the loop sets the rate
            PolicySettings(
                learning_rate=settings.learning_rate,
                max_grad_norm=settings.max_grad_norm,
                solutions_per_update=2 * per_step,
                dpo_beta=settings.dpo.beta,
            ),
            start=0,
            stop=steps,
            seed=self.seed,
            on_log=lambda step, metrics: told.append({**metrics, "loss/policy": metrics["loss/total"]}),
            on_step=lambda step: False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Nothing: an update depends on its own steps, and the reference is a module."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to put back."""


def turn_pairs(steps: Sequence[Step]) -> list[TurnPair]:
    """In every state that a group met alike (same prompt), its best choice beside each worse one.

    A choice is worth the mean of what was earned from there on, over all turns of the group that made it.
    """
    states: dict[tuple[int, tuple[int, ...]], dict[int, list[int]]] = {}
    for row, step in enumerate(steps):
        states.setdefault((step.group, step.prompt_token_ids), {}).setdefault(step.chosen, []).append(row)
    found = []
    for choices in states.values():
        worth = {choice: float(np.mean([steps[row].return_to_go for row in rows])) for choice, rows in choices.items()}
        best = max(worth, key=lambda choice: (worth[choice], -choice))
        found += [TurnPair(choices[best][0], rows[0]) for choice, rows in choices.items() if worth[choice] < worth[best] - SAME]
    return found


def _answer(step: Step) -> tuple[int, ...]:
    """What the policy said: its label, or the whole command where that is scored."""
    return step.command_token_ids[step.chosen] if step.command_token_ids else (step.label_token_ids[step.chosen],)
