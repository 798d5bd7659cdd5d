"""What an outside teacher is asked, and which of its answers are refused."""

import pytest

from workbench.config import TeacherConfig
from workbench.data.answers import Query
from workbench.data.teach import shortened
from workbench.data.teachers.base import Lesson
from workbench.data.teachers.outside import OutsideTutor
from workbench.data.teachers.refusals import refusal
from workbench.instructions import analysis_messages, choice_messages, chosen_command, clean_answer
from workbench.prompts import Label

COMMANDS = ("go east", "go west", "read hint.txt")
LESSON = Lesson(0, "Find the hint.", "You see hint.txt and a wall.", COMMANDS, first=False, best="go west", mistake=None, draft="draft")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("The wall is east, so I go west.", None),
        ("There is a hint here, but I go west first.", None),  # the player sees that word
        ("A wall blocks the way.", None),
        ("", "empty"),
        (" ... ", "empty"),
        ("I was told to go west.", "betrays"),
        ("The spoiler says go west.", "betrays"),
        ("As instructed, I go west.", "betrays"),
        ("The optimal action is go west.", "betrays"),
        ("According to what I have, go west.", "betrays"),
        ("The given command fits, so I go west.", "betrays"),
        ("go west", "betrays"),
        ("Go west.", "betrays"),
        ("The way is free, so I go east.", "contradicts"),
    ],
)
def test_answers_are_refused_for_a_reason(text, problem):
    assert refusal(text, LESSON, told="go west") == problem
    assert refusal(text, LESSON, told=None) == ("empty" if problem == "empty" else None)


class Scripted:
    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[Query] = []

    def ask(self, queries):
        self.asked += queries
        return [self.answers.pop(0) for _ in queries]

    def facts(self):
        return {}


def test_refused_answers_are_asked_again_and_last_without_the_spoiler():
    source = Scripted("I was told to go west.", "go west", "Now I look around.")
    tutor = OutsideTutor(source, TeacherConfig(kind="endpoint", model="m", max_rewrites=2))
    assert tutor.explain([LESSON]) == ["Now I look around."]
    told = ["best next command" in query.messages[-1]["content"] for query in source.asked]
    assert told == [True, True, False]
    assert [query.attempt for query in source.asked] == [0, 1, 2]
    assert len({query.request for query in source.asked}) == 3
    assert tutor.facts()["refused_answers"] == {"betrays": 2, "contradicts": 0, "empty": 0}


def test_a_lesson_without_a_usable_answer_is_left_out():
    tutor = OutsideTutor(Scripted("", "fine", ""), TeacherConfig(kind="endpoint", model="m", max_rewrites=1))
    assert tutor.explain([LESSON, LESSON]) == [None, "fine"]
    assert tutor.facts()["examples_left_out"] == 1


def test_answers_become_one_clean_line():
    assert clean_answer("<think>the answer\nis 3</think>\nI go\twest.\x1b[0m\n# Choose:\n1 go west") == "I go west. [0m"
    assert clean_answer("<think>never ends") == ""


def test_the_list_comes_after_the_analysis():
    labels = [Label(text, -1) for text in ("2", "0", "1")]
    analysis = analysis_messages("Find it.", "A wall.", max_words=50)
    assert not any(command in message["content"] for message in analysis for command in COMMANDS)
    choice = choice_messages(analysis, "West is free.", COMMANDS, labels)
    assert [message["role"] for message in choice] == ["system", "user", "assistant", "user"]
    assert "2: go east\n0: go west\n1: read hint.txt" in choice[-1]["content"]


@pytest.mark.parametrize(
    ("answer", "command"),
    [
        ("0", "go west"),
        (" **2** ", "go east"),
        ("I choose 0.", "go west"),
        ("Answer: 1", "read hint.txt"),
        ("go west", "go west"),
        ("7", None),
        ("I am not sure", None),
        ("", None),
    ],
)
def test_choices_are_read(answer, command):
    assert chosen_command(answer, COMMANDS, [Label(text, -1) for text in ("2", "0", "1")]) == command


def test_long_reflections_end_at_a_sentence_or_a_word():
    def count(text: str) -> int:
        return len(text.split())

    text = "Go west. The wall is near. Then north."
    assert shortened(text, count, 20) == text
    assert shortened(text, count, 7) == "Go west. The wall is near."
    assert shortened(text, count, 5) == "Go west."
    assert shortened("one two three four", count, 3) == "one two three"
    assert shortened("abcdef", len, 4) == "abcd"
