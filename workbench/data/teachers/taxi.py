"""The teacher of DangerousTaxi."""

import numpy as np

from workbench.data.teachers.base import Mistake, best_command, pick
from workbench.envs.taxi_world import decode, is_aboard, taxi_world
from workbench.envs.text_env import TextEnv


class TaxiTeacher:
    """DangerousTaxi: says where the next goal lies, what is in the way, and where to go."""

    _OPPOSITE = {"south": "north", "north": "south", "east": "west", "west": "east"}  # noqa: RUF012 - never changed

    def reflect(self, env: TextEnv, generator: np.random.Generator) -> str:
        """Where the passenger or the destination lies, any detour, and the next command."""
        command = best_command(env)
        aim, where = self._aim(env)
        if command == "pickup":
            return pick(
                ("The passenger is right here, so pickup.", "I stand at the passenger. Time to pickup.", "Passenger reached, now pickup."),
                generator,
            )
        if command == "dropoff":
            return pick(
                (
                    "This is the destination, so dropoff.",
                    "I arrived with the passenger. Time to dropoff.",
                    "Destination reached, now dropoff.",
                ),
                generator,
            )
        opening = pick((f"The {aim} is {where}", f"My {aim} lies {where}", f"I see the {aim} {where}"), generator)
        if command not in where:
            return f"{opening} but a wall is in the way, so {pick(('go', 'drive', 'head'), generator)} {command}."
        return f"{opening}, so {pick(('go', 'drive', 'head'), generator)} {command}."

    def correct(self, env: TextEnv, mistake: Mistake, generator: np.random.Generator) -> str:
        """Why the last command was wrong, and the next one."""
        command = best_command(env)
        aim, where = self._aim(env)
        if mistake.command == "dropoff":
            blame = pick(("This is not the destination.", "I left the passenger too early."), generator)
        else:
            blame = pick(
                (
                    f"Going {mistake.command} was wrong, the {aim} is {where}.",
                    f"I left the path by going {mistake.command}, the {aim} is {where}.",
                ),
                generator,
            )
        deed = command if command in ("pickup", "dropoff") else f"go {command}"
        undoes = self._OPPOSITE.get(mistake.command) == command
        return f"{blame} {pick(('Turn back and', 'Undo it and') if undoes else ('Now', 'Mend it and'), generator)} {deed}."

    def _aim(self, env: TextEnv) -> tuple[str, str]:
        state = int(env.snapshot()["state"])
        taxi, aboard = decode(state), is_aboard(state)
        row, column = taxi_world().landmarks[taxi.destination if aboard else taxi.passenger]
        vertical = "south" if row > taxi.row else "north" if row < taxi.row else ""
        horizontal = "east" if column > taxi.column else "west" if column < taxi.column else ""
        where = " and ".join(part for part in (vertical, horizontal) if part) or "here"
        return ("destination" if aboard else "passenger"), where
