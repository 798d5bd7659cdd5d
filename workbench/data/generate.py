"""Playing for data: behaviours that reach every part of the task, and negative examples off the oracle's path.

Reflect-RL, section 4: the reflection player learns from good advice, and from wrong commands that are then
analysed and mended; of a negative example only that last step is kept. Here negatives leave the path at any step, and
the wrong command is checked to be really worse, and its correction to be the first step of a shorter way.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from workbench.config import Behaviour, DataConfig
from workbench.data.splits import Splits
from workbench.data.teachers import Mistake, Teacher, best_command
from workbench.envs.breakage import naming
from workbench.envs.text_env import TextEnv
from workbench.errors import DataError
from workbench.seeding import derived_seed, generator


@dataclass(frozen=True, slots=True)
class Path:
    """Commands that a teacher played, as another place to leave the way for a negative example."""

    number: int
    """Of its trajectory: with the seed it tells the start."""
    task: str
    stage: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One taught step."""

    kind: str
    """``positive`` or ``negative``."""
    split: str
    """``train`` or ``validation``, by start state."""
    stage: str
    task: str
    trajectory: int
    turn: int
    task_statement: str
    observation: str
    state_key: str
    commands: tuple[str, ...]
    oracle_command: str
    behaviour_command: str
    """What was executed next; equals the oracle's in a negative example."""
    reflection: str
    mistake: str | None = None
    """Negative examples: the wrong command that led here."""

    def as_json(self) -> dict[str, object]:
        """Plain values for a JSON line."""
        return asdict(self)


def generate(
    env: TextEnv,
    tasks: dict[str, Splits],
    teacher: Teacher,
    config: DataConfig,
    *,
    seed: int,
    on_progress: Callable[[int], object] | None = None,
    paths: Sequence[Path] = (),
) -> list[Example]:
    """Play ``config.trajectories`` behaviours and ``config.negatives`` detours; test tasks are never touched.

    Args:
        env: The environment to play in; it needs ``snapshot`` and ``oracle``.
        tasks: Tasks by stage and split.
        teacher: Writes the reflections.
        config: How much of what.
        seed: Of everything drawn here.
        on_progress: Called with 1 after every trajectory.
        paths: What a teacher played; where there are any, every second negative example leaves one of them instead of the oracle's.
    """
    examples: list[Example] = []
    for number in range(config.trajectories):
        dice = generator(seed, "behaviour", number)
        with naming(f"behaviour {number} of the warm-up data (seed {seed})"):
            begin(env, tasks, dice, seed, number)
            examples.extend(_behave(env, tasks, teacher, _behaviour(config, dice), dice, number))
        if on_progress is not None:
            on_progress(1)
    for number in range(config.negatives):
        with naming(f"negative example {number} of the warm-up data (seed {seed})"):
            examples.append(_negative(env, tasks, teacher, seed, config.trajectories + number, paths if number % 2 else ()))
        if on_progress is not None:
            on_progress(1)
    return examples


def safe_commands(env: TextEnv) -> list[str]:
    """Commands that do not end the trajectory in failure, found by trying each from a snapshot."""
    here, safe = env.snapshot(), []
    for command in env.admissible_commands():
        _, _, terminated, _, info = env.step(command)
        if not terminated or info["success"]:
            safe.append(command)
        env.restore(here)
    return safe


def begin(env: TextEnv, tasks: dict[str, Splits], dice: np.random.Generator, seed: int, number: int) -> None:
    """Reset ``env`` to a start of trajectory ``number``: stages in turn, a task of training or validation drawn by ``dice``."""
    stage = env.stages[number % len(env.stages)]
    choices = tasks[stage]["train"] + tasks[stage]["validation"]
    env.reset(seed=derived_seed(seed, "behaviour-env", number), options={"task": choices[int(dice.integers(len(choices)))], "stage": stage})


