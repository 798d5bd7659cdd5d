"""Any Gymnasium environment as a ``TextEnv``: its observations as text, its actions by name.

    workbench play workbench.envs.gymnasium_text:GymnasiumText --set env.options.env_id=FrozenLake-v1 \\
        --set env.options.commands=[left,down,right,up] --set env.options.success=positive-reward

An environment that is named ``module:id`` is imported from that module, as Gymnasium does: naming a module runs it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import gymnasium
from gymnasium import spaces

from workbench.envs.spaces import AnyText
from workbench.envs.text_env import Outcome, TextEnv
from workbench.errors import EnvError, nearest

POSITIVE_REWARD = "positive-reward"
_COLOURED = re.compile(r"\x1b\[[\d;]+m(.*?)\x1b\[0?m", re.DOTALL)


class GymnasiumText(TextEnv):
    """An environment that ``gymnasium.make`` knows, played in words.

    A task ``seed-17`` is what the environment makes of seed 17, with all that chance does to it later: the same commands lead to the same
    end, so that a trajectory can be branched. What can be done is ``commands`` where they are given, and otherwise what the environment
    lists as ``admissible_commands`` in its ``info``. There is no oracle. ``horizon`` takes the place of Gymnasium's own limit of steps.

    Example:
        >>> env = GymnasiumText(env_id="FrozenLake-v1", commands=["left", "down", "right", "up"], success="positive-reward")
        >>> env.reset(seed=0)[1]["admissible_commands"]
        ('left', 'down', 'right', 'up')
    """

    name: ClassVar[str] = "gymnasium"

    def __init__(
        self,
        *,
        env_id: str,
        commands: Sequence[str] = (),
        env_options: Mapping[str, Any] | None = None,
        success: str = "success",
        statement: str = "",
        seeds: int = 300,
        horizon: int = 100,
        describe: Callable[[Any], str] = str,
        render_mode: str | None = None,
    ) -> None:
        """Make the environment.

        Args:
            env_id: What ``gymnasium.make`` knows it by; ``module:id`` imports the module first.
            commands: Names of its discrete actions in their order, or the texts that it takes.
            env_options: Arguments of the environment; ``render_mode: ansi`` makes its picture in letters the observation.
            success: An entry of ``info`` that is true once the task is solved, or ``positive-reward``: it ended with a reward above 0.
            statement: The instruction; the environment's id when empty.
            seeds: How many tasks there are.
            horizon: Turns after which a trajectory is truncated.
            describe: Puts an observation into words; only from Python.
            render_mode: Of this environment, as in every ``TextEnv``.

        Raises:
            EnvError: Gymnasium cannot make it, or ``commands`` do not fit its actions.
        """
        super().__init__(horizon=horizon, render_mode=render_mode)
        if type(seeds) is not int or seeds < 1:
            raise EnvError(f"{self.name}: seeds must be a whole number of at least 1, found {seeds!r}")
        self._env_id, self._inner = env_id, _made(env_id, env_options or {})
        self._commands = _fitting(commands, self._inner.action_space, env_id)
        self._statement, self._success_key, self._describe = statement or f"Play {env_id}.", success, describe
        self._tasks = tuple(f"seed-{seed}" for seed in range(seeds))
        self._shown = ""
        self._listed: tuple[str, ...] = ()

    def tasks(self, stage: str) -> Sequence[str]:
        """The seeds."""
        return self._tasks

    def _begin(self, task: str, stage: str) -> None:
        if task not in self._tasks:
            raise EnvError(f"{self.name}: unknown task {task!r}; {nearest(str(task), self._tasks[:5])}")
        self._look(*self._inner.reset(seed=int(task.removeprefix("seed-"))))
        if not self.admissible_commands():
            raise EnvError(f"{self.name}: info of {self._env_id} lists no admissible_commands; give the texts that it takes as commands")

    def _act(self, command: str) -> Outcome:
        actions = self._inner.action_space
        action = int(actions.start) + self._commands.index(command) if isinstance(actions, spaces.Discrete) else command
        observation, reward, terminated, truncated, info = self._inner.step(action)
        self._look(observation, info)
        # Where nothing can be done any more, nobody can go on, whatever the environment says.
        over = bool(terminated or truncated) or not self.admissible_commands()
        self.success = self._solved(float(reward), info, over)
        return Outcome(float(reward), terminated=over or self.success)

    def _solved(self, reward: float, info: Mapping[str, Any], over: bool) -> bool:
        if self._success_key == POSITIVE_REWARD:
            return over and reward > 0
        if over and self._success_key not in info:
            raise EnvError(
                f"{self.name}: at the end info of {self._env_id} has no entry {self._success_key!r}; its entries: "
                f"{', '.join(map(str, info)) or 'none'}; set success to one of them or to {POSITIVE_REWARD!r}"
            )
        return bool(info.get(self._success_key, False))

    def _look(self, observation: Any, info: Mapping[str, Any]) -> None:
        drawn = self._inner.render() if self._inner.render_mode == "ansi" else None
        # What such a picture colours, as the place of the player, is set in brackets: colours are no text.
        self._shown = _COLOURED.sub(r"[\1]", str(drawn)).strip("\n") if drawn else self._describe(observation)
        self._listed = tuple(dict.fromkeys(map(str, info.get("admissible_commands", ()))))

    def observe(self) -> str:
        """The picture in letters where the environment draws one, else its observation in words."""
        return self._shown

    def admissible_commands(self) -> tuple[str, ...]:
        """``commands``, or what the environment lists."""
        return self._commands or self._listed

    def state_key(self) -> str:
        """The task and every command so far: what else the state of a foreign environment depends on, nobody knows."""
        return "/".join([self.task, *self._trail])

    def task_statement(self) -> str:
        """As given."""
        return self._statement

    def close(self) -> None:
        """Close the environment."""
        self._inner.close()


def _made(env_id: str, options: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        # -1: no limit of its own, which would end a trajectory where it should be truncated.
        return gymnasium.make(env_id, **{"max_episode_steps": -1, **options})
    # The environment is somebody's own code.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise EnvError(f"{GymnasiumText.name}: Gymnasium cannot make {env_id!r}: {type(error).__name__}: {reason}") from error


def _fitting(commands: Sequence[str], actions: spaces.Space[Any], env_id: str) -> tuple[str, ...]:
    """``commands`` as a tuple.

    Raises:
        EnvError: They are no list of different names, or not as many as there are actions.
    """
    if isinstance(commands, str) or not all(isinstance(command, str) and command.strip() for command in commands):
        raise EnvError(f"{GymnasiumText.name}: commands must be a list of names, found {commands!r}")
    if len(set(commands)) != len(commands):
        raise EnvError(f"{GymnasiumText.name}: commands must be different names, found {list(commands)}")
    if isinstance(actions, spaces.Discrete):
        if len(commands) != actions.n:
            raise EnvError(f"{GymnasiumText.name}: {env_id} has {actions.n} actions; name each in commands, found {list(commands)}")
    elif not isinstance(actions, (spaces.Text, AnyText)):
        raise EnvError(f"{GymnasiumText.name}: actions of {env_id} are {actions}; only discrete ones and text can be played")
    return tuple(commands)
