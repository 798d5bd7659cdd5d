"""The policy player: one forward over a prompt gives the distribution over this state's commands."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.models.commands import Scoring, command_log_probs
from workbench.models.critic import Critic
from workbench.models.language_model import LanguageModel
from workbench.models.scoring import IMPOSSIBLE, label_log_probs
from workbench.prompts import Label, PromptBuilder


class Decision(NamedTuple):
    """A question to the policy."""

    prompt_token_ids: Sequence[int]
    label_token_ids: Sequence[int]
    command_token_ids: Sequence[Sequence[int]] = ()
    """Of each command, where whole strings are scored; empty where labels are."""
    command_words: Sequence[int] = ()
    """Number of words of each, likewise."""


def asked(
    prompts: PromptBuilder, prompt_token_ids: Sequence[int], labels: Sequence[Label], commands: Sequence[str], *, speaks: bool
) -> Decision:
    """The question that a prompt with these labels and commands asks; with ``speaks``, of a policy that is scored by whole commands."""
    ids = [label.token_id for label in labels]
    if not speaks:
        return Decision(prompt_token_ids, ids)
    return Decision(
        prompt_token_ids, ids, [prompts.command(command) for command in commands], [len(command.split()) for command in commands]
    )


class Reading(NamedTuple):
    """What the policy makes of a batch of decisions."""

    log_probs_BK: Tensor
    """Of every label, nats, -1e9 on padding."""
    hidden_BE: Tensor
    """Its last hidden state at the last position of each prompt: what a critic reads."""


class Judgement(NamedTuple):
    """The policy's answer to one decision."""

    log_probs: np.ndarray
    """Over the decision's labels, nats, float64, (K,)."""
    value: float | None = None
    """The critic's estimate of what is still to be earned, environment units; None without a critic."""


def label_tensors(decisions: Sequence[Decision], device: torch.device) -> tuple[Tensor, Tensor]:
    """Label ids and their mask, (B, K), padded on the right with id 0 and False."""
    width = max(len(decision.label_token_ids) for decision in decisions)
    ids = [list(decision.label_token_ids) + [0] * (width - len(decision.label_token_ids)) for decision in decisions]
    mask = [[place < len(decision.label_token_ids) for place in range(width)] for decision in decisions]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


class Policy:
    """Scores commands by their labels, or as whole strings.

    Args:
        player: The language model.
        batch_tokens: Rough bound on the padded tokens of one forward pass.
        scoring: How decisions that hold whole commands are scored.

    Attributes:
        critic: Judges states beside the choice, for algorithms that have one; None otherwise.
    """

    def __init__(self, player: LanguageModel, *, batch_tokens: int = 16_384, scoring: Scoring = "label") -> None:
        self.player = player
        self.batch_tokens = batch_tokens
        self.scoring: Scoring = scoring
        self.critic: Critic | None = None

    def log_probs(self, decisions: Sequence[Decision], *, temperature: float = 1.0) -> Tensor:
        """Log-probability of every label, nats, (B, K), -1e9 on padding; differentiable when gradients are on."""
        if decisions[0].command_token_ids:
            return self._of_strings(decisions, temperature=temperature)
        logits_BV = self.player.last_logits([decision.prompt_token_ids for decision in decisions])
        ids_BK, mask_BK = label_tensors(decisions, self.player.device)
        return label_log_probs(logits_BV, ids_BK, mask_BK, temperature=temperature)

    def read(self, decisions: Sequence[Decision], *, temperature: float = 1.0) -> Reading:
        """As :meth:`log_probs`, with the hidden states, from one pass; both differentiable when gradients are on."""
        states = self.player.last_states([decision.prompt_token_ids for decision in decisions])
        if decisions[0].command_token_ids:
            return Reading(self._of_strings(decisions, temperature=temperature), states.hidden_BE)
        ids_BK, mask_BK = label_tensors(decisions, self.player.device)
        return Reading(label_log_probs(states.logits_BV, ids_BK, mask_BK, temperature=temperature), states.hidden_BE)

    def _of_strings(self, decisions: Sequence[Decision], *, temperature: float) -> Tensor:
        return command_log_probs(
            self.player,
            [decision.prompt_token_ids for decision in decisions],
            [decision.command_token_ids for decision in decisions],
            [decision.command_words for decision in decisions],
            scoring=self.scoring,
            temperature=temperature,
        )

    @torch.inference_mode()
    def judge(self, decisions: Sequence[Decision], *, temperature: float = 1.0) -> list[Judgement]:
        """Log-probabilities over each decision's labels in the order asked and, where there is a critic, the state's value."""
        self.player.activate()
        results: list[Judgement] = [Judgement(np.empty(0))] * len(decisions)
        for rows in length_batches([_work(decision) for decision in decisions], self.batch_tokens):
            asked = [decisions[row] for row in rows]
            values: Sequence[float | None] = [None] * len(rows)
            if self.critic is None:
                log_probs_BK = self.log_probs(asked, temperature=temperature)
            else:
                log_probs_BK, hidden_BE = self.read(asked, temperature=temperature)
                values = self.critic(hidden_BE).tolist()
            for row, own, value in zip(rows, log_probs_BK.cpu().double().numpy(), values, strict=True):
                results[row] = Judgement(own[own > IMPOSSIBLE / 2], value)
        return results

    def distributions(self, decisions: Sequence[Decision], *, temperature: float = 1.0) -> list[np.ndarray]:
        """The log-probabilities of :meth:`judge` alone, float64 arrays of shape (K,)."""
        return [judgement.log_probs for judgement in self.judge(decisions, temperature=temperature)]


def _work(decision: Decision) -> int:
    """Tokens of a decision: its prompt, and its commands where they are read."""
    return len(decision.prompt_token_ids) + sum(map(len, decision.command_token_ids))


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Rows sorted by length and cut into batches of at most ``batch_tokens`` padded tokens (at least one row)."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    batches: list[list[int]] = []
    for row in order:
        if batches and (len(batches[-1]) + 1) * lengths[row] <= batch_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches
