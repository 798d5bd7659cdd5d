"""The loss of rows that end in a text is that of the whole sequence, with logits at its end only."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.small_models import PLAYERS, player_named
from workbench.data.sets import IGNORED
from workbench.trainers.label_loss import text_loss

ROWS = [[5, 6, 7, 8, 9, 10], [11, 12], [5, 9, 8, 7, 6, 5, 4, 3], [7, 8, 9]]
TAUGHT_FROM = [4, 1, 5, 1]


@pytest.mark.parametrize("name", PLAYERS)
def test_it_is_that_of_every_row_alone(name):
    player = player_named(name)
    targets = [[IGNORED] * start + row[start:] for row, start in zip(ROWS, TAUGHT_FROM, strict=True)]
    found = text_loss(player, ROWS, targets)
    total, right = torch.zeros(()), []
    for row, start in zip(ROWS, TAUGHT_FROM, strict=True):
        logits_TV = player.model(input_ids=torch.tensor([row])).logits[0].float()
        answers = torch.tensor(row[start:])
        total = total + cross_entropy(logits_TV[start - 1 : -1], answers, reduction="sum")
        right += (logits_TV[start - 1 : -1].argmax(-1) == answers).tolist()
    assert found.total.item() == pytest.approx(total.item(), rel=1e-4)
    assert found.accuracy == pytest.approx(sum(right) / len(right))
    found.total.backward()
    own = {key: weight.grad.clone() for key, weight in player.model.named_parameters() if weight.grad is not None}
    player.model.zero_grad()
    total.backward()
    for key, weight in player.model.named_parameters():
        if weight.grad is not None:
            assert torch.allclose(own[key], weight.grad, atol=1e-4), key
    player.model.zero_grad()


def test_a_gap_within_the_answer_is_left_out():
    player = player_named(PLAYERS[0])
    whole = text_loss(player, [ROWS[2]], [[IGNORED] * 5 + ROWS[2][5:]]).total.item()
    parts = [[IGNORED] * 5 + [ROWS[2][5], IGNORED, ROWS[2][7]], [IGNORED] * 6 + [ROWS[2][6], IGNORED]]
    assert sum(text_loss(player, [ROWS[2]], [part]).total.item() for part in parts) == pytest.approx(whole, rel=1e-4)
