"""A teacher for any environment with an oracle."""

import numpy as np

from workbench.data.teachers.base import Mistake, best_command, pick
from workbench.envs.text_env import TextEnv


class GenericTeacher:
    """Any environment with an oracle: names how far the goal is and the next command."""

    def reflect(self, env: TextEnv, generator: np.random.Generator) -> str:
        """How many commands are left, and the next."""
        plan = env.oracle() or []
        left = f"{len(plan)} more {'command' if len(plan) == 1 else 'commands'}"
        opening = pick((f"The goal is {left} away.", f"This takes {left}.", f"I need {left} from here."), generator)
        return f"{opening} {pick(('Next,', 'I should', 'Now'), generator)} {best_command(env)}."

    def correct(self, env: TextEnv, mistake: Mistake, generator: np.random.Generator) -> str:
        """Names the wrong command and the one that mends it."""
        blame = pick(
            (f"{mistake.command} was a mistake.", f"That {mistake.command} did not help.", f"I should not have done {mistake.command}."),
            generator,
        )
        return f"{blame} {pick(('To mend it,', 'From here,', 'Now'), generator)} {best_command(env)}."
