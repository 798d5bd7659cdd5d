"""AutoExplore: find the file that answers a question, one folder in sight at a time.

Reflect-RL, section 6.1 of our notes, without its defects: penalties of invalid commands are real, the right file comes from the
task, listings are sorted, tasks of one repository stay together. A step touches neither disk nor process.
"""

import zlib
from collections.abc import Sequence
from typing import Any, ClassVar

from workbench.envs.explore.episode import Episode
from workbench.envs.explore.library import Library, Shelf, library
from workbench.envs.explore.options import checked_number, checked_share, checked_switch, checked_word
from workbench.envs.explore.repositories import DEEPEST
from workbench.envs.explore.tasks import Task
from workbench.envs.snapshots import shape_problem
from workbench.envs.text_env import Info, Outcome, TextEnv
from workbench.errors import EnvError, nearest

COST_UNITS = 15.0
"""A reward of 1 is this many of the paper's units of cost."""
STEP_COST = 1.0
END_COST = 15.0
PROBLEM_COSTS = {"": 0.0, "warning": 1.0, "error": 2.0}
"""On top of the step's, for a command that did nothing."""

INSTRUCTION = "Find the file that answers the question. Look around with cd and cat, then name the file with id."

_SNAPSHOT_TYPES: dict[str, tuple[type, ...]] = {"task": (str,), "stage": (str,), "draw": (int,), "commands": (list,)}


