"""The reward law, the edit weights and the objective of RLMEC, worked by hand (T1 to T4 and T8 of the specification)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_models import PLAYERS, player_named, small_player
from workbench.errors import ConfigError, DataError
from workbench.models.common_heads import CommonHeads
from workbench.models.language_model import LanguageModel
from workbench.models.responses import kin_batches, length_batches, response_log_probs, score_responses
from workbench.trainers.rlmec import (
    edit_distance,
    edit_weights,
    first_step_blamed,
    imitation_loss,
    importance_ratio,
    oracle_rewards,
    process_rewards,
    rl_loss,
    rl_terms,
    rlmec_loss,
    sequence_advantages,
    token_rewards,
    uniform_rewards,
)
from workbench.trainers.rlmec.edits import _distances, changed_places

SENTENCES = st.lists(st.integers(0, 4), max_size=12)


# T1: the reward law -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "right", "wrong"),
    [
        (0.0, 0.0, -0.1),
        (0.3, 0.0, -0.1),
        (0.4, 0.0, -0.1),
        (0.45, 0.0, -0.05),
        (0.5, 0.0, 0.0),
        (0.6, 0.1, 0.0),
        (0.75, 0.25, 0.0),
        (1.0, 0.5, 0.0),
    ],
)
def test_the_reward_of_a_token(probability, right, wrong):
    assert token_rewards([probability], True).tolist() == pytest.approx([right], abs=1e-7)
    assert token_rewards([probability], False).tolist() == pytest.approx([wrong], abs=1e-7)


def test_every_token_has_its_reward_the_end_of_text_as_well():
    probabilities = [0.9, 0.2, 0.8, 0.1]  # the last one is the end-of-text's
    assert token_rewards(probabilities, False).tolist() == pytest.approx([0.0, -0.1, 0.0, -0.1])
    assert token_rewards(torch.tensor(probabilities, dtype=torch.float64), True).dtype == torch.float32


def test_rewards_of_many_responses_at_once():
    rewards = token_rewards(torch.tensor([[0.9, 0.0], [0.9, 0.0]]), torch.tensor([True, False]))
    assert rewards.tolist() == pytest.approx(np.array([[0.4, 0.0], [0.0, -0.1]]))
    assert token_rewards([0.9, 0.0], [True, False]).tolist() == pytest.approx([0.4, -0.1])


def test_thresholds_are_settings():
    assert token_rewards([0.7], True, threshold=0.6, ceiling=0.05).tolist() == pytest.approx([0.05])
    assert token_rewards([0.2], False, threshold=0.6, floor=-0.3).tolist() == pytest.approx([-0.3])


@pytest.mark.parametrize("value", [float("nan"), -0.01, 1.2, -2.3])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(DataError, match="between 0 and 1, found"):
        token_rewards([0.5, value], True)


def test_a_floor_above_nought_is_refused():
    with pytest.raises(ConfigError, match=r"floor <= 0 <= ceiling, found floor=0\.1"):
        token_rewards([0.5], True, floor=0.1)


def test_rewards_carry_no_gradient():
    assert not token_rewards(torch.tensor([0.9], requires_grad=True), True).requires_grad


# T8: a wrong response is never praised ---------------------------------------------------------------


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1), st.floats(-1, 0), st.floats(0, 1))
def test_a_wrong_response_earns_nothing_whatever_the_model_thinks(probabilities, threshold, floor, ceiling):
    rewards = token_rewards(probabilities, False, threshold=threshold, floor=floor, ceiling=ceiling)
    assert (rewards <= 0).all() and (rewards >= np.float32(floor)).all()
    praised = token_rewards(probabilities, True, threshold=threshold, floor=floor, ceiling=ceiling)
    assert (praised >= 0).all() and (praised <= np.float32(ceiling)).all()


# Controls -----------------------------------------------------------------------------------------------


def test_controls_by_hand():
    assert uniform_rewards(True, 2).tolist() == [0.5, 0.5]
    assert uniform_rewards(False, 2).tolist() == pytest.approx([-0.1, -0.1])
    assert oracle_rewards([False, True, False], False).tolist() == pytest.approx([0.0, -0.1, 0.0])
    assert oracle_rewards([False, True], True).tolist() == [0.5, 0.5]
    assert process_rewards([0, 0, 1, 2], 1, False).tolist() == pytest.approx([0.5, 0.5, -0.1, -0.1])
    assert process_rewards([0, 1], None, False).tolist() == pytest.approx([-0.1, -0.1])
    assert process_rewards([0, 1], None, True).tolist() == [0.5, 0.5]


def test_what_follows_from_the_first_wrong_step_can_be_left_unblamed():
    blamed = first_step_blamed(torch.tensor([0.0, 0.0, -0.1, -0.05, -0.1]), [0, 1, 1, 1, 2])
    assert blamed.tolist() == pytest.approx([0.0, 0.0, -0.1, -0.05, 0.0])
    assert first_step_blamed(torch.tensor([0.5, 0.0, 0.5]), [0, 1, 2]).tolist() == [0.5, 0.0, 0.5], "a right solution has no blame"


def test_sequence_advantages_compare_within_groups():
    # Mean 1/3, standard deviation sqrt(2)/3: (1 - 1/3) / (sqrt(2)/3) = sqrt(2).
    found = sequence_advantages(torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]), [7, 7, 7, 8, 8])
    assert found.tolist() == pytest.approx([2**0.5, -(2**-0.5), -(2**-0.5), 0.0, 0.0])
    whole = sequence_advantages(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert whole.mean().item() == pytest.approx(0, abs=1e-6) and whole.std(correction=0).item() == pytest.approx(1)
    assert sequence_advantages(torch.ones(3)).tolist() == [0.0, 0.0, 0.0]


# T2: the gradient law -----------------------------------------------------------------------------------


def gradient(log_prob, old, reward, clip):
    value = torch.tensor([log_prob], requires_grad=True)
    rl_loss(value, torch.tensor([old]), torch.tensor([reward]), clip=clip).backward()
    assert value.grad is not None
    return value.grad.item()


RATIOS = {0.5: np.log(0.5), 0.9: np.log(0.9), 1.0: 0.0, 1.2: np.log(1.2), 2.0: np.log(2.0)}


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("reward", [0.5, -0.1])
def test_the_gradient_is_minus_the_clipped_weight(ratio, reward):
    weight = min(ratio * reward, min(max(ratio, 0.7), 1.3) * reward)
    assert gradient(-1.0 + RATIOS[ratio], -1.0, reward, "weight") == pytest.approx(-weight, rel=1e-5)
    # PPO has the same gradient where the minimum is the unclipped term, and none where it is the clipped one.
    is_clipped = ratio > 1.3 if reward > 0 else ratio < 0.7
    assert gradient(-1.0 + RATIOS[ratio], -1.0, reward, "ppo") == pytest.approx(0.0 if is_clipped else -ratio * reward, rel=1e-5)


def test_both_clips_agree_inside_the_range_and_differ_outside():
    for reward in (0.5, -0.1):
        assert gradient(-0.9, -1.0, reward, "weight") == pytest.approx(gradient(-0.9, -1.0, reward, "ppo"))
    assert gradient(0.0, -1.0, 0.5, "weight") == pytest.approx(-0.65) and gradient(0.0, -1.0, 0.5, "ppo") == 0.0
    assert gradient(-2.0, -1.0, -0.1, "weight") == pytest.approx(0.07) and gradient(-2.0, -1.0, -0.1, "ppo") == 0.0


def test_the_mean_is_over_rewarded_tokens():
    log_probs, old = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-1.0, -2.0, -3.0])
    # Ratios are 1: 0.5 * 1 and -0.1 * 3, over two rewarded tokens.
    assert rl_loss(log_probs, old, torch.tensor([0.5, 0.0, -0.1])).item() == pytest.approx((0.5 - 0.3) / 2)
    assert rl_loss(log_probs, old, torch.tensor([0.5, 0.0, -0.1]), total=4).item() == pytest.approx((0.5 - 0.3) / 4)


@pytest.mark.parametrize("clip", ["weight", "ppo"])
def test_a_batch_without_rewards_is_nought_and_has_no_gradient(clip):
    log_probs = torch.tensor([-1.0, -90.0], requires_grad=True)
    loss = rl_loss(log_probs, torch.tensor([-1.0, -1e9]), torch.zeros(2), clip=clip)
    loss.backward()
    assert log_probs.grad is not None
    assert loss.item() == 0.0 and log_probs.grad.tolist() == [0.0, 0.0]
    assert imitation_loss(torch.tensor([-1.0]), torch.zeros(1)).item() == 0.0


@pytest.mark.parametrize("clip", ["weight", "ppo"])
def test_an_absurd_ratio_stays_finite(clip):
    log_probs = torch.tensor([-1.0, -200.0], requires_grad=True)
    loss = rl_loss(log_probs, torch.tensor([-300.0, -1.0]), torch.tensor([-0.1, 0.5]), clip=clip)
    loss.backward()
    assert log_probs.grad is not None
    assert torch.isfinite(loss) and torch.isfinite(log_probs.grad).all()


def test_ratios_are_computed_in_float32():
    log_probs = torch.tensor([-1.001], dtype=torch.bfloat16)
    assert importance_ratio(log_probs, torch.tensor([-1.0])).dtype == torch.float32
    assert rl_terms(log_probs, torch.tensor([-1.0]), torch.tensor([0.5])).dtype == torch.float32


def test_the_whole_objective_by_hand():
    rl = rl_loss(torch.tensor([-1.0, -1.0]), torch.tensor([-1.0, -1.0]), torch.tensor([0.5, -0.1]))
    imitation = imitation_loss(torch.tensor([-2.0, -4.0]), torch.tensor([1.0, 0.5]))
    assert rl.item() == pytest.approx((0.5 - 0.1) / 2) and imitation.item() == pytest.approx((2 + 2) / 2)
    assert rlmec_loss(rl, imitation).item() == pytest.approx(2.2)
    assert rlmec_loss(rl, imitation, rl_coef=0, imitation_coef=0.5).item() == pytest.approx(1.0)


# T3: edit weights ---------------------------------------------------------------------------------------


def ids(text):
    return [ord(letter) for letter in text]


@pytest.mark.parametrize(
    ("original", "rewrite", "corrected", "official"),
    [
        ("abc", "abc", [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
        ("abc", "axc", [0.5, 1.0, 0.5], [0.5, 1.0, 0.5]),
        ("ac", "abc", [0.5, 1.0, 0.5], [0.5, 1.0, 0.5]),
        ("ab", "abc", [0.5, 0.5, 1.0], [0.5, 0.5, 1.0]),
        ("bc", "abc", [1.0, 0.5, 0.5], [0.5, 0.5, 0.5]),  # an insertion at the very start
        ("abc", "ac", [0.5, 0.5], [1.0, 0.5]),  # a deletion marks the kept token before it
        ("abc", "bc", [0.5, 0.5], [0.5, 0.5]),  # at the very start it marks nothing
        ("", "ab", [1.0, 1.0], [0.5, 0.5]),
        ("ab", "", [], []),
    ],
)
def test_edit_weights_by_hand(original, rewrite, corrected, official):
    assert edit_weights(ids(original), ids(rewrite)).tolist() == corrected
    assert edit_weights(ids(original), ids(rewrite), variant="official").tolist() == official


def test_edit_weights_take_other_values():
    assert edit_weights(ids("abc"), ids("axc"), edited=2.0, kept=0.25).tolist() == [0.25, 2.0, 0.25]
    assert edit_weights(torch.tensor([1, 2]), np.array([1, 3])).tolist() == [0.5, 1.0]
    with pytest.raises(ConfigError, match="unknown variant 'offical' of edit weights; did you mean 'official'"):
        edit_weights([1], [1], variant="offical")  # type: ignore[arg-type]


def slow_distance(one, other):
    """Levenshtein's distance as its definition has it."""
    row = list(range(len(other) + 1))
    for place, token in enumerate(one, start=1):
        corner, row[0] = row[0], place
        for column, own in enumerate(other, start=1):
            corner, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, corner + (token != own))
    return row[-1]


