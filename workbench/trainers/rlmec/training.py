"""The policy's training of one round: updates, evaluations, checkpoints, and the tokens that are written down."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import get_scheduler

from workbench.config import PolicySettings, RlmecConfig
from workbench.errors import RunStopped
from workbench.models.language_model import LanguageModel
from workbench.models.solution_ids import SolutionIds
from workbench.seeding import derived_seed
from workbench.store.layout import RunPaths
from workbench.store.solutions import write_tokens
from workbench.store.writer import RunWriter
from workbench.trainers.checkpoint import load_optimizer, save_checkpoint
from workbench.trainers.optimizers import adamw
from workbench.trainers.rlmec.objective import Clip
from workbench.trainers.rlmec.samples import Sample
from workbench.trainers.rlmec.update import PolicyUpdate, Terms, TokenRow, divisors, split_terms, token_columns, token_rows, token_terms
from workbench.trainers.sft import row_order, scheduler_state

PHASE = "policy"
ROLE = "policy"
Judge = Callable[[int], dict[str, float]]
"""Evaluates the policy after an update and writes what it found; gives metrics."""
Progress = Callable[[int, dict[str, float]], None]
"""Told every update with its metrics."""


def update_batches(tokens: Sequence[int], settings: PolicySettings, *, seed: int) -> list[list[int]]:
    """Which samples each update learns from, in an endless, reshuffled pass over all.

    Args:
        tokens: Of each sample, its rewrite included; none is 0. Without any there are no batches.
        settings: ``solutions_per_update`` samples an update; or, with ``tokens_per_update``, so many that the tokens of all updates so far
            reach their budget: an update is at most one sample over it, and none is so on average.
        seed: Of the order.

    Example:
        >>> settings = PolicySettings(max_steps=3, tokens_per_update=25)
        >>> [len(batch) for batch in update_batches([10] * 8, settings, seed=0)]
        [3, 2, 3]
    """
    if not tokens:
        return []
    if not settings.tokens_per_update:
        size = settings.solutions_per_update
        order = row_order(len(tokens), 0, settings.max_steps * size, seed=seed)
        return [order[start : start + size] for start in range(0, len(order), size)]
    most = settings.max_steps * (settings.tokens_per_update // min(tokens) + 2)
    batches: list[list[int]] = [[]]
    total = 0
    for place in row_order(len(tokens), 0, most, seed=seed):
        if batches[-1] and total >= len(batches) * settings.tokens_per_update:
            if len(batches) == settings.max_steps:
                break
            batches.append([])
        batches[-1].append(place)
        total += tokens[place]
    return batches


@dataclass
class PolicyTraining:
    """Trains the policy on the samples of one round.

    Attributes:
        config: Settings of the method.
        player: The policy, trained in place.
        samples: What it learns from.
        round_number: Counted from 1.
        paths: Where tokens are written.
        writer: Of metrics and events.
        checkpoints: ``checkpoints/policy`` of the run.
        judge: Evaluates on validation problems.
        seed: Of the order of samples.
    """

    config: RlmecConfig
    player: LanguageModel
    samples: Sequence[Sample]
    round_number: int
    paths: RunPaths
    writer: RunWriter
    checkpoints: Path
    judge: Judge
    seed: int

    def __post_init__(self) -> None:
        """Set up optimizer and schedule at the beginning of the round."""
        settings = self.config.policy
        if settings.gradient_checkpointing:
            self.player.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        parameters = [value for _, value in self.player.trainable_parameters()]
        self.optimizer = adamw(parameters, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)
        kind = settings.lr_scheduler_type if settings.lr_scheduler_type != "constant" else "constant_with_warmup"
        self.scheduler = get_scheduler(
            kind, self.optimizer, num_warmup_steps=settings.warmup_steps, num_training_steps=max(1, settings.max_steps)
        )
        self.first = (self.round_number - 1) * settings.max_steps
        self.last = self.round_number * settings.max_steps
        self.update = self.first
        self.tokens = 0.0
        self.ids = SolutionIds(self.player.tokenizer)
        self.batches = update_batches(
            [len(sample.response_ids) + (0 if sample.repeats else len(sample.target_ids)) for sample in self.samples],
            settings,
            seed=derived_seed(self.seed, "samples", self.round_number),
        )
        self.algorithm = PolicyUpdate(
            self.player, self.optimizer, self.config.objective, self._clip(), settings.per_device_train_batch_size, settings.max_grad_norm
        )

    def _clip(self) -> Clip:
        return "ppo" if self.config.method in ("ppo-sequence", "grpo-sequence") else self.config.objective.clip

    def restore(self, checkpoint: Path, state: dict[str, Any]) -> None:
        """Continue from a checkpoint of this round; the policy's weights are the caller's to load."""
        load_optimizer(checkpoint, state, self.optimizer)
        self.scheduler.load_state_dict(state["scheduler"])
        self.update = state["step"]
        self.tokens = state["tokens"]

    def run(self, progress: Progress) -> None:
        """Go on to the last update of the round.

        Raises:
            RunStopped: A stop was asked for; a checkpoint has been saved.
        """
        settings = self.config.policy
        if self.update == 0 and settings.eval_steps:  # a later round begins where the one before was judged
            self.judge(self.update)
            self._probe()
        while self.update < self.last:
            metrics = self.step()
            if settings.eval_steps and self.update % settings.eval_steps == 0:
                metrics.update(self.judge(self.update))
                self._probe()
            stopping = self.writer.stop_requested()
            self.writer.metrics(PHASE, self.update, metrics)
            self.writer.beat(PHASE, self.update, self.config.rounds * settings.max_steps)
            if self.update % settings.save_steps == 0 or self.update == self.last or stopping:
                self.save()
            progress(self.update, metrics)
            if stopping and self.update < self.last:
                raise RunStopped(PHASE, self.update)

    def step(self) -> dict[str, float]:
        """One update; gives its metrics."""
        settings, started = self.config.policy, time.perf_counter()
        torch.manual_seed(derived_seed(self.seed, "update", self.update))
        batch = self.batches[self.update - self.first]
        metrics, rows, terms = self.algorithm.step([self.samples[place] for place in batch])
        metrics["policy/learning_rate"] = float(self.optimizer.param_groups[0]["lr"])
        self.scheduler.step()
        self.update += 1
        self.tokens += metrics["policy/tokens"]
        if metrics["policy/skipped_steps"]:
            self.writer.event("warning", "an optimizer step was skipped: the loss or gradient was not finite", update=self.update)
        every = settings.record_tokens_every
        if every and (self.update % every == 0 or self.update == self.first + 1):
            self._write(rows, terms, "tokens")
        return {**metrics, "policy/tokens_in_all": self.tokens, "time/update_seconds": time.perf_counter() - started}

    def save(self) -> None:
        """Write a checkpoint that an exact resume can start from."""
        state = {"scheduler": scheduler_state(self.scheduler), "tokens": self.tokens, "store": self.writer.position()}
        save_checkpoint(
            self.checkpoints,
            self.update,
            state=state,
            players={ROLE: self.player},
            optimizer=self.optimizer,
            keep=self.config.policy.save_total_limit,
        )

    def _probe(self) -> None:
        """Write what the policy now thinks of the tokens of the same few samples, wrong and right ones in turn."""
        count = self.config.policy.record_probe
        wrong = [sample for sample in self.samples if not sample.repeats]
        right = [sample for sample in self.samples if sample.repeats]
        chosen = [*wrong[: count - min(count // 4, len(right))], *right[: count // 4]]
        rows = token_rows(chosen)
        if not rows:
            return
        self.player.activate()
        terms = []
        with torch.inference_mode():
            for start in range(0, len(rows), self.algorithm.batch_size):
                part = rows[start : start + self.algorithm.batch_size]
                _, found = token_terms(self.player, part, divisors(rows), self.config.objective, clip=self.algorithm.clip)
                terms += split_terms(found, part)
        self._write(rows, terms, "probes")

    def _write(self, rows: Sequence[TokenRow], terms: Sequence[Terms], kind: str) -> None:
        columns = token_columns(rows, terms, self.ids, round_number=self.round_number, update=self.update)
        write_tokens(self.paths, self.update, columns, kind=kind)
