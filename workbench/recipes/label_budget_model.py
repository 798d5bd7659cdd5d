"""What both studies of annotation budgets do with a small model: copy it, fine-tune it, ask how probable answers are.

A study fine-tunes hundreds of times for a second or two. TRL's trainer takes half a second to begin, so the loop here is a plain one; rows,
loss, order and schedule are those of ``trainers.sft``.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from workbench.config import SFTSettings
from workbench.data.sets import IGNORED, Row
from workbench.errors import DataError
from workbench.models.language_model import LanguageModel, left_padded
from workbench.models.policy import length_batches
from workbench.models.scoring import token_log_probs
from workbench.trainers.sft import prepare, row_order

BATCH_TOKENS = 8192


def steps(count: int, batch: int, learning_rate: float) -> SFTSettings:
    """Training of ``count`` steps with a linear end."""
    return SFTSettings(
        max_steps=count,
        learning_rate=learning_rate,
        per_device_train_batch_size=batch,
        warmup_steps=min(10, count),
        lr_scheduler_type="linear",
    )


def fine_tuned(base: LanguageModel, rows: Sequence[Row], settings: SFTSettings, *, seed: int) -> LanguageModel:
    """A copy of ``base`` after ``settings.max_steps`` optimizer steps over ``rows``; ``base`` stays as it is.

    Args:
        base: A whole model without an adapter and without dropout.
        rows: Training rows, drawn in passes that are each shuffled anew.
        settings: Of the training; a batch is one forward pass.
        seed: Of the order.

    Raises:
        DataError: There are no rows.
    """
    if not rows:
        raise DataError("there is nothing to fine-tune on; raise the budget")
    player = LanguageModel(copy.deepcopy(base.model), base.tokenizer, adapter=None, name=base.name)
    training, batch = prepare(player, settings), settings.per_device_train_batch_size
    order = row_order(len(rows), 0, settings.max_steps * batch, seed=seed)
    parameters = [value for _, value in player.trainable_parameters()]
    for start in range(0, len(order), batch):
        logits_BWV, labels_BW = _answers(player, [rows[place] for place in order[start : start + batch]])
        loss = cross_entropy(logits_BWV.flatten(0, 1).float(), labels_BW.flatten(), ignore_index=IGNORED)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        training.optimizer.step()
        training.scheduler.step()
        training.optimizer.zero_grad()
    return player


@torch.inference_mode()
def answer_log_likelihood(player: LanguageModel, rows: Sequence[Row]) -> float:
    """Mean over rows of the log-probability of a row's answer per token of it (its end-of-text included), nats.

    Args:
        player: The model.
        rows: Prompts with answers; the answer is what ``labels`` repeats.
    """
    player.activate()
    total = 0.0
    for batch in length_batches([len(row.input_ids) for row in rows], BATCH_TOKENS):
        logits_BWV, labels_BW = _answers(player, [rows[place] for place in batch])
        log_probs_BWV = token_log_probs(logits_BWV.flatten(0, 1)).view(logits_BWV.shape)
        taken_BW = log_probs_BWV.gather(2, labels_BW.clamp_min(0)[:, :, None])[:, :, 0]
        counted_BW = labels_BW != IGNORED
        total += float(((taken_BW * counted_BW).sum(1) / counted_BW.sum(1)).sum())
    return total / len(rows)


def _answers(player: LanguageModel, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Logits and labels of the last W positions, (B, W, V) and (B, W): as far back as any row is taught."""
    batch = left_padded([row.input_ids[:-1] for row in rows], player.pad_id, player.device)
    width = max(len(row.labels) - _first(row.labels) for row in rows)
    labels = [[IGNORED] * (width - len(row.labels)) + row.labels[-width:] for row in rows]
    return player.forward(batch, positions_kept=width).logits, torch.tensor(labels, device=player.device)


def _first(labels: Sequence[int]) -> int:
    return next(place for place, label in enumerate(labels) if label != IGNORED)
