"""Optimizer steps, taken once for all algorithms: forward, loss, backward, clip, step or skip."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from workbench.config import RLSettings
from workbench.models.policy import Policy
from workbench.models.scoring import IMPOSSIBLE, entropy
from workbench.rollout.team import ALONE, Team
from workbench.trainers.gradients import add_up_gradients
from workbench.trainers.objectives import is_finite, kl_estimate, label_kl
from workbench.trainers.reference import Reference, padded
from workbench.trainers.replay import Step


class Pass(NamedTuple):
    """What the policy thinks now of some steps of an update. Axes: N rows of the pass, E the policy's hidden size."""

    rows: list[int]
    """Places of its steps in the update."""
    total: int
    """Rows of the whole optimizer step: means are taken over these, so that passes add up."""
    picked_N: Tensor
    """Log-probability of the chosen command, nats, with gradient."""
    behaviour_N: Tensor
    """The same when it was chosen."""
    entropies_N: Tensor
    """Nats, with gradient."""
    hidden_NE: Tensor | None
    """The policy's last hidden states, with gradient; None unless asked for."""

    def of(self, values: np.ndarray) -> Tensor:
        """The pass's own part of one number per step, float32, (N,)."""
        return torch.tensor(values[self.rows], device=self.picked_N.device, dtype=torch.float32)


Loss = Callable[[Pass], Tensor]
"""The part of the mean over an optimizer step that a pass brings."""
Plan = list[list[list[int]]]
"""Optimizer steps, each of passes, each of rows."""


@dataclass(frozen=True)
class _Work:
    """An update while it is being carried out."""

    steps: Sequence[Step]
    fresh: int
    loss: Loss
    reads: bool
    reference: Sequence[np.ndarray] | None


@dataclass
class _Sums:
    loss: float = 0.0
    entropy: float = 0.0
    kl: float = 0.0
    reference_kl: float = 0.0
    fresh: int = 0
    norms: list[list[float]] = field(default_factory=list)
    skipped: int = 0


