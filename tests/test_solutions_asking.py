"""The teacher behind an endpoint: what it says is used only where it is borne out, kept, and never asked for twice."""

from collections import Counter

import pytest

from tests.faulty_server import FaultyServer, serving
from workbench.config import EndpointConfig
from workbench.data.answers import ANSWERS_FILE, AnswerFile, read_answers
from workbench.data.solutions.asking import AskingTeacher
from workbench.data.solutions.program import repaired
from workbench.data.teachers.endpoint import EndpointSource
from workbench.data.teachers.recorded import RecordedSource
from workbench.envs.arithmetic.problems import make_problems
from workbench.errors import EndpointError
from workbench.solution_prompts import (
    clean_lines,
    locate_messages,
    named_step,
    numbered,
    policy_prompt,
    rewrite_messages,
    rewrite_prompt,
    without_labels,
)
from workbench.solutions import Problem

CHAIN = Problem("chain", "What is 3+4*2?", "4*2=8\n3+8=11\nanswer 11", "11", "arithmetic")
WRONG = "4*2=8\n3+8=12\nanswer 12"


class Said:
    """A source that gives what it is told to, and counts what it is asked."""

    def __init__(self, **answers):
        self.answers = {kind: list(texts) for kind, texts in answers.items()}
        self.asked: Counter[str] = Counter()

    def ask(self, queries):
        self.asked.update(query.kind for query in queries)
        return [self.answers[query.kind].pop(0) for query in queries]

    def facts(self):
        return {}


def rewritten(*, locate, rewrite=(), response=WRONG, attempts=1):
    return AskingTeacher(Said(locate=locate, rewrite=rewrite), attempts=attempts).rewrite_all([CHAIN], [response])[0]


def test_a_located_and_verified_rewrite_is_repaired():
    found = rewritten(locate=["[1]"], rewrite=["3+8=11\nanswer 11"])
    assert (found.status, found.first_wrong_step, found.text) == ("repaired", 1, "4*2=8\n3+8=11\nanswer 11")
    assert found.edited_spans is None, "nobody knows which edits had to be"


def test_the_right_lines_stay_whatever_the_teacher_writes():
    found = rewritten(locate=["[1]"], rewrite=["2*4=8\n3+8=11\nanswer 11"])
    assert found.text.startswith("4*2=8\n2*4=8\n")
    assert rewritten(locate=["[1]"], rewrite=["4*2=8\n3+8=11\nanswer 11"]).text == "4*2=8\n3+8=11\nanswer 11", "its repetition is left out"
    assert rewritten(locate=["[1]"], rewrite=["```\n[1] 3+8=11\n[2] answer 11\n```"]).text == "4*2=8\n3+8=11\nanswer 11"


@pytest.mark.parametrize("said", ["The solution is correct.", "none", "", "[7]", "incorrect", "<think>[1]</think>"])
def test_a_wrong_response_that_was_not_located_stays_so(said):
    found = rewritten(locate=[said])
    assert (found.status, found.first_wrong_step, found.text, found.is_usable) == ("not-located", None, "", False)


def test_a_rewrite_with_a_wrong_answer_is_not_verified():
    found = rewritten(locate=["[1]"], rewrite=["3+8=13\nanswer 13"])
    assert (found.status, found.is_usable) == ("not-verified", False)


def test_an_empty_rewrite_has_failed():
    assert rewritten(locate=["[1]"], rewrite=["<think>hm"]).status == "failed"


def test_each_question_is_asked_again_when_its_answer_is_of_no_use():
    source = Said(locate=["correct", "[1]"], rewrite=["answer 13", "3+8=11\nanswer 11"])
    found = AskingTeacher(source, attempts=2).rewrite_all([CHAIN], [WRONG])[0]
    assert found.status == "repaired" and source.asked == {"locate": 2, "rewrite": 2}


def test_right_and_repeated_responses_are_not_asked_about():
    source = Said(locate=["[1]"], rewrite=["3+8=11\nanswer 11"])
    found = AskingTeacher(source).rewrite_all([CHAIN] * 3, [WRONG, "answer 11", WRONG])
    assert [rewrite.status for rewrite in found] == ["repaired", "right", "repaired"]
    assert source.asked == {"locate": 1, "rewrite": 1}


