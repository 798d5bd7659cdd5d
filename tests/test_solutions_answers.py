"""Which final answers count as right; model text never runs."""

import time

import pytest

from workbench.envs.arithmetic.answers import chosen, final_answer, is_right, number
from workbench.solutions import Problem

CHOICES = ("moss", "Clover", "a bird", "reeds")


def problem(answer, *, task="arithmetic", choices=()):
    return Problem("p", "?", f"answer {answer}", answer, task, choices=choices)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("4*2=8\nanswer 8", "8"),
        ("The answer is 8.", "8"),
        ("The answer is: **8**", "8"),
        ("Answer: $8$", "8"),
        ("first answer 7\nso the answer is 8", "8"),
        ("48/2 = 24\n#### 24", "24"),
        ("#### 1,200", "1,200"),
        (r"so $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"The answer is \boxed{3^{2}}", "3^{2}"),
        ("answer moss; then", "moss"),
        ("answer", None),
        ("answer 3\nno answer", "3"),
        ("4*2=8", None),
        ("", None),
        (r"\boxed{8", None),
    ],
)
def test_the_last_answer_that_is_stated_counts(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("8", True),
        ("8.", True),
        ("8.0", True),
        ("16/2", True),
        ("08", True),
        ("8 apples", True),
        ("$8", True),
        ("8.01", False),
        ("-8", False),
        ("18", False),
        ("8 or 9", False),
        ("4*2", False),
        ("eight", False),
        ("8/0", False),
    ],
)
def test_numbers_are_compared_by_value(said, right):
    assert is_right(problem("8"), f"4*2=8\nanswer {said}") is right


def test_a_solution_without_an_answer_is_wrong():
    assert not is_right(problem("8"), "4*2=8")
    assert not is_right(problem("8"), "")


def test_numbers_with_commas_signs_and_fractions():
    assert number("1,200") == 1200 and number("-3.5") == number("-7/2") and number("12%") == 12 and number(".5") == number("1/2")
    assert number("1,20") is None and number("1/0") is None and number("") is None and number("1e9") is None


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("moss", 0),
        ("MOSS", 0),
        ("clover", 1),
        ("Clover", 1),
        ("(B)", 1),
        ("b", 1),
        ("B.", 1),
        ("(B) clover", 1),
        ("option D", 3),
        ("a bird", 2),
        ("A", 0),
        ("(B) moss", None),
        ("(E)", None),
        ("bird", None),
        ("", None),
    ],
)
def test_choices_are_named_by_text_or_letter_in_any_case(said, place):
    assert chosen(said, CHOICES) == place


def test_a_choice_is_right_whatever_its_case_and_full_stop():
    quiz = problem("Clover", task="arc", choices=CHOICES)
    assert is_right(quiz, "The answer is clover.") and is_right(quiz, "answer (b)") and is_right(quiz, "answer CLOVER")
    assert not is_right(quiz, "answer moss") and not is_right(quiz, "answer nothing of that")


@pytest.mark.parametrize(
    ("gold", "said", "right"),
    [
        (r"\frac{1}{2}", "0.5", True),
        (r"\frac{1}{2}", r"\dfrac{2}{4}", True),
        (r"\frac12", "1/2", True),
        (r"2\sqrt{3}", r"\sqrt{12}", True),
        (r"x^2+2x+1", r"(x+1)^2", True),
        (r"3\pi", r"\pi\cdot 3", True),
        (r"(1, 2)", r"(1,2)", True),
        (r"(1, 2)", r"(2,1)", False),
        (r"x^2+2x+1", r"(x+2)^2", False),
        (r"2\sqrt{3}", r"2\sqrt{2}", False),
        (r"\frac{1}{2}", "nothing", False),
    ],
)
def test_formulas_are_equal_when_their_values_are(gold, said, right):
    assert is_right(problem(gold, task="math"), rf"so it is $\boxed{{{said}}}$") is right


HOSTILE = [
    "__import__('os').system('touch hacked')",
    "9**9**9**9",
    "9^{9^{9^{9}}}",
    "factorial(99999999)",
    "(" * 300,
    r"\frac{" * 90,
    "{" * 390,
    "lambda: 1",
    "1" * 399,
    r"\sum_{n=1}^{10^9} n",
    "x**99999999",
    "(x+1)^{999}-(x+2)^{999}",
    "\x00",
]


@pytest.mark.parametrize("said", HOSTILE)
def test_untrusted_text_is_neither_run_nor_waited_for(said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = time.monotonic()
    assert not is_right(problem(r"x^2+1", task="math"), rf"\boxed{{{said}}}")
    assert not is_right(problem("8"), f"answer {said}")
    assert time.monotonic() - start < 5
    assert not list(tmp_path.iterdir())


def test_a_very_long_response_is_read_from_its_end():
    assert is_right(problem("8"), "4*2=8\n" * 100_000 + "answer 8")
