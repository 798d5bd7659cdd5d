"""Files of problems with the field names of the public data sets; a bad row is told with file, line and field."""

import json
from typing import Any

import pytest

from workbench.data.solutions.files import formats, read_problems
from workbench.envs.arithmetic.answers import is_right
from workbench.errors import DataError

LETTERS = ["A", "B", "C", "D"]
TEXTS = ["moss", "Clover", "reeds", "mint"]
CHOICES = {"text": TEXTS, "label": LETTERS}
NESTED = [{"text": text, "label": label} for text, label in zip(TEXTS, LETTERS, strict=True)]
SHOWN = "\n(A) moss\n(B) Clover\n(C) reeds\n(D) mint"

ROWS: dict[str, dict[str, Any]] = {
    "plain": {"question": "What is 2+2?", "solution": "2+2=4", "answer": "4"},
    "gsm8k": {"question": "How many?", "answer": "He has 48/2 = <<48/2=24>>24.\nThen 48+24 = <<48+24=72>>72.\n#### 72"},
    "math": {"problem": "Find $x$.", "solution": r"We get $x=\boxed{\frac{3}{4}}$.", "level": "Level 3", "type": "Algebra"},
    "svamp": {"ID": "chal-1", "Body": "Ann has 8 nuts", "Question": "How many are left?", "Equation": "( 8.0 - 3.0 )", "Answer": 5.0},
    "ecqa": {
        "q_no": "e1",
        "q_concept": "eat",
        "q_text": "What does it eat?",
        "q_ans": "Clover",
        **{f"q_op{place}": text for place, text in enumerate([*TEXTS, "acorns"], start=1)},
        "taskA_pos": "It lives in meadows.\nMeadows have clover.",
        "taskA_neg": "Moss is elsewhere.",
        "taskB": "A text.",
    },
    "qasc": {
        "id": "q1",
        "question": "What does it eat?",
        "choices": CHOICES,
        "answerKey": "B",
        "fact1": "It lives in meadows.",
        "fact2": "Meadows have clover.",
        "combinedfact": "It eats clover.",
    },
    "openbookqa": {"id": "o1", "question_stem": "What does it eat?", "choices": CHOICES, "answerKey": "B"},
    "arc": {"id": "a1", "question": "What does it eat?", "choices": {"text": TEXTS, "label": ["1", "2", "3", "4"]}, "answerKey": "2"},
}
QUIZZES = ("ecqa", "qasc", "openbookqa", "arc")


def written(tmp_path, *rows, name="problems.jsonl"):
    path = tmp_path / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def read_one(tmp_path, form, row):
    (problem,) = read_problems(written(tmp_path, row), form)
    return problem


def test_every_form_has_a_row_here():
    assert set(formats()) == set(ROWS)


@pytest.mark.parametrize("form", formats())
def test_reference_solutions_are_right(tmp_path, form):
    problem = read_one(tmp_path, form, ROWS[form])
    assert is_right(problem, problem.solution)
    assert problem.task == form and problem.problem_id.startswith(f"{form}-") and problem.split == "train"


def test_gsm8k_by_hand(tmp_path):
    problem = read_one(tmp_path, "gsm8k", ROWS["gsm8k"])
    assert problem.solution == "He has 48/2 = 24.\nThen 48+24 = 72.\nanswer 72"
    assert (problem.question, problem.answer, problem.problem_id) == ("How many?", "72", "gsm8k-problems-000001")


def test_math_by_hand(tmp_path):
    problem = read_one(tmp_path, "math", ROWS["math"])
    assert (problem.answer, problem.stage) == (r"\frac{3}{4}", "level-3")
    assert is_right(problem, "The answer is 0.75.") and not is_right(problem, "The answer is 0.7.")


def test_svamp_by_hand(tmp_path):
    problem = read_one(tmp_path, "svamp", ROWS["svamp"])
    assert problem.question == "Ann has 8 nuts. How many are left?"
    assert (problem.solution, problem.answer, problem.problem_id) == ("( 8 - 3 ) = 5\nanswer 5", "5", "svamp-chal-1")


@pytest.mark.parametrize("form", QUIZZES)
def test_quizzes_by_hand(tmp_path, form):
    problem = read_one(tmp_path, form, ROWS[form])
    assert problem.question.startswith(f"What does it eat?{SHOWN}")
    assert problem.answer == "Clover" and problem.solution.endswith("answer Clover")
    assert is_right(problem, "answer clover.") and is_right(problem, "answer (b)") and not is_right(problem, "answer moss")
    facts = {"ecqa": 2, "qasc": 3, "openbookqa": 0, "arc": 0}[form]
    assert problem.solution.count("\n") == facts


@pytest.mark.parametrize("form", ["qasc", "openbookqa", "arc"])
def test_the_authors_own_nesting_is_read_as_well(tmp_path, form):
    problem = read_one(tmp_path, form, {"id": "n1", "question": {"stem": "What?", "choices": NESTED}, "answerKey": "D"})
    assert problem.question == f"What?{SHOWN}" and problem.answer == "mint"