def test_steps_with_two_digits_are_read_whole():
    assert named_step("[12]", 20) == 12 and named_step("Line 12 is wrong.", 20) == 12 and named_step(" 12. ", 20) == 12
    assert named_step("step 3, or [4]", 20) == 4, "a label comes first"
    assert named_step("Three of 4 lines are correct", 4) is None and named_step("[5]", 5) == 5 and named_step("[6]", 5) is None


def test_prompts_by_hand():
    assert policy_prompt(CHAIN) == "What is 3+4*2?\n# Solution:\n"
    assert rewrite_prompt(CHAIN, "answer 8") == (
        "What is 3+4*2?\n# Reference:\n4*2=8\n3+8=11\nanswer 11\n# Attempt:\nanswer 8\n# Rewrite:\n"
    )
    assert numbered(WRONG) == "[0] 4*2=8\n[1] 3+8=12\n[2] answer 12"
    assert clean_lines("<think>[0]</think>\n[1] a\n```\nb\x07 \n") == "[1] a\nb"
    assert without_labels("[1] a\n[12]b\n c[1]") == "a\nb\n c[1]"
    assert "answer [3] if every line is right" in locate_messages(CHAIN, WRONG)[1]["content"]
    assert "before [2] are right" in rewrite_messages(CHAIN, WRONG, 2)[1]["content"]


# With a server ------------------------------------------------------------------------------------------


def spoilt_cases(count):
    problems = make_problems("arithmetic", count=count, stage="short", seed=5)
    return problems, [f"{problem.solution.rpartition(' ')[0]} 1000" for problem in problems]


def honest(problems, responses):
    """A model that reads the attempt and does what the program does."""
    by_question = {problem.question: (problem, response) for problem, response in zip(problems, responses, strict=True)}

    def answer(messages):
        asked = messages[-1]["content"]
        problem, response = by_question[asked.partition("Problem:\n")[2].partition("\n\nReference")[0]]
        found = repaired(problem, response)
        if "Which line" in asked:
            return f"It is line [{found.first_wrong_step}]."
        return "\n".join(found.text.split("\n")[found.first_wrong_step :])

    return answer


def config(server, **changes):
    return EndpointConfig(base_url=server.base_url, model="m", concurrency=4, max_backoff_seconds=0.05, timeout_seconds=60, **changes)


def test_a_work_that_dies_halfway_goes_on_and_asks_for_nothing_twice(tmp_path):
    problems, responses = spoilt_cases(12)
    with serving(FaultyServer(honest(problems, responses))) as server:
        model = server.answer

        def mortal(messages):
            if sum(server.answered.values()) >= 17:
                server.down = True
            return model(messages)

        server.answer = mortal
        with AnswerFile(tmp_path) as answers, pytest.raises(EndpointError, match="kept"):
            AskingTeacher(EndpointSource(config(server, max_retries=0), answers)).rewrite_all(problems, responses)
        kept = len(read_answers(tmp_path / ANSWERS_FILE))
        assert 12 <= kept < 24
        server.down, server.answer = False, model
        with AnswerFile(tmp_path) as answers:
            found = AskingTeacher(EndpointSource(config(server), answers)).rewrite_all(problems, responses)
        assert [rewrite.status for rewrite in found] == ["repaired"] * 12
        assert [rewrite.text for rewrite in found] == [problem.solution for problem in problems]
        assert max(server.answered.values()) <= 2 and len(read_answers(tmp_path / ANSWERS_FILE)) == 24
    recorded = AskingTeacher(RecordedSource(tmp_path / ANSWERS_FILE)).rewrite_all(problems, responses)
    assert recorded == found, "the recording alone gives the same, with nobody there"


def test_faults_on_the_way_change_nothing(tmp_path):
    problems, responses = spoilt_cases(8)
    with serving(FaultyServer(honest(problems, responses), fault_rate=0.3, faults=("500", "garbage", "half"), seed=1)) as server:
        with AnswerFile(tmp_path) as answers:
            found = AskingTeacher(EndpointSource(config(server, max_retries=20), answers)).rewrite_all(problems, responses)
        assert server.met
    assert [rewrite.status for rewrite in found] == ["repaired"] * 8
