"""Free text in batches, the generative reward model, and how it is measured."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.small_models import PLAYERS, byte_level_tokenizer, player_named, small_player, word_start_tokenizer
from workbench.errors import DataError
from workbench.evaluation.reward_quality import (
    Bin,
    calibration,
    calibration_error,
    edit_auroc,
    edit_share,
    shuffled_auroc,
)
from workbench.models.generation import Generated, Generator
from workbench.models.responses import response_log_probs
from workbench.models.reward_model import Revision, RewardModel, first_changed_step
from workbench.models.scoring import nucleus_log_probs
from workbench.models.solution_ids import SolutionIds
from workbench.models.tokenizer import train_tokenizer
from workbench.rollout.solutions import answer_problems
from workbench.seeding import generator
from workbench.solution_prompts import SOLUTION_MARKERS, policy_prompt
from workbench.solutions import Problem, Response

PROBLEM = Problem("p1", "What is 3+4*2?", "4*2=8\n3+8=11\nanswer 11", "11", "arithmetic")
PROMPTS = [(5, 6, 7), (5, 6, 7), (8,), (9, 10, 11, 12, 13)]


def digits_tokenizer():
    texts = [policy_prompt(PROBLEM) + PROBLEM.solution]
    return train_tokenizer(texts, whole=SOLUTION_MARKERS, vocab_size=300, pieces="digits")


# Writing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLAYERS)
def test_what_is_written_has_the_log_probs_of_the_whole_text(name):
    player = player_named(name)
    writer = Generator(player, max_new_tokens=8, temperature=0)
    with torch.no_grad():
        for prompt, answer in zip(PROMPTS, writer.generate(PROMPTS), strict=True):
            assert len(answer.token_ids) == len(answer.log_probs) <= 8
            logits = player.model(input_ids=torch.tensor([[*prompt, *answer.token_ids]])).logits[0].float()
            logits[:, writer.forbidden_ids] = float("-inf")
            found = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1]
            assert found.argmax(-1).tolist() == list(answer.token_ids)
            assert answer.log_probs == pytest.approx(found.max(-1).values.tolist(), abs=1e-3)


def test_an_answer_ends_with_its_end_of_text():
    player = small_player("llama")
    free = Generator(player, max_new_tokens=6, temperature=0).generate([(5, 6)])[0].token_ids
    writer = Generator(player, max_new_tokens=6, temperature=0)
    last = free[3]
    writer.eos_ids = {last}
    found = writer.generate([(5, 6)])[0]
    assert found.finished and found.token_ids == free[: free.index(last) + 1] and found.text_ids == found.token_ids[:-1]
    writer.eos_ids = {-1}
    cut = writer.generate([(5, 6)])[0]
    assert not cut.finished and cut.token_ids == cut.text_ids == free


def test_samples_do_not_depend_on_neighbours_or_batches():
    player = small_player("qwen2")

    def dice():
        return [generator(3, number) for number in range(len(PROMPTS))]

    together = Generator(player, max_new_tokens=6, top_p=0.9).generate(PROMPTS, dice())
    alone = Generator(player, max_new_tokens=6, top_p=0.9, batch_size=1).generate(PROMPTS, dice())
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]
    assert together[0].token_ids != together[1].token_ids  # the same prompt, other dice


def test_the_nucleus_by_hand():
    log_probs = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.05, 0.15, 0.3, 0.5]]).log()
    found = nucleus_log_probs(log_probs, 0.7).exp()
    assert found.tolist() == pytest.approx(np.array([[0.625, 0.375, 0, 0], [0, 0, 0.375, 0.625]]), abs=1e-6)
    assert nucleus_log_probs(log_probs, 0.01).exp().tolist() == pytest.approx(np.array([[1, 0, 0, 0], [0, 0, 0, 1]]))
    assert nucleus_log_probs(log_probs, 1.0) is log_probs


def test_answers_are_checked_and_kept_as_they_were_drawn():
    player = small_player("llama")
    found = answer_problems(player, [PROBLEM, PROBLEM], samples=2, temperature=1.0, max_new_tokens=10, seed=0)
    assert [one.problem_id for one in found] == ["p1"] * 4
    assert all(len(one.token_ids) == len(one.log_probs) for one in found)
    assert not any(one.is_right for one in found)


def test_an_answer_that_was_cut_off_is_wrong(monkeypatch):
    player = small_player("llama")
    monkeypatch.setattr("workbench.rollout.solutions.is_right", lambda problem, text: True)
    found = answer_problems(player, [PROBLEM], samples=8, temperature=1.0, max_new_tokens=3, seed=0)
    assert {one.is_right for one in found if not one.finished} == {False}


# Ids and spans ------------------------------------------------------------------------------------------


def test_digits_are_tokens_of_their_own():
    tokenizer = digits_tokenizer()
    ids = SolutionIds(tokenizer)
    pieces = [tokenizer.decode([token]) for token in ids.text(PROBLEM.solution)]
    assert "".join(pieces) == PROBLEM.solution
    assert pieces[-3:] == ["answer ", "1", "1"]
    assert all(not any(digit in piece for digit in "0123456789") or len(piece) == 1 for piece in pieces)


def test_an_answer_has_the_same_ids_after_any_prompt():
    ids = SolutionIds(digits_tokenizer())
    answer = ids.answer(PROBLEM.solution)
    assert answer[-1] == ids.eos_id and ids.decode(answer) == PROBLEM.solution
    for prompt in (ids.policy(PROBLEM), ids.rewrite(PROBLEM, "4*2=9")):
        assert ids.decode((*prompt, *answer)).endswith(PROBLEM.solution)


@pytest.mark.parametrize("tokenizer", [digits_tokenizer(), byte_level_tokenizer(), word_start_tokenizer()])
@pytest.mark.parametrize("text", ["4*2=8\nanswer 8", "a wall is west", "Ä wäll → 東", ""])
def test_spans_cover_the_text(tokenizer, text):
    ids = SolutionIds(tokenizer)
    answer = ids.answer(text)
    decoded, spans = ids.decode(answer), ids.spans(answer)
    assert len(spans) == len(answer)
    assert "".join(decoded[start:end] for start, end in spans) == decoded
    assert spans[-1] == (len(decoded), len(decoded))
    assert all(one[1] == other[0] for one, other in pairwise(spans))


def test_bytes_that_are_no_text_belong_to_some_token():
    tokenizer = byte_level_tokenizer()
    ids = SolutionIds(tokenizer)
    half = ids.text("é")[:1]  # the first of two bytes
    for token_ids in ((*ids.text("4"), *half, ids.eos_id), (*half, *ids.text("8"), *half, *half), (*half, *ids.text("é"))):
        text, spans = ids.decode(token_ids), ids.spans(token_ids)
        assert len(spans) == len(token_ids) and "".join(text[start:end] for start, end in spans) == text


# The reward model ---------------------------------------------------------------------------------------


def response(ids, text, *, finished=True):
    token_ids = ids.answer(text) if finished else ids.text(text)
    return Response("p1", text, token_ids, (0.0,) * len(token_ids), finished=finished, is_right=False)


def reward_model():
    from workbench.config import TinyConfig
    from workbench.models.language_model import LanguageModel
    from workbench.models.loading import build_tiny

    tokenizer = digits_tokenizer()
    size = TinyConfig(n_layer=2, n_embd=32, n_head=2, n_positions=160, initializer_range=0.3)
    return RewardModel(LanguageModel(build_tiny(size, tokenizer, seed=0).eval(), tokenizer, adapter=None, name="tiny"), max_new_tokens=12)


def test_scores_are_of_the_original_where_a_rewrite_would_stand():
    judge = reward_model()
    answers = [response(judge.ids, "4*2=9\n3+9=12\nanswer 12"), response(judge.ids, "4*2=8", finished=False)]
    found = judge.log_probs([PROBLEM, PROBLEM], answers)
    assert [len(values) for values in found] == [len(one.token_ids) for one in answers]
    with torch.no_grad():
        for one, values in zip(answers, found, strict=True):
            alone = response_log_probs(judge.player, [judge.ids.rewrite(PROBLEM, one.text)], [one.token_ids])
            assert values == pytest.approx(alone.tolist(), abs=1e-4)


def test_a_rewrite_keeps_the_steps_before_the_located_one(monkeypatch):
    judge = reward_model()
    one = response(judge.ids, "4*2=8\n3+8=12\nanswer 12")
    for step, kept in ((0, ""), (1, "4*2=8\n"), (2, "4*2=8\n3+8=12\n"), (None, "")):
        monkeypatch.setattr(judge, "locate", lambda problems, texts, step=step: [step])
        (found,) = judge.revise([PROBLEM], [one])
        assert found.located == step and found.text.startswith(kept)
        count = len(judge.ids.text(kept))
        assert found.token_ids[:count] == one.token_ids[:count]
        assert len(found.token_ids) <= count + 12
    judge.forced_prefix = False
    monkeypatch.setattr(judge, "locate", lambda problems, texts: [2])
    (free,) = judge.revise([PROBLEM], [one])
    assert free.located == 2 and len(free.token_ids) <= 12  # all of it is its own


def test_a_step_may_be_located_by_what_the_rewrite_changes(monkeypatch):
    judge = reward_model()
    judge.located_by = "rewrite"
    monkeypatch.setattr(judge, "locate", lambda problems, texts: pytest.fail("asked for a label"))
    one = response(judge.ids, "4*2=8\n3+8=12\nanswer 12")
    (found,) = judge.revise([PROBLEM], [one])
    assert found.located == first_changed_step(one.text, found.text) and len(found.token_ids) <= 12  # all of it is its own
    written = Generated(judge.ids.answer(PROBLEM.solution), (), True)
    monkeypatch.setattr(Generator, "generate", lambda *args, **kwargs: [written])
    assert judge.revise([PROBLEM], [one]) == [Revision(1, PROBLEM.solution, written.token_ids, True)]


@pytest.mark.parametrize(
    ("original", "rewrite", "step"),
    [
        ("a\nb", "a\nb", None),
        ("a\nb", "a\nc", 1),
        ("b\na", "a\nb", 0),
        ("a", "a\nb", 1),
        ("a\nb\nc", "a\nb", 2),
        ("", "a", 0),
        ("a\n", "a", None),
    ],
)
def test_the_first_changed_step_by_hand(original, rewrite, step):
    assert first_changed_step(original, rewrite) == step


def test_a_located_step_is_one_that_exists():
    judge = reward_model()
    for step in judge.locate([PROBLEM] * 3, ["4*2=9", "4*2=8\nanswer 3", ""]):
        assert step is None or 0 <= step <= 2


def test_an_attempt_that_does_not_fit_is_told_in_a_line():
    judge = reward_model()
    with pytest.raises(DataError, match="but the context of tiny is 160") as told:
        judge.log_probs([PROBLEM], [response(judge.ids, "1+1=2\n" * 20)])
    assert "\n" not in str(told.value)


# How good it is -----------------------------------------------------------------------------------------


def test_auroc_by_hand():
    # Edited tokens have 0.1 and 0.6, kept ones 0.3, 0.8 and 0.9: of six pairs five are in order.
    assert edit_auroc([0.1, 0.6, 0.3, 0.8, 0.9], [True, True, False, False, False]) == pytest.approx(5 / 6)
    assert edit_auroc([0.9, 0.1], [True, False]) == 0.0
    assert edit_auroc([0.5, 0.5], [True, False]) == 0.5
    assert edit_auroc([0.5, 0.4], [False, False]) is None


def test_a_shuffled_reward_model_is_chance():
    dice = np.random.default_rng(0)
    edited = dice.random(4000) < 0.2
    probabilities = np.where(edited, 0.1, 0.9)
    assert edit_auroc(probabilities.tolist(), edited.tolist()) == 1.0
    assert shuffled_auroc(probabilities.tolist(), edited.tolist(), seed=0) == pytest.approx(0.5, abs=0.05)


def test_calibration_by_hand():
    table = calibration([0.05, 0.95, 0.97, 1.0], [True, False, False, True])
    assert table[0] == Bin(0.0, 0.1, 1, 0.05, 0.0) and table[1][:3] == (0.9, 1.0, 3) and len(table) == 2
    assert table[1][3:] == pytest.approx((0.97333333, 2 / 3))
    assert calibration_error(table) == pytest.approx((0.05 + 3 * (0.97333333 - 2 / 3)) / 4)


def test_the_share_of_edits_by_hand():
    assert edit_share([1, 2, 3, 4], [1, 2, 3, 4]) == 0.0
    assert edit_share([1, 2], [1, 2, 3, 4]) == 1.0
    assert edit_share([], []) == 0.0
