"""Training the reflection player, too: policy gradient through the tokens it sampled, with the advantages of its turns.

Reflect-RL names it as future work; the published system keeps the reflection player frozen. A reflection answers for its own turn and
all that came of it, as the choice does.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from workbench.config import RLSettings
from workbench.models.reflection import ModelReflection
from workbench.models.responses import length_batches, response_log_probs
from workbench.records import Trajectory
from workbench.rollout.team import ALONE, Team
from workbench.trainers.gradients import add_up_gradients
from workbench.trainers.objectives import is_finite


class Said(NamedTuple):
    """One reflection: what it answered, and what was sampled."""

    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    """Its end-of-text included where it came to it."""


class ReflectionLearner:
    """Takes one optimizer step per update on the reflection player's own weights.

    Args:
        reflection: Samples; a greedy player has no dice whose outcome could be credited.
        optimizer: The policy's; the reflection player's weights become its last group.
        settings: Of the update.
        team: Processes that take the step together, each with its share of what was said.
    """

    def __init__(self, reflection: ModelReflection, optimizer: torch.optim.Optimizer, settings: RLSettings, *, team: Team = ALONE) -> None:
        assert not reflection.greedy
        self.reflection = reflection
        self.optimizer = optimizer
        self.settings = settings
        self.team = team
        self.parameters = [value for _, value in reflection.player.trainable_parameters()]
        optimizer.add_param_group({"params": self.parameters, "lr": settings.reflection_learning_rate})

    def update(self, trajectories: Sequence[Trajectory], advantages: Sequence[float], *, batch_tokens: int = 16_384) -> dict[str, float]:
        """Learn from what was said in ``trajectories``.

        Args:
            trajectories: As they were just played.
            advantages: One a turn in order, as the policy's update used them.
            batch_tokens: Rough bound on the padded tokens of one pass.

        Returns:
            Metrics: the loss (mean over turns), and the gradient's norm before clipping.
        """
        told = [(said, value) for said, value in zip(self._said(trajectories), advantages, strict=True) if said.token_ids and value]
        self.reflection.player.activate()
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        lengths = [len(said.prompt_token_ids) + len(said.token_ids) for said, _ in told]
        mine = list(range(len(told))) if self.team.size == 1 else self.team.share(lengths)
        for rows in length_batches([lengths[place] for place in mine], batch_tokens):
            loss = reflection_loss([told[mine[row]] for row in rows], self.reflection, turns=len(advantages))
            torch.autograd.backward(loss)
            total += float(loss.detach())
        if self.team.size > 1:
            total = add_up_gradients(self.team, self.parameters, total)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm)
        taken = bool(told) and np.isfinite(total) and is_finite(norm)
        if taken:
            self.optimizer.step()
        return {
            "loss/reflection": total,
            "reflection/gradient_norm": float(norm),
            "reflection/skipped_steps": float(bool(told) and not taken),
        }

    def _said(self, trajectories: Sequence[Trajectory]) -> list[Said]:
        found = []
        for trajectory in trajectories:
            for turn in trajectory.turns:
                prompt = self.reflection.prompts.reflection(trajectory.task_statement, turn.observation).token_ids
                end = tuple(self.reflection.writer.eos_ids) if turn.reflection.finished else ()
                found.append(Said(prompt, (*turn.reflection.token_ids, *end)))
        return found


def reflection_loss(told: Sequence[tuple[Said, float]], reflection: ModelReflection, *, turns: int) -> torch.Tensor:
    """Minus the mean over ``turns`` of advantage times log-probability of the whole reflection, as it was sampled; differentiable.

    Args:
        told: Reflections with the advantages of their turns.
        reflection: Whose temperature and forbidden tokens count.
        turns: Of the whole update, so that passes add up to one mean.
    """
    log_probs_N = response_log_probs(
        reflection.player,
        [said.prompt_token_ids for said, _ in told],
        [said.token_ids for said, _ in told],
        temperature=reflection.temperature,
        forbidden_ids=reflection.writer.forbidden_ids,
    )
    weights = [value for said, value in told for _ in said.token_ids]
    return -(log_probs_N * torch.tensor(weights, dtype=log_probs_N.dtype, device=log_probs_N.device)).sum() / turns
