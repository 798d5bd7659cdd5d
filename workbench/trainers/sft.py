"""Supervised warm-up of one player, by TRL's ``SFTTrainer``.

The warm-up runs in segments that end where a checkpoint is due. Rows, their order and the dice of every optimizer
step follow from the seed and the step's number alone, so a warm-up that was killed goes on exactly as it would
have: weights, optimizer, scheduler and what is yet to be logged come from the checkpoint, and nothing else is needed.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, get_scheduler
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from workbench.config import SFTSettings
from workbench.data.sets import IGNORED, Row
from workbench.errors import DataError
from workbench.models.language_model import LanguageModel
from workbench.seeding import derived_seed, generator
from workbench.trainers.label_loss import is_for_labels, label_loss, text_loss
from workbench.trainers.optimizers import adamw


class WarmUp(NamedTuple):
    """One player's warm-up in progress: what a checkpoint holds besides the weights."""

    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    unlogged: list[dict[str, float]]
    """Metrics of the steps since the last log line: a line covers the same steps wherever segments end."""


_METRICS = {
    "loss": "loss/sft",
    "mean_token_accuracy": "sft/token_accuracy",
    "grad_norm": "sft/gradient_norm",
    "learning_rate": "sft/learning_rate",
}
Log = Callable[[int, dict[str, float]], None]


def prepare(player: LanguageModel, settings: SFTSettings) -> WarmUp:
    """A fresh optimizer and scheduler over the player's own parameters."""
    parameters = [value for _, value in player.trainable_parameters()]
    optimizer = adamw(parameters, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)
    scheduler = get_scheduler(
        settings.lr_scheduler_type if settings.lr_scheduler_type != "constant" else "constant_with_warmup",
        optimizer,
        num_warmup_steps=settings.warmup_steps,
        num_training_steps=max(1, settings.max_steps),
    )
    return WarmUp(optimizer, scheduler, [])


def scheduler_state(scheduler: torch.optim.lr_scheduler.LRScheduler) -> dict[str, Any]:
    """The scheduler's numbers as JSON values."""
    return {key: value for key, value in scheduler.state_dict().items() if isinstance(value, (int, float, bool, list))}


def row_order(count: int, start: int, stop: int, *, seed: int) -> list[int]:
    """Which rows the samples ``start`` to ``stop`` of an endless, reshuffled pass over ``count`` rows are."""
    epochs: dict[int, Any] = {}
    order: list[int] = []
    for sample in range(start, stop):
        epoch = sample // count
        if epoch not in epochs:
            epochs = {epoch: generator(seed, "epoch", epoch).permutation(count)}
        order.append(int(epochs[epoch][sample % count]))
    return order


def train_segment(
    player: LanguageModel,
    rows: Sequence[Row],
    warm_up: WarmUp,
    settings: SFTSettings,
    *,
    start: int,
    stop: int,
    seed: int,
    on_log: Log,
    on_step: Callable[[int], bool],
) -> int:
    """Take optimizer steps ``start`` to ``stop``.

    Args:
        player: Trained in place.
        rows: All training rows.
        warm_up: Optimizer and scheduler, advanced in place.
        settings: Of the warm-up.
        start: First step, counted from 0.
        stop: Step to end before.
        seed: Of order and dropout.
        on_log: Called with the step and metrics every ``logging_steps``.
        on_step: Called after each step with the number done; True ends the segment there.

    Returns:
        The number of steps done by then; ``stop`` unless ``on_step`` asked to end.

    Raises:
        DataError: There are no rows.
    """
    if not rows:
        raise DataError("the warm-up has no training rows; raise data.trajectories")
    per_step = settings.per_device_train_batch_size * settings.gradient_accumulation_steps
    order = row_order(len(rows), start * per_step, stop * per_step, seed=seed)
    dataset = Dataset.from_dict(
        {"input_ids": [rows[place].input_ids for place in order], "labels": [rows[place].labels for place in order]}
    )
    reporter = StepReporter(_METRICS, start, seed, settings.logging_steps, warm_up.unlogged, on_log, on_step)
    with lent_to_trainer(player) as scratch:
        trainer = _Trainer(
            player,
            model=player.model,
            args=_arguments(settings, scratch, stop - start, player, seed),
            train_dataset=dataset,
            processing_class=player.tokenizer,
            optimizers=(warm_up.optimizer, warm_up.scheduler),
            callbacks=[reporter],
        )
        train_quietly(trainer)
    if settings.gradient_checkpointing:
        player.model.gradient_checkpointing_disable()
    return reporter.done


