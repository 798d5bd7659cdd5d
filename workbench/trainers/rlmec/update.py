"""One update of the policy: a batch of samples becomes a loss, a step, and a number for every token.

Axis letter: N tokens of all rows of a batch, one after another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from workbench.config import ObjectiveSettings
from workbench.models.language_model import LanguageModel
from workbench.models.responses import response_log_probs
from workbench.models.solution_ids import SolutionIds
from workbench.trainers.objectives import is_finite
from workbench.trainers.rlmec.objective import Clip, counted, imitation_terms, rl_terms
from workbench.trainers.rlmec.samples import Sample

Side = Literal["original", "rewrite"]


@dataclass(frozen=True)
class TokenRow:
    """One sequence that the policy reads, and what its tokens are worth. Axis letter: T its tokens."""

    sample: Sample
    side: Side
    token_ids: tuple[int, ...]
    old_log_probs_T: Tensor
    rewards_T: Tensor
    weights_T: Tensor


@dataclass(frozen=True)
class Terms:
    """What the tokens of some rows contribute to the loss, without gradient, float32, (N,) each."""

    log_probs_N: Tensor
    rl_N: Tensor
    imitation_N: Tensor


@dataclass(frozen=True)
class Divisors:
    """By what the sums over tokens are divided: tokens of the whole update with a reward, and with a weight."""

    rl: int
    imitation: int


def token_rows(samples: Sequence[Sample]) -> list[TokenRow]:
    """The sequences of some samples: each response, and each target that is another text."""
    rows = []
    for sample in samples:
        weights_T = sample.weights_U if sample.repeats else torch.zeros(len(sample.response_ids))
        rows.append(TokenRow(sample, "original", sample.response_ids, sample.old_log_probs_T, sample.rewards_T, weights_T))
        if sample.target_ids and not sample.repeats:
            nothing = torch.zeros(len(sample.target_ids))
            rows.append(TokenRow(sample, "rewrite", sample.target_ids, nothing, nothing, sample.weights_U))
    return rows


def divisors(rows: Sequence[TokenRow]) -> Divisors:
    """Of one update; at least 1, so that an update without any reward is no division by zero."""
    return Divisors(
        rl=max(1, sum(counted(row.rewards_T) for row in rows if row.rewards_T.any())),
        imitation=max(1, sum(counted(row.weights_T) for row in rows if row.weights_T.any())),
    )


def token_terms(
    player: LanguageModel, rows: Sequence[TokenRow], by: Divisors, settings: ObjectiveSettings, *, clip: Clip
) -> tuple[Tensor, Terms]:
    """The rows' part of the loss, with gradient, and each token's part of it: their sum is the loss."""
    log_probs_N = response_log_probs(player, [row.sample.prompt_ids for row in rows], [row.token_ids for row in rows])
    device = log_probs_N.device
    old_N, rewards_N, weights_N = (
        torch.cat([getattr(row, name) for row in rows]).to(device) for name in ("old_log_probs_T", "rewards_T", "weights_T")
    )
    rl_N = settings.rl_coef / by.rl * rl_terms(log_probs_N, old_N, rewards_N, clip=clip, epsilon=settings.epsilon)
    imitation_N = settings.imitation_coef / by.imitation * imitation_terms(log_probs_N, weights_N)
    terms = Terms(log_probs_N.detach(), rl_N.detach(), imitation_N.detach())
    return rl_N.sum() + imitation_N.sum(), terms


@dataclass
class PolicyUpdate:
    """Takes optimizer steps.

    Attributes:
        player: The policy.
        optimizer: Of its parameters.
        settings: Of rewards and loss.
        clip: How the importance ratio is clipped.
        batch_size: Rows that pass forwards and backwards at once.
        max_grad_norm: Longest gradient.
    """

    player: LanguageModel
    optimizer: torch.optim.Optimizer
    settings: ObjectiveSettings
    clip: Clip
    batch_size: int
    max_grad_norm: float

    def step(self, samples: Sequence[Sample]) -> tuple[dict[str, float], list[TokenRow], list[Terms]]:
        """One update on a batch; gives its metrics, its rows, and the terms of each row."""
        rows = token_rows(samples)
        by = divisors(rows)
        self.player.activate(training=True)
        self.optimizer.zero_grad(set_to_none=True)
        order = sorted(range(len(rows)), key=lambda place: (len(rows[place].sample.prompt_ids) + len(rows[place].token_ids), place))
        terms: dict[int, Terms] = {}
        total = torch.zeros((), device=self.player.device)
        for start in range(0, len(order), self.batch_size):
            places = order[start : start + self.batch_size]
            loss, found = token_terms(self.player, [rows[place] for place in places], by, self.settings, clip=self.clip)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            terms.update(zip(places, split_terms(found, [rows[place] for place in places]), strict=True))
        parameters = [value for group in self.optimizer.param_groups for value in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        steps = is_finite(total) and is_finite(norm)
        if steps:
            self.optimizer.step()
        self.player.activate(training=False)
        own = [terms[place] for place in range(len(rows))]
        return self._metrics(rows, own, float(total), float(norm), by, skipped=not steps), rows, own

    def _metrics(
        self, rows: Sequence[TokenRow], terms: Sequence[Terms], loss: float, norm: float, by: Divisors, *, skipped: bool
    ) -> dict[str, float]:
        rewards_N = torch.cat([row.rewards_T for row in rows if row.side == "original"])
        log_probs_N = torch.cat([one.log_probs_N for row, one in zip(rows, terms, strict=True) if row.rewards_T.any()] or [torch.zeros(0)])
        old_N = torch.cat([row.old_log_probs_T for row in rows if row.rewards_T.any()] or [torch.zeros(0)])
        ratio_N = (log_probs_N.cpu() - old_N).exp()
        outside = (ratio_N - 1).abs() > self.settings.epsilon
        return {
            "loss/total": loss,
            "loss/rl": float(sum(one.rl_N.sum() for one in terms)),
            "loss/imitation": float(sum(one.imitation_N.sum() for one in terms)),
            "reward/mean": float(rewards_N.mean()) if len(rewards_N) else 0.0,
            "reward/negative_share": float((rewards_N < 0).float().mean()) if len(rewards_N) else 0.0,
            "reward/tokens": float(by.rl) if rewards_N.any() else 0.0,
            "policy/ratio": float(ratio_N.mean()) if len(ratio_N) else 1.0,
            "policy/outside_clip_range": float(outside.float().mean()) if len(ratio_N) else 0.0,
            "policy/tokens": float(sum(len(row.token_ids) for row in rows)),
            "policy/gradient_norm": norm,
            "policy/skipped_steps": float(skipped),
        }


def split_terms(terms: Terms, rows: Sequence[TokenRow]) -> list[Terms]:
    """The terms of each row."""
    lengths = [len(row.token_ids) for row in rows]
    parts = (torch.split(part_N.cpu(), lengths) for part_N in (terms.log_probs_N, terms.rl_N, terms.imitation_N))
    return [Terms(*own) for own in zip(*parts, strict=True)]


def token_columns(
    rows: Sequence[TokenRow], terms: Sequence[Terms], ids: SolutionIds, *, round_number: int, update: int
) -> dict[str, list[Any]]:
    """The rows of the token table (``store/solutions.py``) as columns."""
    columns: dict[str, list[Any]] = {}
    for row, own in zip(rows, terms, strict=True):
        count, sample = len(row.token_ids), row.sample
        is_original = row.side == "original"
        rl, imitation = own.rl_N.tolist(), own.imitation_N.tolist()
        edited = sample.edited if is_original else sample.target_edited
        text = ids.decode(row.token_ids)
        values: dict[str, list[Any]] = {
            "round": [round_number] * count,
            "update": [update] * count,
            "sample": [sample.number] * count,
            "problem_id": [sample.problem_id] * count,
            "side": [row.side] * count,
            "place": list(range(count)),
            "token_id": list(row.token_ids),
            "token": [text[start:end] for start, end in ids.spans(row.token_ids)],
            "policy_prob": own.log_probs_N.exp().tolist(),
            "old_policy_prob": row.old_log_probs_T.exp().tolist() if is_original and sample.rewards_T.any() else [None] * count,
            "reward_model_prob": list(sample.reward_model_probs) if is_original and sample.reward_model_probs else [None] * count,
            "reward": row.rewards_T.tolist() if is_original else [None] * count,
            "is_edited": list(edited) if edited else [None] * count,
            "imitation_weight": row.weights_T.tolist(),
            "rl_contribution": rl,
            "imitation_contribution": imitation,
            "contribution": [one + other for one, other in zip(rl, imitation, strict=True)],
        }
        for name, cells in values.items():
            columns.setdefault(name, []).extend(cells)
    return columns
