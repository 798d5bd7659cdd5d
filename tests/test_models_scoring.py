import math

import pytest
import torch

from workbench.models.scoring import IMPOSSIBLE, entropy, label_log_probs, token_log_probs


def test_label_log_probs_by_hand():
    logits = torch.tensor([[1.0, 9.0, 2.0, 9.0, 3.0]])
    found = label_log_probs(logits, torch.tensor([[4, 0, 2]]), torch.ones(1, 3, dtype=torch.bool))
    total = math.exp(3) + math.exp(1) + math.exp(2)  # the labels' logits only
    assert found[0].tolist() == pytest.approx([math.log(math.exp(value) / total) for value in (3, 1, 2)])


def test_labels_of_no_command_have_no_probability():
    logits = torch.tensor([[1.0, 2.0, 50.0], [0.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    found = label_log_probs(logits, torch.tensor([[0, 1, 2], [0, 1, 2]]), mask)
    assert found[0, 2] == IMPOSSIBLE
    assert found[0].exp().sum() == pytest.approx(1)
    assert found[0, 1] - found[0, 0] == pytest.approx(1)
    assert found[1].exp().tolist() == pytest.approx([1 / 3] * 3)


def test_temperature_divides_the_logits():
    logits = torch.tensor([[0.0, 4.0]])
    ids, mask = torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool)
    for temperature in (0.5, 1.0, 4.0):
        found = label_log_probs(logits, ids, mask, temperature=temperature)[0]
        assert found[1] - found[0] == pytest.approx(4 / temperature)


def test_half_precision_logits_are_normalised_in_float32():
    logits = torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.bfloat16)
    found = label_log_probs(logits, torch.tensor([[0, 1, 2]]), torch.ones(1, 3, dtype=torch.bool))
    assert found.dtype == torch.float32
    assert found.exp().sum() == pytest.approx(1, abs=1e-6)


def test_the_gradient_of_a_log_prob_is_one_minus_the_probabilities():
    logits = torch.tensor([[0.5, -1.0, 2.0, 7.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False]])
    found = label_log_probs(logits, torch.tensor([[2, 0, 3]]), mask)
    found[0, 0].backward()
    assert logits.grad is not None
    p = torch.softmax(torch.tensor([2.0, 0.5]), 0)
    assert logits.grad[0].tolist() == pytest.approx([-p[1].item(), 0, 1 - p[0].item(), 0], abs=1e-6)


def test_entropy_by_hand():
    rows = torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    log_probs = torch.where(rows > 0, rows.clamp_min(1e-30).log(), torch.tensor(IMPOSSIBLE))
    assert entropy(log_probs).tolist() == pytest.approx([1.5 * math.log(2), 0, math.log(3)], abs=1e-6)


def test_the_gradient_of_entropy_is_finite_beside_impossible_labels():
    logits = torch.tensor([[0.0, 1.0, 3.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False]])
    entropy(label_log_probs(logits, torch.tensor([[0, 1, 2]]), mask)).sum().backward()
    assert logits.grad is not None
    p = torch.softmax(torch.tensor([0.0, 1.0]), 0).tolist()
    h = -sum(value * math.log(value) for value in p)
    expected = [-value * (math.log(value) + h) for value in p] + [0.0]  # dH/dz_i = -p_i (log p_i + H)
    assert logits.grad[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_token_log_probs_by_hand():
    logits = torch.tensor([[0.0, math.log(3), 5.0]])
    found = token_log_probs(logits, forbidden_ids=torch.tensor([2]))
    assert found.exp()[0].tolist() == pytest.approx([0.25, 0.75, 0])
    assert found[0, 2] == -math.inf
    halved = token_log_probs(logits, temperature=2.0, forbidden_ids=torch.tensor([], dtype=torch.long))
    assert halved.exp().sum() == pytest.approx(1)
    assert halved[0, 2] - halved[0, 0] == pytest.approx(2.5)
    assert logits[0, 2] == 5  # the caller's logits are left alone
