"""The teacher that is a program: right, minimal, and it keeps what is right."""

import re
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.solutions.program import ProgramTeacher, edited_spans, repaired
from workbench.envs.arithmetic.answers import is_right
from workbench.envs.arithmetic.problems import make_problems, stages_of, task_names
from workbench.errors import DataError
from workbench.solutions import Problem, is_edited, steps

Token = tuple[str, Fraction | None]
"""What is written, and the number that stands for it where another value is tried."""

CHAIN = Problem("chain", "What is 3+4*2?", "4*2=8\n3+8=11\nanswer 11", "11", "arithmetic")
STORY = Problem("story", "Ann has 12 …", "12+7=19\n19*3=57\nanswer 57", "57", "word-problems")
QUIZ = Problem("quiz", "…", "bado is a heron\nevery heron eats moss\nanswer moss", "moss", "knowledge", choices=("moss", "mint"))
POOL = [
    problem
    for task in task_names()
    for stage in stages_of(task)
    for problem in make_problems(task, count=12, stage=stage, split="test", seed=11)
]


@pytest.mark.parametrize(
    ("problem", "response", "step", "rewrite", "spans"),
    [
        (CHAIN, "4*2=9\n3+9=12\nanswer 12", 0, "4*2=8\n3+8=11\nanswer 11", ((4, 5), (8, 9), (11, 12), (21, 22))),
        (CHAIN, "4*2=8\n3+8=12\nanswer 12", 1, "4*2=8\n3+8=11\nanswer 11", ((11, 12), (21, 22))),
        (CHAIN, "4*2=8\n8+3=12\nanswer 11.5", 1, "4*2=8\n8+3=11\nanswer 11", ((11, 12), (22, 24))),
        (CHAIN, "4*2=8\n3+8=11\nanswer 12", 2, "4*2=8\n3+8=11\nanswer 11", ((21, 22),)),
        (CHAIN, "4*2=8\n3+8=11", 2, "4*2=8\n3+8=11\nanswer 11", ((12, 12),)),
        (CHAIN, "3+4=7\n7*2=14\nanswer 14", 0, "4*2=8\n3+8=11\nanswer 11", None),
        (CHAIN, "4*2=8\nanswer 8", 1, "4*2=8\n3+8=11\nanswer 11", ((6, 7), (13, 14))),
        (CHAIN, "", 0, "4*2=8\n3+8=11\nanswer 11", ((0, 0),)),
        (CHAIN, "blah", 0, "4*2=8\n3+8=11\nanswer 11", None),
        (CHAIN, "4*2=8\n3+8=11\nanswer 11\nanswer 12", 3, "4*2=8\n3+8=11\nanswer 11", ((22, 32),)),
        (STORY, "12+7=18\n18*3=54\nanswer 54", 0, "12+7=19\n19*3=57\nanswer 57", ((6, 7), (9, 10), (14, 15), (24, 25))),
        (QUIZ, "bado is a heron\nevery heron eats mint\nanswer mint", 1, "bado is a heron\nevery heron eats moss\nanswer moss", None),
    ],
)
def test_rewrites_by_hand(problem, response, step, rewrite, spans):
    found = repaired(problem, response)
    assert (found.first_wrong_step, found.text, found.status) == (step, rewrite, "repaired")
    if spans is not None:
        assert found.edited_spans == spans
    assert found.original == response and found.problem_id == problem.problem_id


def test_a_right_response_stays_whatever_way_it_went():
    plenty = Problem("p", "What is 1+2+3?", "1+2=3\n3+3=6\nanswer 6", "6", "arithmetic")
    for right in ("1+2=3\n3+3=6\nanswer 6", "2+3=5\n1+5=6\nThe answer is 6.", "answer 6"):
        found = repaired(plenty, right)
        assert (found.text, found.status, found.first_wrong_step, found.edited_spans) == (right, "right", None, ())


def test_the_way_that_was_begun_is_gone_on_with():
    plenty = Problem("p", "What is 1+2+3+4?", "1+2=3\n3+3=6\n6+4=10\nanswer 10", "10", "arithmetic")
    assert repaired(plenty, "3+4=7\n1+2=4\n4+7=11\nanswer 11").text == "3+4=7\n1+2=3\n3+7=10\nanswer 10"
    assert repaired(plenty, "4+3=7\n7+2=8\nanswer 9").text.startswith("4+3=7\n7+2=9\n"), "operands may be turned"


def test_edited_steps_are_the_lines_of_the_spans():
    assert repaired(CHAIN, "4*2=8\n3+8=12\nanswer 12").edited_steps == (1, 2)
    assert repaired(CHAIN, "4*2=8\n3+8=11").edited_steps == (1,)