@settings(deadline=None)  # a busy machine is no fault
@given(SENTENCES, SENTENCES)
def test_distances_are_levenshteins(one, other):
    assert edit_distance(one, other) == slow_distance(one, other) == _distances(one, other)[-1, -1]


@settings(deadline=None)  # a busy machine is no fault
@given(SENTENCES, SENTENCES)
def test_marked_tokens_are_the_edits_of_a_shortest_way(one, other):
    weights = edit_weights(one, other)
    kept = [token for token, weight in zip(other, weights.tolist(), strict=True) if weight == 0.5]
    deleted = len(one) - len(kept)
    inserted = int((weights == 1.0).sum())
    # What is kept is a common part, in order; the rest is no longer than the shortest way.
    rest = iter(one)
    assert all(token in rest for token in kept)
    assert max(deleted, inserted) <= edit_distance(one, other) <= deleted + inserted
    assert len(changed_places(one, other)) <= edit_distance(one, other)


@settings(deadline=None)  # a busy machine is no fault
@given(SENTENCES)
def test_nothing_is_marked_where_nothing_changed(sentence):
    for variant in ("corrected", "official"):
        assert (edit_weights(sentence, sentence, variant=variant) == 0.5).all()


# T4: neither padding nor neighbours have a part ----------------------------------------------------------

PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [12], [13, 14, 15]]
RESPONSES = [[20, 21], [22, 23, 24, 25, 26, 27], [28]]


@pytest.mark.parametrize("name", PLAYERS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_log_probs_of_a_ragged_batch_are_those_of_single_rows(name, side):
    player = player_named(name)
    player.activate()
    with torch.no_grad():
        alone = torch.cat([response_log_probs(player, [prompt], [response]) for prompt, response in zip(PROMPTS, RESPONSES, strict=True)])
        together = response_log_probs(player, PROMPTS, RESPONSES, padding_side=side)
        whole = [
            torch.log_softmax(player.model(input_ids=torch.tensor([prompt + response])).logits[0].float(), -1)[
                torch.arange(len(prompt) - 1, len(prompt) + len(response) - 1), torch.tensor(response)
            ]
            for prompt, response in zip(PROMPTS, RESPONSES, strict=True)
        ]
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(together, torch.cat(whole), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_loss_of_a_ragged_batch_is_the_token_weighted_sum_of_its_rows(side):
    player = small_player("llama")
    player.activate(training=True)
    dice = torch.Generator().manual_seed(0)
    rewards = [torch.randn(len(response), generator=dice) for response in RESPONSES]
    old = [torch.randn(len(response), generator=dice) - 3 for response in RESPONSES]
    weights = [torch.rand(len(response), generator=dice) for response in RESPONSES]
    total = sum(map(len, RESPONSES))

    def loss(rows, padding_side):
        log_probs = response_log_probs(player, [PROMPTS[row] for row in rows], [RESPONSES[row] for row in rows], padding_side=padding_side)
        parts = [torch.cat([part[row] for row in rows]) for part in (old, rewards, weights)]
        rl = rl_loss(log_probs, parts[0], parts[1], total=total)
        return rlmec_loss(rl, imitation_loss(log_probs, parts[2], total=total))

    def gradients(value):
        return torch.autograd.grad(value, [weight for _, weight in player.trainable_parameters()])

    together, alone = loss([0, 1, 2], side), sum(loss([row], "left") for row in range(3))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    for one, other in zip(gradients(together), gradients(alone), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_scoring_in_batches_keeps_the_order_and_the_numbers():
    player = small_player("qwen2")
    found = score_responses(player, PROMPTS, RESPONSES, batch_tokens=12)
    assert [len(values) for values in found] == [2, 6, 1]
    with torch.no_grad():
        for prompt, response, values in zip(PROMPTS, RESPONSES, found, strict=True):
            assert values == pytest.approx(response_log_probs(player, [prompt], [response]).tolist(), abs=2e-5)


@pytest.mark.parametrize("name", PLAYERS)
def test_a_beginning_that_prompts_share_is_computed_once(name, monkeypatch):
    player = player_named(name)
    head = list(range(5, 25))
    prompts = [[*head, 30], [*head, 31, 32], [*head, 30], [40, 41, 42], [*head, 30]]
    responses = [[20, 21], [22, 23, 24, 25], [26], [27, 28], [20, 21]]
    expected = [score_responses(player, [prompt], [response])[0] for prompt, response in zip(prompts, responses, strict=True)]
    fed: list[int] = []
    forward = LanguageModel.forward

    def counted(self, batch, **extra):
        fed.append(batch.token_ids_BT.numel())
        return forward(self, batch, **extra)

    monkeypatch.setattr(LanguageModel, "forward", counted)
    scored: list[int] = []
    found = score_responses(player, prompts, responses, on_batch=scored.append)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=5e-5)
    assert sum(scored) == 5
    if player.can_share_heads():
        assert sum(fed) == 60  # two heads of 20 and four tails of 5, padding included; 104 otherwise


def test_batches_hold_no_more_tokens_than_asked_for():
    assert length_batches([3, 9, 4, 1], 8) == [[3, 0], [2], [1]]
    split = CommonHeads([(1,), (2,)], [0, 1, 0, 0], [(1,), (2,), (3,), (4,)])
    assert kin_batches(split, [4, 3, 4, 4], 8) == [[1], [0, 2], [3]]
    assert kin_batches(split, [4, 3, 4, 4], 100) == [[1, 0, 2, 3]]


def test_a_response_longer_than_the_context_is_told_in_a_line():
    player = small_player("gpt2")
    with pytest.raises(DataError, match="have 514 tokens, but the context of gpt2 is 512") as told:
        response_log_probs(player, [[1] * 500], [[2] * 14])
    assert "\n" not in str(told.value)
    with pytest.raises(DataError, match="without tokens"):
        response_log_probs(player, [[1], [2]], [[1], []])