def test_plain_rows_may_have_choices_and_keep_a_stated_answer(tmp_path):
    problem = read_one(tmp_path, "plain", {"question": "What?", "solution": "x\nThe answer is mint.", "answer": "mint", "choices": TEXTS})
    assert problem.choices == tuple(TEXTS) and problem.solution == "x\nThe answer is mint."


def without(form, field):
    return {key: value for key, value in ROWS[form].items() if key != field}


@pytest.mark.parametrize(
    ("form", "row", "message"),
    [
        ("gsm8k", without("gsm8k", "question"), "field 'question' is missing; found: answer"),
        ("gsm8k", {"question": "?", "answer": "72"}, "field 'answer' has to end in '#### ' and a number, found '72'"),
        ("gsm8k", {"question": "?", "answer": "#### many"}, "field 'answer' has to end in"),
        ("gsm8k", {"question": "?", "answer": None}, "field 'answer' has to be a text, found None"),
        ("gsm8k", {"question": ["?"], "answer": "#### 1"}, r"field 'question' has to be a text, found \['\?'\]"),
        ("math", {"problem": "?", "solution": "It is 3."}, r"field 'solution' has to hold its answer in \\boxed\{\}"),
        ("svamp", {**ROWS["svamp"], "Answer": "five"}, "field 'Answer' has to be a number, found 'five'"),
        ("svamp", without("svamp", "Body"), "field 'Body' is missing"),
        ("ecqa", {**ROWS["ecqa"], "q_ans": "bark"}, r"field 'q_ans' has to be one of q_op1 to q_op5 \(moss, .*\), found 'bark'"),
        ("ecqa", without("ecqa", "q_op4"), "field 'q_op4' is missing"),
        ("qasc", {**ROWS["qasc"], "answerKey": "F"}, "field 'answerKey' has to be one of A, B, C, D, found 'F'"),
        ("qasc", without("qasc", "answerKey"), "field 'answerKey' is missing"),
        ("arc", {**ROWS["arc"], "choices": "ABCD"}, "field 'choices' has to hold texts and labels, found 'ABCD'"),
        ("arc", {**ROWS["arc"], "choices": {"text": TEXTS, "label": ["A"]}}, "field 'choices' has to hold 2 to 8 texts and as many labels"),
        ("arc", {**ROWS["arc"], "choices": {"text": ["", "b"], "label": ["A", "B"]}}, "has to hold non-empty texts and labels"),
        ("openbookqa", {"question": {"choices": NESTED}, "answerKey": "A"}, "field 'question.stem' is missing; found: choices"),
        ("openbookqa", {"question": {"stem": "?", "choices": [1]}, "answerKey": "A"}, "field 'question.choices' has to hold"),
        ("plain", {**ROWS["plain"], "answer": " "}, "field 'answer' has to be a text"),
        ("plain", {**ROWS["plain"], "choices": ["3", "5"]}, r"field 'answer' has to be one of the choices \(3, 5\), found '4'"),
        ("plain", {**ROWS["plain"], "choices": "3"}, "field 'choices' has to be a list of texts"),
        ("plain", {**ROWS["plain"], "question": "x" * 100_001}, "field 'question' is longer than 100,000 characters"),
        ("plain", [1, 2], "expected an object with named fields, found list"),
        ("plain", "{half", "is no JSON"),
        ("plain", "[" * 5000, "is no JSON"),
    ],
)
def test_a_bad_row_is_told_with_file_and_line(tmp_path, form, row, message):
    path = written(tmp_path, ROWS[form], "", row)
    with pytest.raises(DataError, match=rf"problems\.jsonl, line 3: .*{message}") as caught:
        read_problems(path, form)
    assert "\n" not in str(caught.value)


def test_two_rows_of_one_id_are_told(tmp_path):
    with pytest.raises(DataError, match="line 2: its id 'a1' was used on an earlier line"):
        read_problems(written(tmp_path, ROWS["arc"], ROWS["arc"]), "arc")


def test_files_that_cannot_be_used_are_told(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read: No such file"):
        read_problems(tmp_path / "none.jsonl", "arc")
    with pytest.raises(DataError, match="holds no problem"):
        read_problems(written(tmp_path, ""), "arc")
    with pytest.raises(DataError, match="unknown form 'gsm'; did you mean 'gsm8k'"):
        read_problems(written(tmp_path), "gsm")
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "\xe4"}')
    with pytest.raises(DataError, match=r"is not UTF-8 text \(byte 14\)"):
        read_problems(tmp_path / "latin.jsonl", "plain")


def test_a_limit_reads_only_the_first(tmp_path):
    path = written(tmp_path, *({**ROWS["plain"], "id": name} for name in "abc"), name="\u00fc.jsonl")
    assert [problem.problem_id for problem in read_problems(path, "plain", limit=2, split="test")] == ["plain-a", "plain-b"]
