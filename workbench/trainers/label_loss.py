"""What a warm-up minimises: the log-likelihood of labels or of texts, with logits only where one is asked for."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from workbench.data.sets import IGNORED
from workbench.models.language_model import LanguageModel, left_padded


class LabelLoss(NamedTuple):
    """Of a batch of B rows."""

    answers_B: Tensor
    """Negative log-likelihood of each row's label, nats, with gradient."""
    lines: Tensor
    """Mean negative log-likelihood of the answers at the ends of lines, nats, with gradient; 0 where none is asked for."""
    accuracy: float
    """Share of rows whose label is the most probable token."""


def is_for_labels(ids_BT: Tensor, targets_BT: Tensor) -> bool:
    """Whether rows end in one label each: it alone carries loss, or what carries loss besides is not the row's own text.

    A row that is to be written carries loss on several tokens, all of them its own.
    """
    taught_BT = targets_BT != IGNORED
    foreign = bool((taught_BT & (targets_BT != ids_BT)).any())
    return foreign or int(taught_BT.sum(1).max()) == 1


def label_loss(player: LanguageModel, rows: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> LabelLoss:
    """Score every row's last token after what comes before it, and what is asked at the ends of lines.

    Args:
        player: The policy's language model, in the mode it is wanted in.
        rows: Token ids, the label last.
        targets: Per token what should come there, or ``IGNORED``; ``transformers``' order (the target of a position stands one further).
    """
    batch = left_padded([row[:-1] for row in rows], player.pad_id, player.device)
    first = [next(place for place, target in enumerate(row) if target != IGNORED) for row in targets]
    kept = max(len(row) - place for row, place in zip(rows, first, strict=True))
    logits_BKV = player.forward(batch, positions_kept=kept).logits.float()
    answers_B = torch.tensor([row[-1] for row in rows], device=logits_BKV.device)
    last_BV = logits_BKV[:, -1]
    lines = last_BV.new_zeros(())
    if kept > 1:
        asked = [[IGNORED] * (kept - len(row)) + list(row[-kept:-1]) for row in targets]
        asked_BK = torch.tensor(asked, device=logits_BKV.device)
        lines = cross_entropy(logits_BKV[:, :-1].flatten(0, 1), asked_BK.flatten(), ignore_index=IGNORED)
    accuracy = float((last_BV.argmax(-1) == answers_B).float().mean())
    return LabelLoss(cross_entropy(last_BV, answers_B, reduction="none"), lines, accuracy)


class TextLoss(NamedTuple):
    """Of a batch of rows that end in a text."""

    total: Tensor
    """Sum of the negative log-likelihoods of the tokens that carry loss, nats, with gradient."""
    accuracy: float
    """Share of these tokens that are the most probable ones."""


def text_loss(player: LanguageModel, rows: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> TextLoss:
    """Score the end of every row, from its first token that carries loss on.

    A reflection is a dozen tokens behind a prompt of a hundred or more, whose logits over the whole vocabulary nobody needs.

    Args:
        player: The language model, in the mode it is wanted in.
        rows: Token ids.
        targets: The same, or ``IGNORED`` where a token carries no loss; each row has one that does, and not its first.
    """
    batch = left_padded([row[:-1] for row in rows], player.pad_id, player.device)
    first = [next(place for place, target in enumerate(row) if target != IGNORED) for row in targets]
    kept = max(len(row) - place for row, place in zip(rows, first, strict=True))
    logits_BKV = player.forward(batch, positions_kept=kept).logits.float()
    # The last position of a row's input foretells its last token; a row shorter than that is padded at its beginning.
    asked = [[IGNORED] * (kept + 1 - len(row)) + list(row[max(1, len(row) - kept) :]) for row in targets]
    asked_N = torch.tensor(asked, device=logits_BKV.device).flatten()
    logits_NV = logits_BKV.flatten(0, 1)
    taught_N = asked_N != IGNORED
    right = (logits_NV.detach().argmax(-1) == asked_N)[taught_N]
    return TextLoss(cross_entropy(logits_NV, asked_N, ignore_index=IGNORED, reduction="sum"), float(right.float().mean()))
