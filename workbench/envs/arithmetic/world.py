"""Worked problems as worlds of one turn: the observation is the question, the command is the whole solution in free text."""

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

from workbench.envs.arithmetic.answers import is_right
from workbench.envs.arithmetic.problems import make_problems, stages_of
from workbench.envs.text_env import Outcome, TextEnv
from workbench.errors import EnvError, nearest
from workbench.solutions import Problem

MOST_PROBLEMS = 100_000


class Arithmetic(TextEnv):
    """Chains of arithmetic; the reward is 1 for a solution whose final answer is right, otherwise 0.

    A task is a problem by its name. Lines of a solution may also be separated by semicolons, for people who type it on one line.
    """

    name: ClassVar[str] = "arithmetic"
    stages: ClassVar[tuple[str, ...]] = stages_of("arithmetic")
    free_text: ClassVar[bool] = True

    def __init__(
        self, *, problems: int = 300, split: str = "train", problem_seed: int = 0, horizon: int = 1, render_mode: str | None = None
    ) -> None:
        """Make the problems.

        Args:
            problems: How many in every stage.
            split: ``train``, ``validation``, ``test`` or ``held-out``; no question is in two of them.
            problem_seed: Of the problems.
            horizon: Of no effect: every answer ends the trajectory.
            render_mode: As in every ``TextEnv``.

        Raises:
            EnvError: An option is out of range, or there are not that many different problems.
        """
        super().__init__(horizon=horizon, render_mode=render_mode)
        if isinstance(problems, bool) or not isinstance(problems, int) or not 1 <= problems <= MOST_PROBLEMS:
            raise EnvError(f"{self.name}: problems must be 1 to {MOST_PROBLEMS:,}, found {problems!r}")
        self._problems = {stage: _made(self.name, problems, stage, split, problem_seed) for stage in self.stages}
        self.problem = next(iter(self._problems[self.stages[-1]].values()))
        """What is asked now."""
        self._answered = False

    def tasks(self, stage: str) -> Sequence[str]:
        """The problems of a stage by name."""
        return tuple(self._problems[stage])

    def _begin(self, task: str, stage: str) -> None:
        problems = self._problems[stage]
        if task not in problems:
            raise EnvError(f"{self.name}: stage {stage!r} has no problem {task!r}; {nearest(str(task), list(problems)[:5])}")
        self.problem, self._answered = problems[task], False

    def _act(self, command: str) -> Outcome:
        self.success = is_right(self.problem, command)
        self._answered = True
        return Outcome(float(self.success), terminated=True)

    def observe(self) -> str:
        """The question."""
        return self.problem.question

    def admissible_commands(self) -> tuple[str, ...]:
        """None: any text may be answered."""
        return ()

    def state_key(self) -> str:
        """The problem, and whether it was answered."""
        return f"{self.problem.problem_id}{'/solved' if self.success else '/answered' if self._answered else ''}"

    def task_statement(self) -> str:
        """The form of a solution."""
        return "Solve the problem, one step a line. The last line is: answer, and the answer."

    def oracle(self) -> list[str] | None:
        """The reference solution; nothing once it is solved."""
        return [] if self.success else [self.problem.solution]


class WordProblems(Arithmetic):
    """Word problems from templates, worked as chains of arithmetic."""

    name: ClassVar[str] = "word-problems"
    stages: ClassVar[tuple[str, ...]] = stages_of("word-problems")


class KnowledgeQuiz(Arithmetic):
    """Quizzes with four choices, one to three facts away from the answer; choices are answered by text or letter."""

    name: ClassVar[str] = "knowledge"
    stages: ClassVar[tuple[str, ...]] = stages_of("knowledge")


@lru_cache(maxsize=32)
def _made(task: str, count: int, stage: str, split: str, seed: int) -> dict[str, Problem]:
    return {problem.problem_id: problem for problem in make_problems(task, count=count, stage=stage, split=split, seed=seed)}
