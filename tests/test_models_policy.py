import numpy as np
import pytest
import torch

from tests.small_models import CONTEXT, PLAYERS, player_named, small_player, tiny_player
from workbench.models.language_model import context_length, left_padded
from workbench.models.policy import Decision, Policy, label_tensors, length_batches
from workbench.models.scoring import label_log_probs

LENGTHS = (3, 40, 17, 40, 1, 26)


@pytest.fixture(scope="module", params=PLAYERS)
def player(request):
    return player_named(request.param)


def random_prompts(player, lengths=LENGTHS):
    dice = np.random.default_rng(0)
    return [tuple(map(int, dice.integers(3, player.vocabulary, size=length))) for length in lengths]


def decisions_of(player):
    return [Decision(prompt, range(10, 12 + place)) for place, prompt in enumerate(random_prompts(player))]


def plain_logits(player, prompt):
    """Without padding, cache or our own code."""
    with torch.no_grad():
        return player.model(input_ids=torch.tensor([prompt])).logits[0, -1]


def test_padding_is_on_the_left_and_positions_count_real_tokens():
    batch = left_padded([(5, 6, 7), (8,)], 0, torch.device("cpu"))
    assert batch.token_ids_BT.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert batch.mask_BT is not None and batch.positions_BT is not None
    assert batch.mask_BT.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch.positions_BT.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert left_padded([(1, 2), (3, 4)], 0, torch.device("cpu"))[1:] == (None, None)


@torch.no_grad()
def test_a_prompts_logits_do_not_depend_on_its_batch(player):
    prompts = random_prompts(player)
    together = player.last_logits(prompts)
    assert together.shape == (len(prompts), player.vocabulary)
    for row, prompt in enumerate(prompts):
        reference = plain_logits(player, prompt)
        assert torch.allclose(together[row].log_softmax(-1), reference.log_softmax(-1), atol=1e-5)
        assert torch.allclose(player.last_logits([prompt])[0].log_softmax(-1), reference.log_softmax(-1), atol=1e-5)
    # The prompts are told apart, or the comparison would say nothing.
    assert (together[0] - together[1]).abs().max() > 0.1


def test_only_the_last_position_is_computed(player):
    output = player.forward(left_padded(random_prompts(player), player.pad_id, player.device))
    assert output.logits.shape[1] == 1
    assert output.past_key_values is None


@pytest.mark.parametrize("batch_tokens", [1, 60, 16_384])
def test_distributions_come_in_the_order_asked(player, batch_tokens):
    decisions = decisions_of(player)
    found = Policy(player, batch_tokens=batch_tokens).distributions(decisions)
    assert [len(one) for one in found] == [len(decision.label_token_ids) for decision in decisions]
    for one, decision in zip(found, decisions, strict=True):
        expected = plain_logits(player, decision.prompt_token_ids)[list(decision.label_token_ids)].log_softmax(-1)
        assert one.dtype == np.float64
        assert np.abs(one - expected.numpy()).max() < 1e-5
    assert Policy(player).distributions([]) == []


def test_distributions_take_a_temperature(player):
    decision = decisions_of(player)[1]
    cold, warm = (Policy(player).distributions([decision], temperature=value)[0] for value in (0.5, 1.0))
    expected = torch.tensor(warm * 2).log_softmax(-1).numpy()
    assert np.abs(cold - expected).max() < 1e-5


def test_log_probs_carry_gradients_and_distributions_do_not(player):
    policy, decisions = Policy(player), decisions_of(player)
    log_probs = policy.log_probs(decisions)
    log_probs[0, 0].backward()
    gradients = [value.grad for _, value in player.model.named_parameters() if value.grad is not None]
    assert any(bool((gradient != 0).any()) for gradient in gradients)
    player.model.zero_grad(set_to_none=True)
    stored = policy.distributions(decisions)
    for row, decision in enumerate(decisions):
        assert np.abs(log_probs[row, : len(decision.label_token_ids)].detach().numpy() - stored[row]).max() < 1e-4


def test_label_tensors_are_padded_and_masked():
    ids, mask = label_tensors([Decision((1,), [7, 8]), Decision((1,), [9])], torch.device("cpu"))
    assert ids.tolist() == [[7, 8], [9, 0]]
    assert mask.tolist() == [[True, True], [True, False]]
    assert label_log_probs(torch.zeros(2, 10), ids, mask)[1, 0] == 0


def test_batches_are_sorted_by_length_and_bounded():
    lengths = [5, 1, 9, 3, 3, 100, 2]
    batches = length_batches(lengths, 12)
    assert batches == [[1, 6, 3, 4], [0], [2], [5]]  # 4 rows of 3 tokens; 2 of 5 and 9 would be 18; 100 goes alone
    assert length_batches([], 12) == []
    assert length_batches([4, 4], 1) == [[0], [1]]


def test_deciding_switches_dropout_off():
    player = small_player("gpt2")
    assert player.model.config.resid_pdrop > 0
    player.model.train()
    policy, decisions = Policy(player), decisions_of(player)
    assert np.array_equal(policy.distributions(decisions)[1], policy.distributions(decisions)[1])
    assert not player.model.training


def test_the_context_is_the_configurations(player):
    assert player.context == CONTEXT
    assert context_length(object()) == 2048
    builder = player.prompts(room=40)
    assert builder.max_tokens == CONTEXT - 40
    assert player.prompts(room=40, limit=100).max_tokens == 100
    assert player.prompts(room=40, limit=10_000).max_tokens == CONTEXT - 40


def test_a_prompt_as_long_as_the_context_can_be_played(player):
    prompt = random_prompts(player, (CONTEXT,))[0]
    assert np.isfinite(Policy(player).distributions([Decision(prompt, (5, 6))])[0]).all()


def test_a_missing_padding_token_is_replaced_by_the_end():
    player = small_player("llama")
    assert player.tokenizer.pad_token is None
    assert player.pad_id == player.tokenizer.eos_token_id
    assert tiny_player("llama").pad_id == tiny_player("llama").tokenizer.pad_token_id


def test_logits_of_several_last_positions_can_be_had(player):
    prompts = random_prompts(player, (9, 9))
    with torch.no_grad():
        several = player.forward(left_padded(prompts, player.pad_id, player.device), positions_kept=4).logits
        everywhere = player.model(input_ids=torch.tensor(prompts)).logits
    assert torch.allclose(several, everywhere[:, -4:], atol=1e-4)
