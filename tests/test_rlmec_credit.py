"""A generative reward model that was really trained finds the tokens that must change (T5 and T9 of the specification)."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from workbench.config import RunConfig, SFTSettings, apply_overrides
from workbench.data.solutions.pairs import reward_model_pairs
from workbench.data.solutions.program import ProgramTeacher
from workbench.envs.arithmetic.answers import is_right
from workbench.envs.arithmetic.problems import make_problems
from workbench.evaluation.reward_quality import calibration, calibration_error, edit_auroc, edit_share, shuffled_auroc
from workbench.models.language_model import LanguageModel
from workbench.models.loading import build_tiny
from workbench.models.reward_model import RewardModel
from workbench.recipes.rlmec_data import pair_rows, tokenizer_of
from workbench.seeding import generator
from workbench.solutions import Response
from workbench.trainers import sft
from workbench.trainers.rlmec import token_rewards
from workbench.trainers.rlmec.samples import token_edits

SIZE = "policy.tiny={n_layer: 2, n_embd: 64, n_head: 4, n_positions: 160, vocab_size: 384, pieces: digits, matching_start: true}"


def attempt(problem, dice):
    """The reference solution; three times of five with one wrong digit, which later steps mostly carry on."""
    if dice.random() < 0.4:
        return problem.solution
    lines = problem.solution.split("\n")
    place = int(dice.integers(len(lines)))
    digits = [spot for spot, char in enumerate(lines[place]) if char.isdigit() and spot > lines[place].find("=")]
    spot = int(dice.choice(digits))
    before = lines[place]
    lines[place] = before[:spot] + str((int(before[spot]) + int(dice.integers(1, 10))) % 10) + before[spot + 1 :]
    if dice.random() < 0.7:
        old, new = before.split("=")[-1], lines[place].split("=")[-1]
        lines[place + 1 :] = [line.replace(old, new, 1) for line in lines[place + 1 :]]
    return "\n".join(lines)


def in_its_own_words(solution, dice):
    """The same steps with the two numbers of a sum or a product in the order that the dice give: as right as before."""
    return re.sub(r"(\d+)([+*])(\d+)(?==)", lambda found: f"{found[3]}{found[2]}{found[1]}" if dice.random() < 0.5 else found[0], solution)


def rewarding(problems, rewrites, *, forced_prefix=True):
    """A reward model that was trained on these rewrites."""
    config = apply_overrides(RunConfig(), [SIZE])
    tokenizer = tokenizer_of(config, problems)
    player = LanguageModel(build_tiny(config.policy.tiny, tokenizer, seed=0), tokenizer, adapter=None, name="tiny")
    settings = SFTSettings(max_steps=300, per_device_train_batch_size=48, learning_rate=3e-3, warmup_steps=30, logging_steps=100)
    rows = pair_rows(reward_model_pairs(problems, rewrites, seed=0), player)
    progress = sft.prepare(player, settings)
    sft.train_segment(
        player, rows, progress, settings, start=0, stop=300, seed=0, on_log=lambda step, metrics: None, on_step=lambda step: False
    )
    return RewardModel(player, max_new_tokens=32, forced_prefix=forced_prefix)


@pytest.mark.slow
def test_token_probabilities_find_the_true_edits():
    problems = make_problems("arithmetic", count=1500, stage="short", seed=0)
    dice = generator(0, "attempts")
    texts = [attempt(problem, dice) for problem in problems]
    rewrites = ProgramTeacher().rewrite_all(problems, texts)
    judge = rewarding(problems[:1275], rewrites[:1275])
    held_out = list(zip(problems[1275:], texts[1275:], rewrites[1275:], strict=True))
    responses = [
        Response(problem.problem_id, text, judge.ids.answer(text), (), finished=True, is_right=rewrite.status == "right")
        for problem, text, rewrite in held_out
    ]
    found = judge.log_probs([problem for problem, _, _ in held_out], responses)
    probabilities: list[float] = []
    edited: list[bool] = []
    right: list[float] = []
    everything: list[float] = []
    every_edit: list[bool] = []
    for (_, _, rewrite), response, values in zip(held_out, responses, found, strict=True):
        own = [min(1.0, math.exp(value)) for value in values]
        marks = list(token_edits(judge.ids.spans(response.token_ids), rewrite.edited_spans) or ())
        everything, every_edit = everything + own, every_edit + marks
        if response.is_right:
            right += own
            assert (token_rewards(own, True) >= 0).all()
        else:
            probabilities, edited = probabilities + own, edited + marks
            assert (token_rewards(own, False) <= 0).all()
    auroc, shuffled = edit_auroc(probabilities, edited), shuffled_auroc(probabilities, edited, seed=0)
    assert auroc is not None and shuffled is not None
    assert auroc >= 0.95
    assert shuffled == pytest.approx(0.5, abs=0.06)
    assert np.mean(right) > 0.9  # identity pairs: what is right is left alone
    assert calibration_error(calibration(everything, every_edit)) < 0.1

    wrong = [
        (problem, response, rewrite) for (problem, _, rewrite), response in zip(held_out, responses, strict=True) if not response.is_right
    ]
    revised = judge.revise([problem for problem, _, _ in wrong], [response for _, response, _ in wrong])
    repaired = np.mean([is_right(problem, one.text) for (problem, _, _), one in zip(wrong, revised, strict=True)])
    assert repaired > 0.8
    edits = np.mean([edit_share(response.token_ids, one.token_ids) for (_, response, _), one in zip(wrong, revised, strict=True)])
    least = np.mean([edit_share(response.token_ids, judge.ids.answer(rewrite.text)) for _, response, rewrite in wrong])
    assert edits == pytest.approx(least, abs=0.1)  # about as few edits as the teacher needs


@pytest.mark.slow
def test_minimum_edits_keep_more_of_an_answer_than_references_do():
    """T9: the same reward model, taught to rewrite with the fewest edits or into the reference, on answers in words of their own."""
    problems = make_problems("arithmetic", count=1500, stage="short", seed=0)
    dice = generator(0, "own words")
    spoken = [replace(problem, solution=in_its_own_words(problem.solution, dice)) for problem in problems]
    texts = [attempt(problem, dice) for problem in spoken]
    fewest = ProgramTeacher().rewrite_all(problems, texts)
    references = [
        replace(rewrite, text=problem.solution) if rewrite.status == "repaired" else rewrite
        for problem, rewrite in zip(problems, fewest, strict=True)
    ]
    wrong = [
        (problem, Response(problem.problem_id, text, (), (), finished=True, is_right=False))
        for problem, text, rewrite in zip(problems[1275:], texts[1275:], fewest[1275:], strict=True)
        if rewrite.status == "repaired"
    ]
    edits, repaired = [], []
    for rewrites in (fewest, references):
        judge = rewarding(problems[:1275], rewrites[:1275], forced_prefix=False)  # whose right steps it keeps is what is asked
        answers = [replace(response, token_ids=judge.ids.answer(response.text)) for _, response in wrong]
        revised = judge.revise([problem for problem, _ in wrong], answers)
        edits.append(np.array([edit_share(one.token_ids, two.token_ids) for one, two in zip(answers, revised, strict=True)]))
        repaired.append(np.mean([is_right(problem, one.text) for (problem, _), one in zip(wrong, revised, strict=True)]))
    difference = edits[1] - edits[0]
    assert min(repaired) > 0.8
    assert difference.mean() > 0.03
    assert difference.mean() > 3 * difference.std(ddof=1) / np.sqrt(len(difference))