def _behaviour(config: DataConfig, dice: np.random.Generator) -> Behaviour:
    shares = np.array([behaviour.share for behaviour in config.behaviours])
    return config.behaviours[int(dice.choice(len(shares), p=shares / shares.sum()))]


def _behave(
    env: TextEnv, tasks: dict[str, Splits], teacher: Teacher, behaviour: Behaviour, dice: np.random.Generator, number: int
) -> Iterator[Example]:
    over = False
    while not over:
        command = best_command(env)
        right = command
        if dice.random() < behaviour.random:
            choices = safe_commands(env) if behaviour.safe else list(env.admissible_commands())
            command = choices[int(dice.integers(len(choices)))]
        yield example_here(env, tasks, number, reflection=teacher.reflect(env, dice), oracle=right, behaviour=command)
        _, _, terminated, truncated, _ = env.step(command)
        over = terminated or truncated


def _negative(env: TextEnv, tasks: dict[str, Splits], teacher: Teacher, seed: int, number: int, paths: Sequence[Path]) -> Example:
    # Some starts leave no room for a mistake that can be mended (one step from the goal, say): draw again.
    for attempt in range(100):
        dice = generator(seed, "negative", number, attempt)
        if paths:
            path = paths[int(dice.integers(len(paths)))]
            begin_path(env, path, seed)
            plan = list(path.commands)
        else:
            begin(env, tasks, dice, seed, number)
            plan = env.oracle() or []
        for command in plan[: int(dice.integers(len(plan))) if plan else 0]:
            env.step(command)
        mistake = _step_wrong(env, dice)
        if mistake is not None:
            text = teacher.correct(env, mistake, dice)
            right = best_command(env)
            return example_here(
                env, tasks, number, reflection=text, oracle=right, behaviour=right, kind="negative", mistake=mistake.command
            )
    raise DataError(f"environment {env.name!r}: no command off the oracle's path can be mended (100 tries); set data.negatives=0")


def begin_path(env: TextEnv, path: Path, seed: int) -> None:
    """Reset ``env`` to where ``path`` began."""
    env.reset(seed=derived_seed(seed, "behaviour-env", path.number), options={"task": path.task, "stage": path.stage})


def _step_wrong(env: TextEnv, dice: np.random.Generator) -> Mistake | None:
    """Take a wrong command that makes the way longer but not hopeless; None where there is none."""
    before = env.oracle() or []
    here = env.snapshot()
    choices = [command for command in safe_commands(env) if before and command != before[0]]
    for place in dice.permutation(len(choices)):
        _, _, terminated, truncated, _ = env.step(choices[place])
        after = env.oracle()
        if not terminated and not truncated and after and len(after) >= len(before) and _mends(env, after):
            return Mistake(choices[place], before[0])
        env.restore(here)
    return None


def _mends(env: TextEnv, plan: Sequence[str]) -> bool:
    """Whether the plan's first command really leads to a shorter way, as an oracle promises; the state is left as it was."""
    here = env.snapshot()
    _, _, terminated, _, info = env.step(plan[0])
    after = env.oracle() or []
    env.restore(here)
    return bool(info["success"]) or (not terminated and 0 < len(after) < len(plan))


def example_here(
    env: TextEnv,
    tasks: dict[str, Splits],
    number: int,
    *,
    reflection: str,
    oracle: str,
    behaviour: str,
    kind: str = "positive",
    mistake: str | None = None,
) -> Example:
    """The present state of ``env`` as an example; arguments as the fields of :class:`Example`."""
    return Example(
        kind=kind,
        split="validation" if env.task in tasks[env.stage]["validation"] else "train",
        stage=env.stage,
        task=env.task,
        trajectory=number,
        turn=env.turns_taken,
        task_statement=env.task_statement(),
        observation=env.observe(),
        state_key=env.state_key(),
        commands=env.admissible_commands(),
        oracle_command=oracle,
        behaviour_command=behaviour,
        reflection=reflection,
        mistake=mistake,
    )