class AutoExplore(TextEnv):
    """Explore a repository with ``cd`` and ``cat`` until the file is found that answers a question; name it with ``id``.

    Rewards are the paper's costs divided by -15: a step costs 1; the right ``id`` earns 15, a wrong ``id`` or running out of
    turns costs 15 more. A solution in n steps returns (15 - n) / 15. The first ``id`` ends the trajectory.

    Stages: ``depth-0``, ``depth-1``, … hold the tasks whose file lies in that many folders, and ``all`` holds every task. They
    depend on the tasks there are, so ask the environment and not the class. A task id such as
    ``web-shop-01/billing/refund_limit.py#1`` names repository, file and number of the question.
    """

    name: ClassVar[str] = "explore"
    stages: ClassVar[tuple[str, ...]] = ("depth-0", "depth-1", "depth-2", "all")

    def __init__(
        self,
        *,
        horizon: int = 15,
        source: str = "generated",
        repositories: int = 24,
        seed: int = 0,
        depth: int = 2,
        vague_names: float = 0.1,
        steady_suffixes: bool = False,
        questions: str = "plain",
        tasks_per_repository: int = 100,
        observation: str = "paper",
        commands: str = "paper",
        identify: str = "any",
        read_first: bool = True,
        leave_out: float = 0.0,
        merge_first_two: bool = False,
        first_step: bool = False,
        on_invalid: str = "raise",
        render_mode: str | None = None,
    ) -> None:
        """Build the world; repositories and tasks are shared by all environments with the same options.

        Args:
            horizon: Turns after which a trajectory is truncated.
            source: ``generated``, ``stdlib``, ``package:NAME``, or a folder or archive (zip, tar), which is one repository.
            repositories: How many are generated.
            seed: Of what is generated, asked and sampled for the library; play has its own.
            depth: Folders above the deepest file that is asked about.
            vague_names: Share of generated files whose name tells nothing.
            steady_suffixes: The file that states a fact has the same suffix in every generated repository, such as ``.csv``.
            questions: ``plain`` asks for a fact, a definition or a line; ``easy`` names the file.
            tasks_per_repository: Most questions about one repository.
            observation: ``paper`` shows everything under headings, ``compact`` as few words as possible.
            commands: ``paper`` offers cd, cat and id; ``all`` also ls, head and tail.
            identify: ``any`` offers ``id`` for every file in sight, ``read`` for those that were read.
            read_first: The oracle reads the file before it names it, as the paper's optimal path does. Success does not ask for it.
            leave_out: Chance that a folder or file off the way to the right file is missing in a trajectory.
            merge_first_two: The files in the root and one folder deep are one stage.
            first_step: A trajectory is one turn, solved by a first command of a shortest solution, which earns 1 (the paper's bandit
                pays 100 units and the horizon).
            on_invalid: ``raise`` refuses what is not in the list of commands, as the contract asks; ``penalise`` lets a player type
                anything: a warning costs 1 more and an error 2.
            render_mode: Gymnasium's.

        Raises:
            EnvError: An option is out of range, or the source cannot be used.
        """
        self._observation = checked_word("observation", observation, ("paper", "compact"))
        self._commands = checked_word("commands", commands, ("paper", "all"))
        self._identify = checked_word("identify", identify, ("any", "read"))
        self._on_invalid = checked_word("on_invalid", on_invalid, ("raise", "penalise"))
        self._read_first = checked_switch("read_first", read_first)
        self._first_step = checked_switch("first_step", first_step)
        self._leave_out = checked_share("leave_out", leave_out)
        shelf = Shelf(
            source=checked_word("source", source, ()),
            repositories=checked_number("repositories", repositories, 1, 10_000),
            seed=checked_number("seed", seed, 0, 2**31 - 1),
            depth=checked_number("depth", depth, 0, DEEPEST),
            vague_names=checked_share("vague_names", vague_names),
            steady_suffixes=checked_switch("steady_suffixes", steady_suffixes),
            questions=checked_word("questions", questions, ("plain", "easy")),
            tasks_per_repository=checked_number("tasks_per_repository", tasks_per_repository, 1, 100_000),
            merge_first_two=checked_switch("merge_first_two", merge_first_two),
            commands_per_file=1 + (self._identify == "any") + 2 * (self._commands == "all"),
        )
        self._library: Library = library(shelf)
        self.stages = tuple(self._library.stages)  # type: ignore[misc]  # the class's are those of the default options
        self._episode: Episode | None = None
        super().__init__(horizon=horizon, render_mode=render_mode)

    def tasks(self, stage: str) -> Sequence[str]:
        """Every task whose file lies as deep as the stage says; of ``all``, every task."""
        if stage not in self._library.stages:
            raise EnvError(f"{self.name}: unknown stage {stage!r}; {nearest(str(stage), self.stages)}")
        return self._library.stages[stage]

    def task_group(self, task: str) -> str:
        """The repository; where there is only one, the file. Tasks of a group are not split between training and test."""
        found = self._task(task)
        return found.repository.name if self._library.repositories > 1 else found.question.target

    def _task(self, task: object) -> Task:
        found = self._library.tasks.get(task) if isinstance(task, str) else None
        if found is None:
            raise EnvError(f"{self.name}: unknown task {task!r}; a task looks like {next(iter(self._library.tasks))!r}")
        return found

    def _begin(self, task: str, stage: str) -> None:
        draw = int(self.np_random.integers(2**31)) if self._leave_out else 0
        self._episode = self._new_episode(self._task(task), draw)

    def _new_episode(self, task: Task, draw: int) -> Episode:
        hides = None
        if self._leave_out:
            way = task.question.target
            chance = self._leave_out * 2**32

            # By name and not in the order of visits, so that a folder is the same whenever it is seen.
            def hides(path: str) -> bool:
                return not way.startswith(path) and zlib.crc32(f"{draw}/{path}".encode()) < chance

        return Episode(task, draw, hides, every_command=self._commands == "all", identify_unread=self._identify == "any")

    @property
    def episode(self) -> Episode:
        """What is being played.

        Raises:
            EnvError: No trajectory was begun.
        """
        if self._episode is None:
            raise EnvError(f"{self.name}: no trajectory was begun; call reset() first")
        return self._episode

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """Carry out one command; with ``on_invalid="penalise"`` any text.

        Raises:
            EnvError: The trajectory is over, or the command is not admissible and ``on_invalid`` is ``raise``.
        """
        self._check(action)
        outcome, truncated = self._carry_out(str(action))
        return self.observe(), outcome.reward, outcome.terminated, truncated, self._info()

    def _check(self, command: str) -> None:
        if self._over:
            raise EnvError(f"{self.name}: the trajectory is over; call reset() before the next step()")
        if self._on_invalid == "raise" and command not in self.admissible_commands():
            raise EnvError(f"{self.name}: {command!r} is not admissible here; {nearest(str(command), self.admissible_commands())}")

    def _carry_out(self, command: str) -> tuple[Outcome, bool]:
        """What the command did, and whether the trajectory was cut off by it; a replay needs no more than this."""
        outcome = self._act(command)
        self.turns_taken += 1
        truncated = not outcome.terminated and self.turns_taken >= self.horizon
        self._over = outcome.terminated or truncated
        return outcome, truncated

    def _act(self, command: str) -> Outcome:
        episode = self.episode
        if self._first_step:
            right = command in episode.best_first_commands()
            episode.execute(command)
            self.success = right
            return Outcome(1.0 if right else -STEP_COST / COST_UNITS, terminated=True)
        result = episode.execute(command)
        cost = STEP_COST + PROBLEM_COSTS[result.problem]
        if result.identified is not None:
            self.success = result.identified.path == episode.task.question.target
            cost += -END_COST if self.success else END_COST
        elif self.turns_taken + 1 >= self.horizon:
            cost += END_COST
        return Outcome(-cost / COST_UNITS, terminated=result.identified is not None)

    def observe(self) -> str:
        """Where one is, what is there, what was done, and what the last command showed."""
        return self.episode.in_few_words() if self._observation == "compact" else self.episode.in_full()

    def admissible_commands(self) -> tuple[str, ...]:
        """``cd`` to every neighbour, ``cat`` of every file in sight that was not read yet, and ``id`` as ``identify`` says."""
        return self._episode.commands() if self._episode is not None else ()

    def state_key(self) -> str:
        """Task, place, what was read, and what is left out."""
        return self.episode.key()

    def task_statement(self) -> str:
        """What to do, and the question."""
        question = self.episode.task.question.question
        return f"Find: {question}" if self._observation == "compact" else f"{INSTRUCTION}\nQuestion: {question}"

    def oracle(self) -> list[str]:
        """The shortest way from here to the right ``id``; the file is read before where ``read_first`` or ``identify`` ask for it."""
        if self._over:
            return []
        plan = self.episode.plan(read_first=self._read_first)
        return plan[:1] if self._first_step else plan

    def snapshot(self) -> dict[str, Any]:
        """Task, stage, what is left out and every command so far, from which all else follows.

        Raises:
            EnvError: No trajectory was begun.
        """
        episode = self.episode
        return {"task": self.task, "stage": self.stage, "draw": episode.draw, "commands": list(episode.typed)}

    def restore(self, snapshot: dict[str, Any]) -> tuple[str, Info]:
        """Continue from ``snapshot`` by playing its commands again; gives the observation and info of that state.

        Raises:
            EnvError: ``snapshot`` is not one of this environment's; the state is then left as it was.
        """
        problem = shape_problem(snapshot, _SNAPSHOT_TYPES) or self._contradiction(snapshot)
        if problem:
            raise EnvError(f"{self.name}: this snapshot cannot be restored: {problem}; take one with snapshot()")
        before = (self.task, self.stage, self.turns_taken, self.success, self._over, self._episode)
        self.task, self.stage = snapshot["task"], snapshot["stage"]
        self.turns_taken, self.success, self._over = 0, False, False
        self._episode = self._new_episode(self._task(self.task), snapshot["draw"])
        try:
            for command in snapshot["commands"]:
                self._check(command)
                self._carry_out(command)
        except EnvError as error:
            self.task, self.stage, self.turns_taken, self.success, self._over, self._episode = before
            raise EnvError(f"{self.name}: this snapshot cannot be restored: {error}; take one with snapshot()") from None
        return self.observe(), self._info()

    def _contradiction(self, snapshot: dict[str, Any]) -> str | None:
        if snapshot["task"] not in self._library.tasks or snapshot["stage"] not in self.stages:
            return f"it is of task {snapshot['task']!r} and stage {snapshot['stage']!r}"
        if not 0 <= snapshot["draw"] < 2**31 or (snapshot["draw"] and not self._leave_out):
            return f"draw is {snapshot['draw']}"
        if len(snapshot["commands"]) > self.horizon or not all(isinstance(command, str) for command in snapshot["commands"]):
            return f"commands are not at most {self.horizon} texts"
        return None
