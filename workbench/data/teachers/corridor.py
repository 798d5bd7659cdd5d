"""The teacher of Corridor."""

import numpy as np

from workbench.data.teachers.base import Mistake, best_command, pick
from workbench.envs.text_env import TextEnv


class CorridorTeacher:
    """Corridor: says on which side the goal lies, and where to go."""

    def reflect(self, env: TextEnv, generator: np.random.Generator) -> str:
        """The side of the goal, and the command."""
        command = best_command(env)
        return pick((f"The goal lies {command} of me, so go {command}.", f"My goal is on the {command}, so walk {command}."), generator)

    def correct(self, env: TextEnv, mistake: Mistake, generator: np.random.Generator) -> str:
        """That the last step led away, and the command that mends it."""
        command = best_command(env)
        return pick(
            (
                f"Going {mistake.command} led away from the goal. Turn back and go {command}.",
                f"{mistake.command} was wrong, so go {command}.",
            ),
            generator,
        )