class Learner:
    """Trains a policy by whatever loss it is given.

    Args:
        policy: The policy player; its own parameters are trained.
        optimizer: Over those parameters first, and whatever else an algorithm trains in groups of their own.
        settings: Of the update.
        team: Processes that take every optimizer step together, each with its share of the rows.
    """

    def __init__(self, policy: Policy, optimizer: torch.optim.Optimizer, settings: RLSettings, *, team: Team = ALONE) -> None:
        self.policy = policy
        self.optimizer = optimizer
        self.settings = settings
        self.team = team
        self.reference = Reference(policy.player) if settings.kl_coef else None

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint has to hold."""
        return {} if self.reference is None else {"reference": self.reference}

    def passes(self, steps: Sequence[Step], rows: Sequence[int], *, alike: bool) -> list[list[int]]:
        """``rows`` cut into forward passes.

        Rows of similar length share a pass: less padding, same sum. With ``alike`` so do rows that begin alike, whose beginnings are then
        computed once; not where a pass is a step of its own, which should see many states.
        """
        size = self.settings.per_device_train_batch_size
        prompts = [step.prompt_token_ids for step in steps]
        order = sorted(rows, key=lambda row: (len(prompts[row]), prompts[row] if alike else (), row))
        return [order[start : start + size] for start in range(0, len(order), size)]

    def plan(self, steps: Sequence[Step], rows: Sequence[int]) -> Plan:
        """Optimizer steps over ``rows`` as ``gradient_accumulation_steps`` asks: one of all passes, or of so many passes each."""
        passes = self.passes(steps, rows, alike=self.settings.gradient_accumulation_steps == 0)
        group = self.settings.gradient_accumulation_steps or max(1, len(passes))
        return [passes[start : start + group] for start in range(0, len(passes), group)]

    def learn(self, steps: Sequence[Step], plan: Plan, loss: Loss, *, fresh: int | None = None, reads: bool = False) -> dict[str, float]:
        """Take the optimizer steps of ``plan``.

        Args:
            steps: Of the update, the fresh ones first.
            plan: Rows of ``steps``; a row may come up in several optimizer steps.
            loss: Gives the loss of a pass.
            fresh: How many steps are fresh; all when None. Others do not count in the KL between behaviour and policy.
            reads: Whether ``loss`` needs hidden states.

        Returns:
            Metrics: means over all rows of the plan, not-a-number where there are none.
        """
        work = _Work(steps, len(steps) if fresh is None else fresh, loss, reads, self._reference(steps))
        self.policy.player.activate(training=self.settings.gradient_checkpointing)
        rows_in_all = sum(len(rows) for passes in plan for rows in passes)
        sums = _Sums()
        for passes in plan:
            total = sum(map(len, passes))
            self.optimizer.zero_grad(set_to_none=True)
            mine = passes if self.team.size == 1 else self._mine(steps, passes)
            losses = [self._backward(work, rows, total, sums) for rows in mine]
            if self.team.size > 1:
                losses = [self._added_up(losses)]
            self._step(losses, sums)
            sums.loss += sum(float(one) for one in losses) * total / rows_in_all
        if self.team.size > 1:
            self._add_up(sums)
        return self._metrics(sums, rows_in_all)

    def _mine(self, steps: Sequence[Step], passes: Sequence[Sequence[int]]) -> list[list[int]]:
        """This process's rows of an optimizer step, in passes of its own."""
        rows = [row for own in passes for row in own]
        mine = [rows[place] for place in self.team.share([len(steps[row].prompt_token_ids) for row in rows])]
        size = self.settings.per_device_train_batch_size
        return [mine[start : start + size] for start in range(0, len(mine), size)]

    def _added_up(self, losses: Sequence[Tensor]) -> Tensor:
        parameters = [one for group in self.optimizer.param_groups for one in group["params"]]
        return torch.tensor(add_up_gradients(self.team, parameters, sum(float(one) for one in losses)), dtype=torch.float64)

    def _add_up(self, sums: _Sums) -> None:
        told = self.team.add_up(torch.tensor([sums.entropy, sums.kl, sums.reference_kl, sums.fresh], dtype=torch.float64))
        sums.entropy, sums.kl, sums.reference_kl = told[:3].tolist()
        sums.fresh = int(told[3])

    def _step(self, losses: Sequence[Tensor], sums: _Sums) -> None:
        # Each group by itself: a critic's gradient must not shrink the policy's.
        groups = [group["params"] for group in self.optimizer.param_groups]
        norms = [torch.nn.utils.clip_grad_norm_(group, self.settings.max_grad_norm) for group in groups]
        if all(map(is_finite, losses)) and all(map(is_finite, norms)):
            self.optimizer.step()
            sums.norms.append([float(norm) for norm in norms])
        else:  # one broken step must not poison the weights; it is counted and reported
            sums.skipped += 1

    def _backward(self, work: _Work, rows: list[int], total: int, sums: _Sums) -> Tensor:
        chosen = [work.steps[row] for row in rows]
        device, temperature = self.policy.player.device, self.settings.temperature
        decisions = [step.decision for step in chosen]
        hidden_NE: Tensor | None = None
        if work.reads:
            log_probs_NK, hidden_NE = self.policy.read(decisions, temperature=temperature)
        else:
            log_probs_NK = self.policy.log_probs(decisions, temperature=temperature)
        picked_N = log_probs_NK.gather(1, torch.tensor([[step.chosen] for step in chosen], device=device))[:, 0]
        behaviour_N = torch.tensor([step.log_prob for step in chosen], device=device, dtype=torch.float32)
        entropies_N = entropy(log_probs_NK)
        value = work.loss(Pass(rows, total, picked_N, behaviour_N, entropies_N, hidden_NE))
        if work.reference is not None:
            reference_NK = padded([work.reference[row] for row in rows], log_probs_NK.shape[1], device, filler=IMPOSSIBLE)
            distance = label_kl(log_probs_NK, reference_NK).sum()
            value = value + self.settings.kl_coef * distance / total
            sums.reference_kl += float(distance.detach())
        torch.autograd.backward(value)
        sums.entropy += float(entropies_N.detach().sum())
        is_fresh_N = torch.tensor([row < work.fresh for row in rows], device=device)
        if bool(is_fresh_N.any()):
            count = int(is_fresh_N.sum())
            sums.kl += float(kl_estimate(picked_N[is_fresh_N], behaviour_N[is_fresh_N])) * count
            sums.fresh += count
        return value.detach()

    def _reference(self, steps: Sequence[Step]) -> list[np.ndarray] | None:
        if self.reference is None:
            return None
        decisions = [step.decision for step in steps]
        if self.team.size == 1:
            return self.reference.log_probs(self.policy, decisions, temperature=self.settings.temperature)
        mine = [decisions[place] for place in self.team.share([len(one.prompt_token_ids) for one in decisions])]
        found = self.reference.log_probs(self.policy, mine, temperature=self.settings.temperature)
        return [np.array(row) for part in self.team.gather([one.tolist() for one in found]) for row in part]

    def _metrics(self, sums: _Sums, rows: int) -> dict[str, float]:
        nothing = float("nan")
        metrics = {"loss/policy": sums.loss if rows else nothing, "policy/entropy": sums.entropy / rows if rows else nothing}
        metrics["policy/kl"] = sums.kl / max(1, sums.fresh)
        metrics["policy/gradient_norm"] = float(np.mean([norms[0] for norms in sums.norms])) if sums.norms else nothing
        metrics["policy/skipped_steps"] = float(sums.skipped)
        if self.reference is not None:
            metrics["policy/reference_kl"] = sums.reference_kl / rows if rows else nothing
        return metrics
