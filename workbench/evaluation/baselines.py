"""Agents that learn nothing: a random one and the oracle, on the tasks that a policy is judged on."""

from collections.abc import Callable, Sequence

import numpy as np

from workbench.envs.breakage import naming
from workbench.envs.text_env import TextEnv
from workbench.rollout.play import Assignment
from workbench.seeding import derived_seed, generator

Choose = Callable[[TextEnv, Sequence[str], np.random.Generator], str]


def at_random(env: TextEnv, commands: Sequence[str], dice: np.random.Generator) -> str:
    """Any admissible command, each as likely as the others."""
    return commands[int(dice.integers(len(commands)))]


def by_oracle(env: TextEnv, commands: Sequence[str], dice: np.random.Generator) -> str:
    """The first command of a shortest plan; a random one where there is no plan any more."""
    plan = env.oracle()
    return plan[0] if plan else at_random(env, commands, dice)


def play_agent(env: TextEnv, assignments: Sequence[Assignment], choose: Choose) -> list[bool]:
    """Success of an agent on each assignment, in the very worlds that a policy meets there.

    Raises:
        EnvError: The environment breaks.
    """
    successes = []
    for one in assignments:
        dice = generator(one.seed, "actions")
        with naming(one.place):
            _, info = env.reset(seed=derived_seed(one.seed, "env"), options={"task": one.task, "stage": one.stage})
            over = False
            while not over:
                _, _, terminated, truncated, info = env.step(choose(env, one.commands(info), dice))
                over = terminated or truncated
        successes.append(bool(info["success"]))
    return successes
