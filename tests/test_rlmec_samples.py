"""What each method learns from, and one update of the policy, worked by hand."""

from dataclasses import replace

import pytest
import torch

from tests.small_models import small_player
from workbench.config import ObjectiveSettings, PolicySettings, RlmecConfig
from workbench.errors import DataError
from workbench.models.responses import response_log_probs
from workbench.models.solution_ids import SolutionIds
from workbench.solutions import Problem, Response, Rewrite
from workbench.store.solutions import Score
from workbench.trainers.rlmec.preferences import Preference, pairs_per_update
from workbench.trainers.rlmec.samples import Sources, make_samples, token_edits
from workbench.trainers.rlmec.training import update_batches
from workbench.trainers.rlmec.update import PolicyUpdate, divisors, split_terms, token_columns, token_rows, token_terms

PLAYER = small_player("qwen2")
IDS = SolutionIds(PLAYER.tokenizer)
PROBLEM = Problem("p1", "What is 3+4*2?", "4*2=8\n3+8=11\nanswer 11", "11", "arithmetic")
OTHER = Problem("p2", "What is 1+1?", "1+1=2\nanswer 2", "2", "arithmetic")


def answered(problem, text, *, right):
    ids = IDS.answer(text)
    return Response(problem.problem_id, text, ids, (-1.0,) * len(ids), finished=True, is_right=right)


def scored(response, status, rewrite=""):
    count = len(response.token_ids)
    target = response.token_ids if status == "right" else IDS.answer(rewrite)
    return Score((-0.5,) * count, tuple(-0.1 * (place + 1) for place in range(count)), None, rewrite, target, status)


RIGHT = answered(PROBLEM, PROBLEM.solution, right=True)
WRONG = answered(PROBLEM, "4*2=9\n3+8=11\nanswer 11", right=False)
LOST = answered(OTHER, "banana", right=False)
MENDED = "4*2=8\n3+8=11\nanswer 11"


def sources():
    responses = [RIGHT, WRONG, LOST, RIGHT]
    rewrites = [
        Rewrite("p1", RIGHT.text, None, RIGHT.text, "right", ()),
        Rewrite("p1", WRONG.text, 0, MENDED, "repaired", ((4, 5),)),
        Rewrite("p2", LOST.text, None, "", "not-located"),
        Rewrite("p1", RIGHT.text, None, RIGHT.text, "right", ()),
    ]
    scores = [scored(RIGHT, "right"), scored(WRONG, "repaired", MENDED), scored(LOST, "not-verified", "1+1=3"), scored(RIGHT, "right")]
    return Sources({"p1": PROBLEM, "p2": OTHER}, responses, rewrites, scores)


def samples(**settings):
    objective = ObjectiveSettings(**settings.pop("objective", {}))
    return make_samples(sources(), RlmecConfig(objective=objective, **settings), IDS, seed=0)


def test_rlmec_takes_right_and_repaired_answers_once():
    right, wrong = samples()
    assert (right.number, wrong.number) == (0, 1)  # the unrepaired one and the repetition are left out
    assert right.repeats and not wrong.repeats
    assert right.target_ids == RIGHT.token_ids and wrong.target_ids == IDS.answer(MENDED)
    assert (right.rewards_T >= 0).all() and (wrong.rewards_T <= 0).all()
    assert right.weights_U.tolist() == [0.5] * len(RIGHT.token_ids)
    assert wrong.weights_U.tolist() == [1.0 if new else 0.5 for new in wrong.target_edited] and sum(wrong.target_edited) == 1
    assert wrong.edited is not None and sum(wrong.edited) == 1
    # exp(-0.1) - 0.5, capped at nothing below the ceiling.
    assert right.rewards_T[0].item() == pytest.approx(0.4048374, abs=1e-6)
    assert right.rewards_T[-1].item() == pytest.approx(0.0) and wrong.rewards_T[-1].item() == pytest.approx(-0.1)


def test_blame_can_end_with_the_first_wrong_step():
    (_, every), (right, first) = samples(), samples(objective={"blamed": "first-step"})
    lines = [WRONG.text.count("\n", 0, start) for start, _ in IDS.spans(WRONG.token_ids)]
    blamed = [line for line, reward in zip(lines, every.rewards_T.tolist(), strict=True) if reward < 0]
    assert len(set(blamed)) > 1, "there is blame behind the first wrong step"
    expected = [0.0 if line > blamed[0] else reward for line, reward in zip(lines, every.rewards_T.tolist(), strict=True)]
    assert first.rewards_T.tolist() == expected
    assert torch.equal(right.rewards_T, samples()[0].rewards_T)


