"""Problems by task, stage, split and seed."""

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from workbench.envs.arithmetic.chains import SIZES, draw_chain
from workbench.envs.arithmetic.draft import Draft
from workbench.envs.arithmetic.knowledge import HOPS, draw_quiz
from workbench.envs.arithmetic.stories import OPERATIONS, draw_story
from workbench.errors import EnvError, nearest
from workbench.seeding import generator
from workbench.solutions import Problem

SPLITS = ("train", "validation", "test", "held-out")
"""A question is in one of the first three, whatever the seed; the numbers, names or things of ``held-out`` are in none of them."""
TRIES = 400
"""Draws per problem before a stage counts as used up."""


class _Task(NamedTuple):
    draw: Callable[..., Draft | None]
    stages: tuple[str, ...]
    """Easiest first."""


_TASKS = {
    "arithmetic": _Task(draw_chain, tuple(SIZES)),
    "knowledge": _Task(draw_quiz, tuple(HOPS)),
    "word-problems": _Task(draw_story, tuple(OPERATIONS)),
}


def task_names() -> tuple[str, ...]:
    """What problems can be made for."""
    return tuple(_TASKS)


def stages_of(task: str) -> tuple[str, ...]:
    """The stages of a task, easiest first.

    Raises:
        EnvError: There is no such task.
    """
    if task not in _TASKS:
        raise EnvError(f"no problems can be made for {task!r}; {nearest(str(task), _TASKS)}")
    return _TASKS[task].stages


def make_problems(task: str, *, count: int, stage: str | None = None, split: str = "train", seed: int = 0) -> tuple[Problem, ...]:
    """Different problems of one task.

    The first ``count`` problems are the same whatever ``count`` is. Training, validation and test share no question, also between seeds.

    Args:
        task: ``arithmetic``, ``word-problems`` or ``knowledge``.
        count: How many.
        stage: One of ``stages_of(task)``; the hardest when None.
        split: One of ``SPLITS``.
        seed: Of everything that is drawn.

    Raises:
        EnvError: Task, stage or split is unknown, ``count`` is below 1, or there are not that many different problems.
    """
    stages = stages_of(task)
    stage = stages[-1] if stage is None else stage
    if stage not in stages:
        raise EnvError(f"{task}: unknown stage {stage!r}; {nearest(str(stage), stages)}")
    if split not in SPLITS:
        raise EnvError(f"{task}: unknown split {split!r}; {nearest(str(split), SPLITS)}")
    if count < 1:
        raise EnvError(f"{task}: the number of problems must be at least 1, found {count}")
    return _drawn(task, count, stage, split, seed)


@lru_cache(maxsize=16)  # checks before a run, the run itself and its branches ask for the same ones
def _drawn(task: str, count: int, stage: str, split: str, seed: int) -> tuple[Problem, ...]:
    dice = generator(seed, "problems", task, stage, split)
    found: dict[str, Problem] = {}
    for _ in range(TRIES * count):
        draft = _of_split(_TASKS[task].draw(dice, stage, held_out=split == "held-out"), split)
        if draft is not None and draft.question not in found:
            name = f"{task}-{stage}-{split}-{seed}-{len(found):06d}"
            found[draft.question] = Problem(
                name, draft.question, draft.solution, draft.answer, task, stage=stage, split=split, choices=draft.choices
            )
            if len(found) == count:
                return tuple(found.values())
    where = f"stage {stage!r} and split {split!r}"
    raise EnvError(f"{task}: only {len(found)} different problems were found in {where}; ask for fewer than {count}")


def _of_split(draft: Draft | None, split: str) -> Draft | None:
    return draft if draft is not None and split in ("held-out", split_of(draft.question)) else None


def split_of(question: str) -> str:
    """Training, validation or test, by the words of the question alone."""
    place = zlib.crc32(question.encode()) % 20
    return "test" if place < 3 else "validation" if place < 5 else "train"
