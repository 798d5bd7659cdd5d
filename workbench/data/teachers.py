"""Teachers that know the solution and say it in words.

A teacher looks at the environment's oracle and writes what a good reflection would be. Sentences vary, the command
to take is always named last, and no teacher sees labels or the list of commands.
"""

from typing import NamedTuple, Protocol

import numpy as np

from workbench.envs.taxi import DangerousTaxi
from workbench.envs.taxi_world import decode, is_aboard, taxi_world
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


def make_teacher(env: TextEnv) -> Teacher:
    """The most eloquent teacher there is for ``env``.

    Raises:
        DataError: The environment has no oracle, so nobody here knows what is right.
    """
    if isinstance(env, DangerousTaxi):
        return TaxiTeacher()
    if type(env).oracle is TextEnv.oracle:
        raise DataError(
            f"environment {env.name!r} defines no oracle(), so no reflections can be generated; define it, or leave generate out of phases"
        )
    return GenericTeacher()


def best_command(env: TextEnv) -> str:
    """The first command of the oracle's plan.

    Raises:
        DataError: The oracle gives no plan from here.
    """
    plan = env.oracle()
    if not plan:
        raise DataError(f"the oracle of {env.name!r} gives no plan for task {env.task!r} at state {env.state_key()!r}")
    return plan[0]


def _pick(options: tuple[str, ...], generator: np.random.Generator) -> str:
    return options[int(generator.integers(len(options)))]


class GenericTeacher:
    """Any environment with an oracle: names how far the goal is and the next command."""

    def reflect(self, env: TextEnv, generator: np.random.Generator) -> str:
        """How many commands are left, and the next."""
        plan = env.oracle() or []
        left = f"{len(plan)} more {'command' if len(plan) == 1 else 'commands'}"
        opening = _pick((f"The goal is {left} away.", f"This takes {left}.", f"I need {left} from here."), generator)
        return f"{opening} {_pick(('Next,', 'I should', 'Now'), generator)} {best_command(env)}."

    def correct(self, env: TextEnv, mistake: Mistake, generator: np.random.Generator) -> str:
        """Names the wrong command and the one that mends it."""
        blame = _pick(
            (f"{mistake.command} was a mistake.", f"That {mistake.command} did not help.", f"I should not have done {mistake.command}."),
            generator,
        )
        return f"{blame} {_pick(('To mend it,', 'From here,', 'Now'), generator)} {best_command(env)}."


class TaxiTeacher:
    """DangerousTaxi: says where the next goal lies, what is in the way, and where to go."""

    _OPPOSITE = {"south": "north", "north": "south", "east": "west", "west": "east"}  # noqa: RUF012 - never changed

    def reflect(self, env: TextEnv, generator: np.random.Generator) -> str:
        """Where the passenger or the destination lies, any detour, and the next command."""
        command = best_command(env)
        aim, where = self._aim(env)
        if command == "pickup":
            return _pick(
                ("The passenger is right here, so pickup.", "I stand at the passenger. Time to pickup.", "Passenger reached, now pickup."),
                generator,
            )
        if command == "dropoff":
            return _pick(
                (
                    "This is the destination, so dropoff.",
                    "I arrived with the passenger. Time to dropoff.",
                    "Destination reached, now dropoff.",
                ),
                generator,
            )
        opening = _pick((f"The {aim} is {where}", f"My {aim} lies {where}", f"I see the {aim} {where}"), generator)
        if command not in where:
            return f"{opening} but a wall is in the way, so {_pick(('go', 'drive', 'head'), generator)} {command}."
        return f"{opening}, so {_pick(('go', 'drive', 'head'), generator)} {command}."

    def correct(self, env: TextEnv, mistake: Mistake, generator: np.random.Generator) -> str:
        """Why the last command was wrong, and the next one."""
        command = best_command(env)
        aim, where = self._aim(env)
        if mistake.command == "dropoff":
            blame = _pick(("This is not the destination.", "I left the passenger too early."), generator)
        else:
            blame = _pick(
                (
                    f"Going {mistake.command} was wrong, the {aim} is {where}.",
                    f"I left the path by going {mistake.command}, the {aim} is {where}.",
                ),
                generator,
            )
        deed = command if command in ("pickup", "dropoff") else f"go {command}"
        undoes = self._OPPOSITE.get(mistake.command) == command
        return f"{blame} {_pick(('Turn back and', 'Undo it and') if undoes else ('Now', 'Mend it and'), generator)} {deed}."

    def _aim(self, env: TextEnv) -> tuple[str, str]:
        state = int(env.snapshot()["state"])
        taxi, aboard = decode(state), is_aboard(state)
        row, column = taxi_world().landmarks[taxi.destination if aboard else taxi.passenger]
        vertical = "south" if row > taxi.row else "north" if row < taxi.row else ""
        horizontal = "east" if column > taxi.column else "west" if column < taxi.column else ""
        where = " and ".join(part for part in (vertical, horizontal) if part) or "here"
        return ("destination" if aboard else "passenger"), where