def test_a_wrong_answer_that_nobody_could_mend_is_never_praised_or_imitated():
    # T8: whatever the reward model thinks of its tokens.
    everything = sources()
    sure = replace(everything.scores[2], reward_model_log_probs=(0.0,) * len(LOST.token_ids))
    everything = replace(everything, scores=[everything.scores[0], everything.scores[1], sure, everything.scores[3]])
    for rewriter in ("reward-model", "teacher"):
        config = RlmecConfig(objective=ObjectiveSettings(rewriter=rewriter))
        assert [sample.number for sample in make_samples(everything, config, IDS, seed=0)] == [0, 1]


def test_other_rewards():
    oracle = samples(objective={"reward": "oracle-mask"})[1]
    assert oracle.rewards_T.tolist() == pytest.approx([-0.1 if edited else 0.0 for edited in oracle.edited])
    uniform = samples(objective={"reward": "uniform"})[1]
    assert uniform.rewards_T.tolist() == pytest.approx([-0.1] * len(WRONG.token_ids))
    plain, shuffled = samples()[1].rewards_T, samples(objective={"reward": "shuffled"})[1].rewards_T
    assert sorted(plain.tolist()) == sorted(shuffled.tolist()) and plain.tolist() != shuffled.tolist()
    process = samples(objective={"reward": "process"})
    assert process[0].rewards_T.tolist() == [0.5] * len(RIGHT.token_ids)
    assert process[1].rewards_T.tolist() == pytest.approx([-0.1] * len(WRONG.token_ids))  # its very first step is wrong


def test_an_unknown_edit_set_is_told():
    everything = sources()
    rewrites = [everything.rewrites[0], replace(everything.rewrites[1], edited_spans=None), *everything.rewrites[2:]]
    config = RlmecConfig(objective=ObjectiveSettings(reward="oracle-mask"))
    with pytest.raises(DataError, match="needs the true edit set"):
        make_samples(replace(everything, rewrites=rewrites), config, IDS, seed=0)


def test_baselines():
    references = samples(method="sft")
    assert [IDS.decode(one.response_ids) for one in references] == [PROBLEM.solution, OTHER.solution]
    (own,) = samples(method="rft")
    assert own.response_ids == RIGHT.token_ids and own.weights_U.tolist() == [1.0] * len(RIGHT.token_ids) and not own.rewards_T.any()
    whitened = samples(method="ppo-sequence")
    assert [one.rewards_T[0].item() for one in whitened] == pytest.approx([1, -1, -1, 1])
    grouped = samples(method="grpo-sequence")  # the second problem's only answer has none to be compared with
    assert [one.number for one in grouped] == [0, 1, 3]
    assert [one.rewards_T[0].item() for one in grouped] == pytest.approx([2**-0.5, -(2**0.5), 2**-0.5])
    assert all(one.target_ids == () for one in grouped)


def test_right_answers_of_one_problem_may_be_limited():
    everything = sources()
    another = answered(PROBLEM, "4*2=8\n8+3=11\nanswer 11", right=True)
    everything = replace(
        everything,
        responses=[*everything.responses, another],
        rewrites=[*everything.rewrites, Rewrite("p1", another.text, None, another.text, "right", ())],
        scores=[*everything.scores, scored(another, "right")],
    )
    config = RlmecConfig()
    assert len(make_samples(everything, config, IDS, seed=0)) == 3
    limited = config.model_copy(update={"policy": config.policy.model_copy(update={"max_right_per_problem": 1})})
    assert [one.number for one in make_samples(everything, limited, IDS, seed=0)] == [0, 1]


def test_tokens_of_the_edit_set_by_hand():
    assert token_edits([(0, 3), (3, 4), (4, 5), (5, 5)], ((3, 4), (5, 5))) == (False, True, False, True)
    assert token_edits([(0, 1)], None) is None


# Budgets ------------------------------------------------------------------------------------------------


def test_updates_of_as_many_solutions_go_through_all_before_one_comes_again():
    settings = PolicySettings(max_steps=4, solutions_per_update=3)
    batches = update_batches([10] * 6, settings, seed=1)
    assert [len(batch) for batch in batches] == [3, 3, 3, 3]
    assert sorted(batches[0] + batches[1]) == sorted(batches[2] + batches[3]) == list(range(6))
    assert update_batches([10] * 6, settings, seed=2) != batches == update_batches([99] * 6, settings, seed=1)
    assert update_batches([], settings, seed=1) == []


