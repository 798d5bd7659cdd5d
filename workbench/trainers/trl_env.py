"""A ``TextEnv`` as TRL's trainers play one: ``GRPOTrainer(environment_factory=trl_environment("taxi"))``.

TRL makes an instance per rollout, shows its public methods to the model as tools, appends what ``reset`` returns to the prompt, and
takes ``get_reward`` as the reward. GRPO compares the rollouts of one row with each other, so that they should play one task: give the
data set a column ``task`` (and ``stage``). Without one every rollout draws a task of its own, and luck with the task passes for skill.
"""

from collections.abc import Callable
from typing import Any

from workbench.envs.catalog import make_env
from workbench.errors import EnvError


class TextTool:
    """One environment that a model plays through a tool call."""

    def __init__(self, name: str, options: dict[str, Any], seed: int) -> None:
        """``seed`` of this instance: its tasks follow from it, one at each reset."""
        self._env = make_env(name, **options)
        self._seed: int | None = seed
        self._total = 0.0
        self._over = True

    def reset(self, *, task: str | None = None, stage: str | None = None, **columns: object) -> str:
        """Begin a trajectory; columns ``task`` and ``stage`` of the data set choose it, others are left alone."""
        observation, info = self._env.reset(seed=self._seed, options={"task": task, "stage": stage})
        self._seed, self._total, self._over = None, 0.0, False
        return f"{info['task_statement']}\n\n{self._shown(observation)}"

    def act(self, command: str) -> str:
        """
        Carry out one command in the world.

        Args:
            command: One of the commands that can be done now.

        Returns:
            What is seen afterwards.
        """
        if self._over:
            return "It is over."
        try:
            observation, reward, terminated, truncated, _ = self._env.step(command)
        # What a model types is no reason to stop training: it is told, as a person would be.
        except EnvError as error:
            return str(error)
        self._total += reward
        self._over = terminated or truncated
        return f"{observation}\nIt is over." if self._over else self._shown(observation)

    def get_reward(self) -> float:
        """Sum of the rewards so far, environment units."""
        return self._total

    def _shown(self, observation: str) -> str:
        commands = self._env.admissible_commands()
        return f"{observation}\nCommands: {', '.join(commands)}" if commands else observation


def trl_environment(name: str, *, seed: int = 0, **options: Any) -> Callable[[], TextTool]:
    """A factory for TRL's ``environment_factory``; each instance that it makes draws its own tasks.

    Args:
        name: A name of the catalogue, or ``package.module:ClassName``.
        seed: Of the first instance; the next has the next.
        options: Arguments of the environment's class.

    Raises:
        EnvError: There is no such environment, or it refuses the options.
    """
    make_env(name, **options)
    made = 0

    def factory() -> TextTool:
        nonlocal made
        made += 1
        return TextTool(name, options, seed + made - 1)

    return factory
