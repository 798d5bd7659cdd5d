"""Going back to a state of a recorded trajectory: the task is begun again and the same commands are carried out."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.envs.breakage import naming
from workbench.envs.text_env import Info, TextEnv
from workbench.errors import EnvError
from workbench.seeding import derived_seed


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a trajectory is."""

    observation: str
    info: Info
    over: bool
    """True when there is nothing left to choose."""
    oracle_command: str | None
    """A best command here, where the environment knows one."""

    @property
    def commands(self) -> tuple[str, ...]:
        """What can be done here; empty when it is over."""
        return () if self.over else tuple(self.info["admissible_commands"])


def replay(env: TextEnv, *, task: str, stage: str, seed: int, commands: Sequence[str]) -> Scene:
    """Bring ``env`` to where ``commands`` lead, as a trajectory of ``seed`` begins it.

    Args:
        env: A world of the run's own kind and options.
        task: The trajectory's task.
        stage: Its stage.
        seed: Its seed; the world's own seed is derived from it, as collection does.
        commands: Carried out in order.

    Raises:
        EnvError: The task is unknown, a command is not admissible where its turn comes, or the trajectory is over before the last one.
    """
    with naming(f"task {task!r} of stage {stage!r} (seed {seed})"):
        observation, info = env.reset(seed=derived_seed(seed, "env"), options={"task": task, "stage": stage})
        over = False
        for place, command in enumerate(commands):
            if over:
                raise EnvError(f"over after {place} of {len(commands)} commands: this is not the world that was recorded")
            observation, _, terminated, truncated, info = env.step(command)
            over = terminated or truncated
        plan = None if over else env.oracle()
    return Scene(observation, info, over, plan[0] if plan else None)