@pytest.mark.parametrize("tokens", [[10] * 7, [20] * 7, [5, 40, 12, 9, 33], [300, 7]])
def test_updates_of_as_many_tokens_are_equal_for_every_method(tokens):
    settings = PolicySettings(max_steps=12, tokens_per_update=50)
    batches = update_batches(tokens, settings, seed=0)
    taken = [sum(tokens[place] for place in batch) for batch in batches]
    assert len(batches) == 12 and all(batches)
    if max(tokens) <= 50:
        assert all(0 <= sum(taken[: end + 1]) - 50 * (end + 1) < max(tokens) for end in range(12))
    # The same samples in the same order as without a budget, only cut elsewhere.
    order = [place for batch in batches for place in batch]
    plain = update_batches(tokens, PolicySettings(max_steps=1, solutions_per_update=len(order)), seed=0)
    assert order == plain[0]


def test_pairs_take_as_many_tokens_as_other_methods():
    pairs = [Preference((1,), (2, 3), (4,), 0.0, 0.0), Preference((1,), (2, 3, 4), (5, 6), 0.0, 0.0)]  # 4 tokens a pair
    assert pairs_per_update(PolicySettings(tokens_per_update=40), pairs) == 10
    assert pairs_per_update(PolicySettings(tokens_per_update=1), pairs) == 1
    assert pairs_per_update(PolicySettings(solutions_per_update=64), pairs) == 32


# One update ---------------------------------------------------------------------------------------------


def test_the_loss_of_an_update_by_hand():
    PLAYER.activate()
    chosen, settings = samples(), ObjectiveSettings(imitation_coef=0.5)
    rows = token_rows(chosen)
    by = divisors(rows)
    assert by.rl == int((chosen[0].rewards_T != 0).sum() + (chosen[1].rewards_T != 0).sum())
    assert by.imitation == len(RIGHT.token_ids) + len(IDS.answer(MENDED))
    with torch.no_grad():
        loss, terms = token_terms(PLAYER, rows, by, settings, clip="weight")
        expected = 0.0
        for sample in chosen:
            log_probs = response_log_probs(PLAYER, [sample.prompt_ids], [sample.response_ids])
            for value, old, reward in zip(log_probs.tolist(), sample.old_log_probs_T.tolist(), sample.rewards_T.tolist(), strict=True):
                ratio = torch.tensor(value - old).exp().item()
                expected -= min(ratio * reward, min(max(ratio, 0.7), 1.3) * reward) * value / by.rl
            target = response_log_probs(PLAYER, [sample.prompt_ids], [sample.target_ids])
            expected -= 0.5 * float((sample.weights_U * target).sum()) / by.imitation
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert float((terms.rl_N + terms.imitation_N).sum()) == pytest.approx(loss.item(), rel=1e-5)
    columns = token_columns(rows, split_terms(terms, rows), IDS, round_number=1, update=3)
    assert sum(columns["contribution"]) == pytest.approx(loss.item(), rel=1e-5)
    assert set(columns["side"]) == {"original", "rewrite"} and columns["update"][0] == 3
    sides = [place for place, side in enumerate(columns["side"]) if side == "rewrite"]
    assert all(columns["reward"][place] is None and columns["rl_contribution"][place] == 0 for place in sides)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_an_update_does_not_depend_on_how_it_is_cut(batch_size):
    player = small_player("qwen2")
    optimizer = torch.optim.SGD([value for _, value in player.trainable_parameters()], lr=0.1)
    update = PolicyUpdate(player, optimizer, ObjectiveSettings(), "weight", batch_size, 1.0)
    metrics, rows, terms = update.step(samples())
    assert len(rows) == len(terms) == 3
    assert metrics["loss/total"] == pytest.approx(metrics["loss/rl"] + metrics["loss/imitation"], rel=1e-5)
    assert metrics["loss/total"] == pytest.approx(_reference_loss(), rel=1e-4)
    assert metrics["policy/gradient_norm"] > 0 and metrics["policy/skipped_steps"] == 0


def _reference_loss():
    player = small_player("qwen2")
    player.activate()
    rows = token_rows(samples())
    return token_terms(player, rows, divisors(rows), ObjectiveSettings(), clip="weight")[0].item()


def test_an_update_without_any_reward_changes_nothing():
    player = small_player("qwen2")
    before = {name: value.clone() for name, value in player.model.state_dict().items()}
    optimizer = torch.optim.SGD([value for _, value in player.trainable_parameters()], lr=0.1)
    silent = [replace(sample, rewards_T=torch.zeros_like(sample.rewards_T)) for sample in samples()]
    settings = ObjectiveSettings(imitation_coef=0.0)
    metrics, _, _ = PolicyUpdate(player, optimizer, settings, "weight", 8, 1.0).step(silent)
    assert metrics["loss/total"] == 0.0 and metrics["reward/tokens"] == 0.0 and metrics["policy/skipped_steps"] == 0.0
    assert all(torch.equal(value, before[name]) for name, value in player.model.state_dict().items())
