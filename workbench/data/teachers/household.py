"""The teacher of Household."""

import numpy as np

from workbench.data.teachers.base import Mistake, pick
from workbench.envs.household.world import Household
from workbench.envs.text_env import TextEnv
from workbench.errors import DataError


class HouseholdTeacher:
    """Household: says what is carried, missing or in the way, and names the next command in full.

    Where a thing lies that the player has not seen yet is the oracle's secret: the teacher then says that the thing
    is still to be found, and only where to look next.
    """

    def reflect(self, env: TextEnv, generator: np.random.Generator) -> str:
        """What the next command is for, and the command."""
        world, plan = _planned(env)
        reason = pick(_reasons(world, plan), generator)
        # A mark before the command lets a tokenizer of phrases see it as it stands in the list of commands.
        return f"{reason[:1].upper()}{reason[1:]}{pick((', so:', '. Next:', '. Now:'), generator)} {plan[0]}."

    def correct(self, env: TextEnv, mistake: Mistake, generator: np.random.Generator) -> str:
        """What the last command got wrong, what is needed now, and the next command."""
        _, plan = _planned(env)
        verb, _, place = mistake.command.partition(" to ")
        if verb == "go" and plan[0].endswith(f" {place}"):
            # No shorter way from here than from before, though something is to be done here: it came too early.
            blame = pick((f"I could have left {place} for later.", f"Going to {place} was too early."), generator)
            return f"{blame} {pick(('Now:', 'Here:', 'To go on:'), generator)} {plan[0]}."
        blame = pick(_blames(mistake.command), generator)
        return f"{blame} {pick(('Now:', 'Instead:', 'To mend it:'), generator)} {plan[0]}."


def _planned(env: TextEnv) -> tuple[Household, list[str]]:
    if not isinstance(env, Household):
        raise DataError(f"the household teacher cannot teach environment {env.name!r}; make_teacher chooses the right one")
    plan = env.oracle()
    if not plan:
        raise DataError(f"the oracle of {env.name!r} gives no plan for task {env.task!r} at state {env.state_key()!r}")
    return env, plan


def _reasons(world: Household, plan: list[str]) -> tuple[str, ...]:
    """What speaks for the first command of the plan."""
    game = world.twin.game
    verb, _, place = game.operations[plan[0]]
    # What the walk or the opened door is for; under a lit lamp the walk is the last command.
    deeds = [game.operations[command] for command in plan]
    aim = next((deed for deed in deeds if deed.verb not in ("go", "open")), None)
    name = game.things[aim.thing].kind if aim else game.goal.thing
    where = game.receptacles[place].name if place >= 0 else ""
    if verb == "open":
        return _doors(world, aim is not None and aim.verb == "take", place, where, name)
    if verb == "go" and aim is not None and aim.verb == "take":
        return _searches(world, place, where, name)
    if verb == "take":
        return (f"here is the {name} that I need", f"I see a {name} here", f"this {name} is for the task")
    if aim is None or aim.verb == "use":
        return _lights(verb, game.goal.thing, where)
    return _carries(world, verb, aim.verb, aim.thing, name)


def _doors(world: Household, searching: bool, place: int, where: str, name: str) -> tuple[str, ...]:
    if not searching:
        return (f"the {name} goes in here but {where} is closed", f"{where} must be open for the {name}")
    if world.unseen(place):
        return (f"{where} is closed and may hold a {name}", f"a {name} could be behind this door")
    return (f"the {name} is in {where} behind its door", f"{where} holds the {name} but is closed")


def _searches(world: Household, place: int, where: str, name: str) -> tuple[str, ...]:
    if world.unseen(place):
        return (f"I still need a {name} and have not looked there", f"no {name} found yet", f"I must look for a {name}")
    return (f"I saw a {name} at {where}", f"the {name} that I need is at {where}")


def _lights(verb: str, name: str, where: str) -> tuple[str, ...]:
    if verb == "use":
        return (f"I hold the {name} next to the lamp", f"the {name} needs light and the lamp is here")
    return (f"I carry the {name} and need the lamp at {where}", f"the lamp at {where} can light the {name}")


def _carries(world: Household, verb: str, deed: str, thing: int, name: str) -> tuple[str, ...]:
    goal = world.twin.game.goal
    if deed in ("clean", "heat", "cool"):
        wanted = {"clean": "clean", "heat": "hot", "cool": "cool"}[deed]
        if verb == "go":
            return (f"I carry the {name} and it must be {wanted}", f"the {name} is not {wanted} yet")
        return (f"I stand here with the {name} to make it {wanted}", f"the {name} can be made {wanted} here")
    if thing not in world.twin.game.goal_things:
        return (f"the {name} is not needed and fills my hands", f"I must put the {name} down first")
    if verb == "go":
        return (f"I carry the {name} and it belongs in a {goal.place}", f"the {name} is ready for the {goal.place}")
    return (f"this is the {goal.place} for the {name}", f"the {name} belongs here")


def _blames(command: str) -> tuple[str, ...]:
    verb, _, rest = command.partition(" ")
    if verb == "go":
        place = rest.removeprefix("to ")
        return (f"Going to {place} was a detour.", f"There was nothing to do at {place}.")
    if verb in ("take", "move"):
        name = rest.partition(" from " if verb == "take" else " to ")[0]
        return (f"I should not have {'taken' if verb == 'take' else 'put down'} {name}.", f"Handling {name} was wrong.")
    return (f"To {command} did not help.", "That was of no use.")