@contextmanager
def lent_to_trainer(player: LanguageModel) -> Iterator[str]:
    """A player in training mode for a trainer of TRL, and a folder that is gone afterwards; the player then is as it was."""
    player.activate(training=True)
    base = player.model.get_base_model() if isinstance(player.model, PeftModel) else player.model
    original_forward = base.__dict__.get("forward")
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            yield scratch
        finally:
            # The trainer replaces the model's forward by one of its own; ours must be the model's again.
            base.__dict__.pop("forward", None)
            if original_forward is not None:
                base.forward = original_forward
    player.activate(training=False)


def train_quietly(trainer: Trainer) -> None:
    """Train without what the library prints by itself."""
    for printer in list(trainer.callback_handler.callbacks):
        if type(printer).__name__ in ("PrinterCallback", "ProgressCallback"):
            trainer.remove_callback(printer)
    trainer.train()


class _Trainer(SFTTrainer):
    """TRL's trainer, with logits only where they are needed."""

    def __init__(self, player: LanguageModel, **arguments: Any) -> None:
        self.player = player
        super().__init__(**arguments)

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """Mean negative log-likelihood of the answer tokens, nats, and that of what lines are asked where they are."""
        if return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]
        ids_BT, targets_BT, mask_BT = inputs["input_ids"], inputs["labels"], inputs["attention_mask"].bool()
        rows, targets = ([one[mask].tolist() for one, mask in zip(part, mask_BT, strict=True)] for part in (ids_BT, targets_BT))
        taught = int((targets_BT != IGNORED).sum())
        # Of the whole optimizer step, of which this pass may be a part.
        in_all = taught if num_items_in_batch is None else int(num_items_in_batch)
        if is_for_labels(ids_BT, targets_BT):
            labels = label_loss(self.player, rows, targets)
            self._metrics["train"]["mean_token_accuracy"].append(labels.accuracy)
            return (labels.answers_B.sum() / len(rows) + labels.lines) * (taught / in_all)
        text = text_loss(self.player, rows, targets)
        self._metrics["train"]["mean_token_accuracy"].append(text.accuracy)
        return text.total / in_all


def _arguments(settings: SFTSettings, scratch: str, steps: int, player: LanguageModel, seed: int) -> SFTConfig:
    on_cuda = player.device.type == "cuda"
    # On by default in TRL, and renamed in newer transformers.
    checkpointing = "activation_checkpointing" if "activation_checkpointing" in SFTConfig.__dataclass_fields__ else "gradient_checkpointing"
    renamed: dict[str, Any] = {checkpointing: settings.gradient_checkpointing}
    arguments = SFTConfig(
        output_dir=scratch,
        max_steps=steps,
        per_device_train_batch_size=settings.per_device_train_batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        learning_rate=settings.learning_rate,
        max_grad_norm=settings.max_grad_norm,
        logging_steps=1,
        seed=derived_seed(seed, "trainer"),
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        max_length=None,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not on_cuda,
        bf16=on_cuda and next(player.model.parameters()).dtype == torch.bfloat16,
        dataloader_pin_memory=on_cuda,
        **renamed,
    )
    if on_cuda:
        arguments._n_gpu = 1  # one process has one GPU: the library would spread every batch over all that it sees
    return arguments


class StepReporter(TrainerCallback):
    """Seeds every step, passes metrics on, and stops when asked.

    Args:
        names: What the trainer's metrics are called here; others are left out.
        start: Steps taken before this segment.
        seed: Of every step's dice.
        logging_steps: Steps that a log line is the mean of.
        unlogged: Metrics of steps since the last line, kept in place.
        on_log: Called with the step and metrics.
        on_step: Called after each step with the number done; True ends the segment.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        start: int,
        seed: int,
        logging_steps: int,
        unlogged: list[dict[str, float]],
        on_log: Log,
        on_step: Callable[[int], bool],
    ) -> None:
        self.names = names
        self.start = start
        self.done = start
        self.seed = seed
        self.logging_steps = logging_steps
        self.unlogged = unlogged
        self.report = on_log
        self.after_step = on_step

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Deal the step's own dice."""
        torch.manual_seed(derived_seed(self.seed, "step", self.start + state.global_step))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count, and stop where asked."""
        self.done = self.start + state.global_step
        if self.after_step(self.done):
            control.should_training_stop = True

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Gather a step's metrics; report the mean of every ``logging_steps``."""
        if not logs or "loss" not in logs:  # the trainer's own summary at the end of a segment
            return
        self.unlogged.append({name: float(logs[key]) for key, name in self.names.items() if key in logs})
        if self.done % self.logging_steps == 0:
            means = {name: sum(step[name] for step in self.unlogged) / len(self.unlogged) for name in self.unlogged[-1]}
            rate = self.names["learning_rate"]
            self.report(self.done, {**means, rate: self.unlogged[-1][rate]})
            self.unlogged.clear()