def test_tokens_are_in_the_edit_set_when_they_touch_it():
    spans = edited_spans("4*2=9\n3+9=12\nanswer 12", "4*2=8\n3+8=11\nanswer 11")
    tokens = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 9), (9, 13), (13, 20), (20, 22), (22, 22)]
    assert [is_edited(token, spans) for token in tokens] == [False] * 4 + [True, False, True, True, False, True, False]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(POOL) - 1), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_rewrites_are_right_keep_the_right_lines_and_are_minimal(place, seed, errors):
    problem = POOL[place]
    response = spoilt(problem.solution, np.random.default_rng(seed), errors)
    found = repaired(problem, response)
    if is_right(problem, response):
        assert (found.status, found.text) == ("right", response)
        return
    assert found.status == "repaired" and is_right(problem, found.text) and found.first_wrong_step is not None
    kept = steps(response)[: found.first_wrong_step]
    assert found.text.split("\n")[: len(kept)] == kept
    again = repaired(problem, found.text)
    assert again.text == found.text and again.status == "right", "a rewrite is right, so that it stays"
    if problem.task == "arithmetic":
        cost = distance(response, found.text)
        # A number may have been given a zero in front, which leaves its line right; the search for ways on writes numbers without.
        plain = [re.sub(r"\b0+(?=\d)", "", line) for line in kept]
        best = min(distance(response, "\n".join((*kept, *ending))) for ending in endings_by_value(problem, plain))
        assert cost <= best
        assert sum(end - start for start, end in found.edited_spans or ()) <= 2 * cost, "an edit touches one character, or the next one"
        assert found.edited_spans


def spoilt(text: str, dice: np.random.Generator, errors: int) -> str:
    """``text`` with some characters changed, left out or put in, and sometimes cut."""
    letters = list(text)
    for _ in range(errors):
        spot, kind = int(dice.integers(len(letters))), int(dice.integers(6))
        new = str(dice.choice(list("0123456789+-*=\n a")))
        letters[spot : spot + (kind != 1)] = [] if kind == 0 else [new]
        if not letters:
            break
    return "".join(letters) if dice.random() < 0.9 else "".join(letters)[: int(dice.integers(len(letters) + 1))]


def distance(one: str, other: str) -> int:
    """Levenshtein's distance by the textbook's table."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def endings_by_value(problem: Problem, kept: list[str]) -> Iterator[list[str]]:
    """Every way on from the right lines, found without the workbench's rules: an operation may come next when the whole calculation
    keeps its value for other numbers, too."""
    expression = problem.question.removeprefix("What is ").removesuffix("?")
    tokens: list[str] = []
    for char in expression:
        if char.isdigit() and tokens and tokens[-1].isdigit():
            tokens[-1] += char
        else:
            tokens.append(char)
    dice = np.random.default_rng(0)
    start: list[Token] = [(token, Fraction(int(dice.integers(10**6, 10**9)))) if token.isdigit() else (token, None) for token in tokens]
    yield from _endings(start, [line for line in kept if line.strip()])


def _endings(tokens: list[Token], kept: list[str]) -> Iterator[list[str]]:
    if len(tokens) == 1 and not (kept and "=" in kept[0]):
        yield [] if kept else [f"answer {tokens[0][0]}"]
        return
    whole = _value(tokens)
    for place in range(1, len(tokens) - 1):
        (left, one), (sign, _), (right, other) = tokens[place - 1 : place + 2]
        if sign not in "+-*" or one is None or other is None:
            continue
        result = {"+": int(left) + int(right), "-": int(left) - int(right), "*": int(left) * int(right)}[sign]
        shadow = {"+": one + other, "-": one - other, "*": one * other}[sign]
        after = [*tokens[: place - 1], (str(result), shadow), *tokens[place + 2 :]]
        for spot in range(1, len(after) - 1):
            if after[spot - 1][0] == "(" and after[spot + 1][0] == ")" and after[spot][1] is not None:
                after = [*after[: spot - 1], after[spot], *after[spot + 2 :]]
                break
        if result < 0 or _value(after) != whole:
            continue
        line = f"{left}{sign}{right}={result}"
        if not kept:
            for rest in _endings(after, []):
                yield [line, *rest]
        elif "".join(kept[0].split()) in (line, f"{right}{sign}{left}={result}" if sign in "+*" else line):
            yield from _endings(after, kept[1:])


def _value(tokens: list[Token]) -> Fraction:
    """Value of the shadow numbers: brackets, then products, then sums."""
    names = {f"n{place}": shadow for place, (_, shadow) in enumerate(tokens) if shadow is not None}
    source = [f"n{place}" if shadow is not None else token for place, (token, shadow) in enumerate(tokens)]

    def product(spot: int) -> tuple[Fraction, int]:
        value, spot = atom(spot)
        while spot < len(source) and source[spot] == "*":
            factor, spot = atom(spot + 1)
            value *= factor
        return value, spot

    def total(spot: int) -> tuple[Fraction, int]:
        value, spot = product(spot)
        while spot < len(source) and source[spot] in "+-":
            sign = source[spot]
            term, spot = product(spot + 1)
            value = value + term if sign == "+" else value - term
        return value, spot

    def atom(spot: int) -> tuple[Fraction, int]:
        if source[spot] == "(":
            value, spot = total(spot + 1)
            return value, spot + 1
        return names[source[spot]], spot + 1

    return total(0)[0]


def test_a_task_that_no_program_knows_is_refused():
    with pytest.raises(DataError, match="no program can check the steps of task 'gsm8k'; use a teacher behind an endpoint"):
        repaired(Problem("g", "?", "…\nanswer 3", "3", "gsm8k"), "answer 4")
    with pytest.raises(DataError, match="does not lead to its answer '12'"):
        repaired(Problem("g", "?", "12+7=19\nanswer 12", "12", "word-problems"), "answer 4")


def test_many_are_rewritten_in_order():
    found = ProgramTeacher().rewrite_all([CHAIN, STORY], ["answer 11", "answer 1"])
    assert [rewrite.status for rewrite in found] == ["right", "repaired"]
    assert found[1].text == STORY.solution
