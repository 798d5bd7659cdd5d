"""Teachers that know the solution and say it in words.

A teacher looks at the environment's oracle and writes what a good reflection would be. Sentences vary, the command
to take is always named last, and no teacher sees labels or the list of commands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from workbench.envs.text_env import TextEnv
from workbench.errors import DataError


class Mistake(NamedTuple):
    """A wrong command that was just taken."""

    command: str
    better: str
    """What the oracle would have done instead."""


class Teacher(Protocol):
    """Writes reflections about the environment's present state."""

    def reflect(self, env: TextEnv, generator: np.random.Generator) -> str:
        """What to make of this state and what to do next."""

    def correct(self, env: TextEnv, mistake: Mistake, generator: np.random.Generator) -> str:
        """What the last command got wrong and how to mend it from here."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A step that was played and is to be explained."""

    number: int
    """Of the example in its data."""
    task_statement: str
    observation: str
    commands: tuple[str, ...]
    first: bool
    """True at the first step of a trajectory."""
    best: str
    """The oracle's command."""
    mistake: str | None
    """The wrong command that led here, where it is to be corrected."""
    draft: str
    """What the environment's own rules say about the step."""


class Tutor(Protocol):
    """Explains many steps at once: by rules, through an endpoint, or from a recording."""

    def explain(self, lessons: Sequence[Lesson]) -> list[str | None]:
        """A reflection for each lesson, in order; None for one that has to be left out."""

    def facts(self) -> dict[str, Any]:
        """Who taught and what it took, for the data card."""


def best_command(env: TextEnv) -> str:
    """The first command of the oracle's plan.

    Raises:
        DataError: The oracle gives no plan from here.
    """
    plan = env.oracle()
    if not plan:
        raise DataError(f"the oracle of {env.name!r} gives no plan for task {env.task!r} at state {env.state_key()!r}")
    return plan[0]


def pick(options: tuple[str, ...], generator: np.random.Generator) -> str:
    """One of ``options``, each equally likely."""
    return options[int(generator.integers(len(options)))]
