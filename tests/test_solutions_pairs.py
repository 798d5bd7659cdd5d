"""What the reward model is trained on; nothing wrong ever becomes something to repeat."""

from collections import Counter
from dataclasses import replace

import pytest

from workbench.data.solutions.pairs import learnable, reward_model_pairs, without_repeats
from workbench.data.solutions.program import repaired
from workbench.envs.arithmetic.problems import make_problems
from workbench.errors import DataError
from workbench.solution_prompts import LOCATE, REWRITE, locate_prompt, rewrite_prompt
from workbench.solutions import Problem, Rewrite

CHAIN = Problem("chain", "What is 3+4*2?", "4*2=8\n3+8=11\nanswer 11", "11", "arithmetic")
WRONG = "4*2=8\n3+8=12\nanswer 12"
RIGHT = "2*4=8\n8+3=11\nanswer 11"


def test_a_repaired_and_a_right_response_by_hand():
    pairs = reward_model_pairs([CHAIN], [repaired(CHAIN, WRONG), repaired(CHAIN, RIGHT)], seed=0)
    assert sorted((pair.kind, pair.prompt, pair.completion) for pair in pairs) == [
        ("identity", rewrite_prompt(CHAIN, RIGHT), RIGHT),
        ("locate", locate_prompt(CHAIN, WRONG), "[1]"),
        ("rewrite", rewrite_prompt(CHAIN, WRONG), "4*2=8\n3+8=11\nanswer 11"),
    ]
    assert all(pair.prompt.endswith(LOCATE if pair.kind == "locate" else REWRITE) for pair in pairs)


def sample(wrong, right):
    problems = make_problems("arithmetic", count=wrong + right, stage="short")
    texts = [f"{problem.solution.rpartition(' ')[0]} 1000" for problem in problems[:wrong]]
    texts += [problem.solution for problem in problems[wrong:]]
    return problems, [repaired(problem, text) for problem, text in zip(problems, texts, strict=True)]


@pytest.mark.parametrize(("wrong", "right", "ratio", "identity"), [(10, 40, 1.0, 10), (10, 4, 1.0, 4), (10, 40, 0.5, 5), (10, 40, 0.0, 0)])
def test_identity_pairs_are_balanced_against_rewrites(wrong, right, ratio, identity):
    pairs = reward_model_pairs(*sample(wrong, right), seed=1, identity_ratio=ratio)
    assert Counter(pair.kind for pair in pairs) == Counter({"rewrite": wrong, "locate": wrong, "identity": identity})


def test_locate_pairs_can_be_left_out():
    assert {pair.kind for pair in reward_model_pairs(*sample(5, 5), seed=1, locate=False)} == {"rewrite", "identity"}


def test_pairs_are_the_same_by_seed():
    problems, rewrites = sample(10, 40)
    assert reward_model_pairs(problems, rewrites, seed=1) == reward_model_pairs(problems, rewrites, seed=1)
    chosen = [{pair.problem_id for pair in reward_model_pairs(problems, rewrites, seed=seed) if pair.kind == "identity"} for seed in (1, 2)]
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize("status", ["not-located", "not-verified", "failed"])
def test_a_wrong_response_that_was_not_repaired_is_never_learnt_from(status):
    """T8 of the specification: the error of such a response was not found, so that repeating it would reward it."""
    lost = Rewrite("chain", WRONG, None, "4*2=8\nanswer 12" if status == "not-verified" else "", status)
    assert learnable({"chain": CHAIN}, [lost]) == []
    pairs = reward_model_pairs([CHAIN], [lost, repaired(CHAIN, WRONG + "\n")], seed=0, identity_ratio=10)
    assert not [pair for pair in pairs if pair.completion == WRONG or pair.kind == "identity"]
    with pytest.raises(DataError, match=rf"no rewrite can be learnt from \(1 {status}\); sample more responses"):
        reward_model_pairs([CHAIN], [lost], seed=0)


@pytest.mark.parametrize(
    "forged",
    [
        Rewrite("chain", WRONG, None, WRONG, "right"),
        Rewrite("chain", WRONG, None, CHAIN.solution, "right"),
        Rewrite("chain", WRONG, None, CHAIN.solution, "repaired"),
        Rewrite("chain", WRONG, 1, WRONG, "repaired"),
        Rewrite("chain", RIGHT, 1, CHAIN.solution, "repaired"),
        Rewrite("chain", RIGHT, 0, RIGHT, "right"),
    ],
)
def test_a_status_that_its_texts_belie_is_refused(forged):
    with pytest.raises(DataError, match=r"is called '(right|repaired)', but its texts do not bear that out"):
        reward_model_pairs([CHAIN], [forged], seed=0)


def test_equal_responses_to_different_problems_are_both_kept():
    twin = replace(CHAIN, problem_id="twin", question="What is 3+2*4?", solution="2*4=8\n3+8=11\nanswer 11")
    rewrites = [repaired(CHAIN, "answer 11"), repaired(twin, "answer 11"), repaired(CHAIN, "answer 11."), repaired(CHAIN, "answer  11")]
    assert [rewrite.problem_id for rewrite in without_repeats(rewrites)] == ["chain", "twin"]
    wrong = [repaired(CHAIN, "answer 1.2"), repaired(CHAIN, "answer 12"), repaired(CHAIN, "answer 12")]
    assert [rewrite.original for rewrite in without_repeats(wrong)] == ["answer 1.2", "answer 12"]


def test_bad_input_is_told():
    with pytest.raises(DataError, match="belongs to problem 'chain', which is not among the 0 problems"):
        reward_model_pairs([], [repaired(CHAIN, WRONG)], seed=0)
    with pytest.raises(DataError, match="identity_ratio must be at least 0, found -1"):
        reward_model_pairs([CHAIN], [repaired(CHAIN, WRONG)], seed=0, identity_ratio=-1)
    with pytest.raises(DataError, match=r"no rewrite can be learnt from \(none given\)"):
        reward_model_pairs([CHAIN], [], seed=0)
