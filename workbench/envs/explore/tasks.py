"""What is asked about a repository: questions with the one file that answers them, and their stages by depth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.envs.explore.tree import Tree

SEPARATE_LEVELS = 3
"""Depths that have a stage of their own; deeper ones share one (Reflect-RL's code, ``merge_after_first_k``)."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that one file of a repository answers.

    Attributes:
        target: Path of that file.
        question: In natural words; never contains the path.
        answer: What the file says.
        topic: A word or two for what the question is about.
    """

    target: str
    question: str
    answer: str
    topic: str


@dataclass(frozen=True, eq=False)
class Repository:
    """A named tree and what is asked about it."""

    name: str
    tree: Tree
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A question in its repository; ``id`` is ``<repository>/<target>#<number>``."""

    id: str
    repository: Repository
    question: Question

    @property
    def depth(self) -> int:
        """Folders between the root and the target."""
        return self.question.target.count("/")


def tasks_of(repository: Repository) -> list[Task]:
    """Every question as a task; those about one file are numbered from 1."""
    tasks: list[Task] = []
    asked: dict[str, int] = {}
    for question in repository.questions:
        number = asked[question.target] = asked.get(question.target, 0) + 1
        tasks.append(Task(f"{repository.name}/{question.target}#{number}", repository, question))
    return tasks


def easy(repository: Repository) -> Repository:
    """The same repository, asked for each target by its name alone, once (the paper's ``easy`` setting).

    Where several files have the name, the path is given.
    """
    names = [path.rpartition("/")[2] for path in repository.tree.files]
    topics = {question.target: question for question in repository.questions}
    asked = []
    for target in topics:
        name = target.rpartition("/")[2]
        asked.append(Question(target, f"Find {name if names.count(name) == 1 else target}", target, name))
    return Repository(repository.name, repository.tree, tuple(asked))


def stages_of(tasks: Iterable[Task], *, merge_first_two: bool) -> dict[str, tuple[str, ...]]:
    """Task ids by stage: one stage for each depth, shallow first, then ``all``.

    Stages of one depth replace one another as in the paper; the last holds every task, so that whoever plays it plays the
    whole. Depths 0, 1 and 2 are ``depth-0`` to ``depth-2``, all deeper ones ``depth-3``; ``merge_first_two`` makes ``depth-1``
    of 0 and 1. A depth without tasks has no stage, and where there is one depth only there is no stage but ``all``.
    """
    levels: dict[int, list[str]] = {}
    every: list[str] = []
    for task in tasks:
        level = min(task.depth, SEPARATE_LEVELS)
        levels.setdefault(max(level, 1) if merge_first_two else level, []).append(task.id)
        every.append(task.id)
    stages = {f"depth-{level}": tuple(levels[level]) for level in sorted(levels)} if len(levels) > 1 else {}
    return {**stages, "all": tuple(every)}


def without_repeats(questions: Sequence[Question]) -> tuple[Question, ...]:
    """The questions whose words are asked once only: a question that fits two files has no one answer."""
    asked = [question.question for question in questions]
    return tuple(question for question in questions if asked.count(question.question) == 1)
