"""Preferences between a policy's own answers, learnt by TRL's ``DPOTrainer`` (Rafailov et al. 2023, arXiv 2305.18290): a baseline of RLMEC.

As in ``trainers/sft.py``, training runs in segments that end where an evaluation or a checkpoint is due, and goes on exactly after a kill.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from workbench.config import PolicySettings
from workbench.errors import DataError, RunStopped
from workbench.models.language_model import LanguageModel
from workbench.models.solution_ids import SolutionIds
from workbench.seeding import derived_seed
from workbench.trainers.rlmec.samples import Sources
from workbench.trainers.rlmec.training import PHASE, PolicyTraining, Progress
from workbench.trainers.sft import Log, StepReporter, lent_to_trainer, row_order, train_quietly

_METRICS = {
    "loss": "loss/total",
    "rewards/margins": "preference/margin",
    "rewards/accuracies": "preference/accuracy",
    "grad_norm": "policy/gradient_norm",
    "learning_rate": "policy/learning_rate",
}


class Preference(NamedTuple):
    """A right and a wrong answer to one problem."""

    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    ref_chosen_logps: float
    """Of the whole right answer under the policy that wrote it, nats."""
    ref_rejected_logps: float


def preferences(sources: Sources, ids: SolutionIds) -> list[Preference]:
    """Every different wrong answer beside a right one to the same problem, and every right one at least once where there is a wrong one.

    Raises:
        DataError: No problem has both.
    """
    by_problem: dict[str, tuple[dict[tuple[int, ...], float], dict[tuple[int, ...], float]]] = {}
    for response, score in zip(sources.responses, sources.scores, strict=True):
        if response.token_ids:
            own = by_problem.setdefault(response.problem_id, ({}, {}))[0 if response.is_right else 1]
            own[response.token_ids] = sum(score.policy_log_probs)
    found = []
    for name, (right, wrong) in by_problem.items():
        if right and wrong:
            chosen, rejected = list(right.items()), list(wrong.items())
            for place in range(max(len(chosen), len(rejected))):
                good, bad = chosen[place % len(chosen)], rejected[place % len(rejected)]
                found.append(Preference(ids.policy(sources.problems[name]), good[0], bad[0], good[1], bad[1]))
    if not found:
        raise DataError("method dpo has nothing to learn from: no problem has both a right and a wrong solution; sample more")
    return found


def train_preferences(
    player: LanguageModel,
    pairs: Sequence[Preference],
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    settings: PolicySettings,
    *,
    start: int,
    stop: int,
    seed: int,
    on_log: Log,
    on_step: Callable[[int], bool],
) -> int:
    """Take updates ``start`` to ``stop``; gives the number done by then, ``stop`` unless ``on_step`` asked to end."""
    per_step = pairs_per_update(settings, pairs)
    order = row_order(len(pairs), start * per_step, stop * per_step, seed=seed)
    columns = {name: [_plain(getattr(pairs[place], name)) for place in order] for name in Preference._fields}
    reporter = StepReporter(_METRICS, start, seed, 1, [], on_log, on_step)
    with lent_to_trainer(player) as scratch:
        trainer = _Trainer(
            model=player.model,
            args=_arguments(settings, scratch, stop - start, per_step, player, seed),
            train_dataset=Dataset.from_dict(columns),
            processing_class=player.tokenizer,
            optimizers=(optimizer, scheduler),
            callbacks=[reporter],
        )
        train_quietly(trainer)
    return reporter.done


@dataclass
class PreferenceTraining(PolicyTraining):
    """The policy's training of one round by preferences; everything around the updates is that of the other methods.

    Attributes:
        pairs: What it learns from.
    """

    pairs: Sequence[Preference]

    def run(self, progress: Progress) -> None:
        """Go on to the last update of the round.

        Raises:
            RunStopped: A stop was asked for; a checkpoint has been saved.
        """
        settings = self.config.policy
        if self.update == 0 and settings.eval_steps:
            self.judge(self.update)
        while self.update < self.last:
            self._segment(min(_next(self.update, settings.save_steps), _next(self.update, settings.eval_steps), self.last), progress)
            if settings.eval_steps and self.update % settings.eval_steps == 0:
                self.judge(self.update)
            stopping = self.writer.stop_requested()
            if self.update % settings.save_steps == 0 or self.update == self.last or stopping:
                self.save()
            if stopping and self.update < self.last:
                raise RunStopped(PHASE, self.update)

    def _segment(self, stop: int, progress: Progress) -> None:
        settings, seed = self.config.policy, derived_seed(self.seed, "pairs", self.round_number)
        per_step = pairs_per_update(settings, self.pairs)

        def on_log(step: int, metrics: dict[str, float]) -> None:
            places = row_order(len(self.pairs), (step - 1) * per_step, step * per_step, seed=seed)
            tokens = sum(len(self.pairs[place].chosen_ids) + len(self.pairs[place].rejected_ids) for place in places)
            self.tokens += tokens
            metrics = {**metrics, "policy/tokens": float(tokens), "policy/tokens_in_all": self.tokens}
            self.writer.metrics(PHASE, step, metrics)
            progress(step, metrics)

        def on_step(step: int) -> bool:
            self.writer.beat(PHASE, step, self.config.rounds * settings.max_steps)
            return self.writer.stop_requested()

        self.update = train_preferences(
            self.player,
            self.pairs,
            self.optimizer,
            self.scheduler,
            settings,
            start=self.update,
            stop=stop,
            seed=seed,
            on_log=on_log,
            on_step=on_step,
        )


def pairs_per_update(settings: PolicySettings, pairs: Sequence[Preference]) -> int:
    """As many as hold the tokens that other methods take; or half as many as these take solutions, since a pair is two."""
    if not settings.tokens_per_update:
        return max(1, settings.solutions_per_update // 2)
    tokens = sum(len(pair.chosen_ids) + len(pair.rejected_ids) for pair in pairs)
    return max(1, round(settings.tokens_per_update * len(pairs) / tokens))


def _next(update: int, every: int) -> int:
    """The next multiple of ``every`` after ``update``; never where it is 0."""
    return (update // every + 1) * every if every else 2**31


class _Trainer(DPOTrainer):
    """TRL's trainer on token ids as they were sampled, with the log-probabilities of the policy that sampled them."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: DPOConfig, dataset_name: str) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        return dataset


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _arguments(settings: PolicySettings, scratch: str, steps: int, per_step: int, player: LanguageModel, seed: int) -> DPOConfig:
    on_cuda = player.device.type == "cuda"
    # On by default in TRL, and renamed in newer transformers.
    checkpointing = "activation_checkpointing" if "activation_checkpointing" in DPOConfig.__dataclass_fields__ else "gradient_checkpointing"
    renamed: dict[str, Any] = {checkpointing: False}
    return DPOConfig(
        output_dir=scratch,
        max_steps=steps,
        per_device_train_batch_size=per_step,
        learning_rate=settings.learning_rate,
        max_grad_norm=settings.max_grad_norm,
        beta=settings.dpo_beta,
        precompute_ref_log_probs=True,
        logging_steps=1,
        seed=derived_seed(seed, "trainer"),
        train_sampling_strategy="sequential",
        max_length=None,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not on_cuda,
        bf16=on_cuda and next(player.model.parameters()).dtype == torch.bfloat16,
        dataloader_pin_memory=on_cuda,
        **renamed,
    )
