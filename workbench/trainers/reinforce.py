"""REINFORCE with a baseline, whitened advantages, an entropy bonus and replay with clipped importance weights.

The algorithm turns a batch of steps into an update; collecting, curriculum, recording and saving are the
loop's. Williams 1992; Reflect-RL, section 3.2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.config import RLSettings
from workbench.models.policy import Decision, Policy
from workbench.models.scoring import entropy
from workbench.trainers.advantages import StateBaseline, whiten
from workbench.trainers.objectives import clipped_importance_weights, is_finite, kl_estimate, reinforce_loss
from workbench.trainers.replay import Step


class UpdateResult(NamedTuple):
    """What an update did."""

    advantages: list[float]
    """Of each on-policy step, in order, as the loss used them."""
    metrics: dict[str, float]


class Reinforce:
    """Updates the policy from steps.

    Args:
        policy: The policy player; its own parameters are trained.
        optimizer: Over those parameters.
        settings: Of the update.
    """

    def __init__(self, policy: Policy, optimizer: torch.optim.Optimizer, settings: RLSettings) -> None:
        self.policy = policy
        self.optimizer = optimizer
        self.settings = settings
        self.baseline = StateBaseline()

    def update(self, steps: Sequence[Step], replayed: Sequence[Step]) -> UpdateResult:
        """Learn from freshly collected ``steps`` and from ``replayed`` ones."""
        everything = [*steps, *replayed]
        advantages_N = self._advantages(steps, everything)
        self.policy.player.activate(training=self.settings.gradient_checkpointing)
        sums: dict[str, float] = {"loss/policy": 0.0, "policy/entropy": 0.0, "policy/kl": 0.0}
        norms: list[float] = []
        skipped = 0
        chunks = self._chunks(everything)
        group = self.settings.gradient_accumulation_steps or len(chunks)
        for start in range(0, len(chunks), group):
            rows = [row for chunk in chunks[start : start + group] for row in chunk]
            self.optimizer.zero_grad(set_to_none=True)
            losses = [
                self._backward(everything, chunk, len(steps), advantages_N, len(rows), sums) for chunk in chunks[start : start + group]
            ]
            norm = torch.nn.utils.clip_grad_norm_(
                [p for g in self.optimizer.param_groups for p in g["params"]], self.settings.max_grad_norm
            )
            if all(map(is_finite, losses)) and is_finite(norm):
                self.optimizer.step()
                norms.append(float(norm))
            else:  # one broken step must not poison the weights; it is counted and reported
                skipped += 1
            sums["loss/policy"] += sum(float(loss) for loss in losses) * len(rows) / len(everything)
        metrics = {**sums, "policy/entropy": sums["policy/entropy"] / len(everything), "policy/kl": sums["policy/kl"] / max(1, len(steps))}
        metrics["policy/gradient_norm"] = float(np.mean(norms)) if norms else float("nan")
        metrics["policy/skipped_steps"] = float(skipped)
        return UpdateResult(advantages_N[: len(steps)].tolist(), metrics)

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

    def _chunks(self, steps: Sequence[Step]) -> list[list[int]]:
        size = self.settings.per_device_train_batch_size
        prompts = [step.prompt_token_ids for step in steps]
        # Rows of similar length share a pass: less padding, same sum. So do rows that begin alike, whose beginnings are then computed
        # once; but not where a pass is a step of its own, which should see many states.
        one_step = self.settings.gradient_accumulation_steps == 0
        order = sorted(range(len(steps)), key=lambda row: (len(prompts[row]), prompts[row] if one_step else (), row))
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _backward(
        self, steps: Sequence[Step], rows: Sequence[int], fresh: int, advantages_N: np.ndarray, total: int, sums: dict[str, float]
    ) -> Tensor:
        chosen = [steps[row] for row in rows]
        device = self.policy.player.device
        decisions = [Decision(step.prompt_token_ids, step.label_token_ids) for step in chosen]
        log_probs_NK = self.policy.log_probs(decisions, temperature=self.settings.temperature)
        picked_N = log_probs_NK.gather(1, torch.tensor([[step.chosen] for step in chosen], device=device))[:, 0]
        behaviour_N = torch.tensor([step.log_prob for step in chosen], device=device, dtype=torch.float32)
        is_fresh_N = torch.tensor([row < fresh for row in rows], device=device)
        weights_N = clipped_importance_weights(picked_N, behaviour_N, limit=self.settings.replay.max_importance_weight)
        weights_N = torch.where(is_fresh_N, torch.ones_like(weights_N), weights_N)
        entropies_N = entropy(log_probs_NK)
        loss = reinforce_loss(
            picked_N,
            torch.tensor(advantages_N[list(rows)], device=device, dtype=torch.float32),
            weights_N,
            entropies_N,
            entropy_coef=self.settings.entropy_coef,
            total=total,
        )
        torch.autograd.backward(loss)
        sums["policy/entropy"] += float(entropies_N.detach().sum())
        if bool(is_fresh_N.any()):
            sums["policy/kl"] += float(kl_estimate(picked_N[is_fresh_N], behaviour_N[is_fresh_N])) * int(is_fresh_N.sum())
        return loss.detach()
