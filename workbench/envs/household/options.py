"""The options of Household, checked, and the games and stages that follow from them."""

import math
import os
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from workbench.envs.household.game import Game
from workbench.envs.household.game_reader import games_below
from workbench.envs.household.generator import GameSet, generated_games
from workbench.envs.household.names import LAMP, ROOMS, TASK_TYPES, THINGS
from workbench.errors import EnvError, nearest

OBSERVATIONS = ("paper", "compact", "focused")
COMMANDS = ("all", "useful")
ENGINES = ("twin", "textworld")
MOST_GAMES = 100_000
FEWEST_RECEPTACLES = 5
MOST_RECEPTACLES = 40
MOST_THINGS = 40
PREPARED = ("pick", "clean", "heat", "cool")


class HouseholdOptions(NamedTuple):
    """What was asked for."""

    wanted: GameSet
    observation: str
    commands: str
    known: bool
    step_cost: float
    engine: str
    folder: str
    """Folder of game files; empty when games are generated."""

    @classmethod
    def checked(
        cls,
        *,
        games: int,
        seed: int,
        task_types: Sequence[str] | str,
        receptacles: Sequence[int],
        things: Sequence[int],
        goal: Sequence[str] | None,
        observation: str,
        commands: str,
        known: bool,
        step_cost: float,
        engine: str,
        games_dir: str | None,
    ) -> "HouseholdOptions":
        """The options of ``Household``.

        Raises:
            EnvError: One of them is wrong.
        """
        if type(known) is not bool:
            raise EnvError(f"household: known must be true or false, found {known!r}")
        if type(step_cost) not in (int, float) or not math.isfinite(step_cost) or step_cost < 0:
            raise EnvError(f"household: step_cost must be a number of at least 0, found {step_cost!r}")
        wanted = GameSet(
            seed=_whole("seed", seed, 0, 2**31 - 1),
            games=_whole("games", games, 1, MOST_GAMES),
            task_types=_task_types(task_types),
            receptacles=_pair("receptacles", receptacles, FEWEST_RECEPTACLES, MOST_RECEPTACLES),
            things=_pair("things", things, 1, MOST_THINGS),
            goal=_goal(goal),
        )
        chosen = _one_of("observation", observation, OBSERVATIONS), _one_of("commands", commands, COMMANDS)
        return cls(wanted, *chosen, known, float(step_cost), _one_of("engine", engine, ENGINES), _folder(games_dir))

    def all_games(self) -> dict[str, Game]:
        """The games by task id."""
        if self.folder:
            return games_below(self.folder, self.wanted.task_types, self.wanted.games)
        return generated_games(self.wanted)

    def stage_tasks(self) -> dict[str, tuple[str, ...]]:
        """Task ids by stage, easiest first; the last stage holds all."""
        games = self.all_games()
        types = {game.goal.task_type for game in games.values()}
        if len(types) > 1:
            easier = {"pick": {"pick"}, "prepare": set(PREPARED)}
            stages = {stage: tuple(task for task, game in games.items() if game.goal.task_type in part) for stage, part in easier.items()}
        else:
            middle = median(len(game.receptacles) for game in games.values())
            stages = {"small": tuple(task for task, game in games.items() if len(game.receptacles) <= middle)}
        stages["all"] = tuple(games)
        distinct = {tasks: stage for stage, tasks in stages.items() if tasks}
        return {stage: tasks for tasks, stage in distinct.items()}


def _whole(name: str, value: object, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise EnvError(f"household: {name} must be a whole number from {low} to {high}, found {value!r}")
    return value


def _pair(name: str, value: object, low: int, high: int) -> tuple[int, int]:
    numbers = value if isinstance(value, list | tuple) else ()
    if len(numbers) != 2 or any(type(number) is not int for number in numbers) or not low <= numbers[0] <= numbers[1] <= high:
        raise EnvError(f"household: {name} must be the fewest and the most, from {low} to {high}, such as [8, 12]; found {value!r}")
    return numbers[0], numbers[1]


def _one_of(name: str, value: object, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise EnvError(f"household: unknown {name} {value!r}; {nearest(str(value), known)}")
    return value


def _task_types(value: object) -> tuple[str, ...]:
    if value == "all":
        return TASK_TYPES
    chosen = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else ()
    if not chosen:
        raise EnvError(f"household: task_types must be 'all' or a list of {', '.join(TASK_TYPES)}; found {value!r}")
    names = [_one_of("task type", name, TASK_TYPES) for name in chosen]
    if len(set(names)) < len(names):
        raise EnvError(f"household: task_types names one twice: {', '.join(names)}; name each once")
    # In one order, so that the same types give the same games.
    return tuple(name for name in TASK_TYPES if name in names)


def _folder(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not value:
        raise EnvError(f"household: games_dir must be a folder's path, found {value!r}")
    path = os.path.expanduser(os.path.expandvars(value))
    if "$" in path:
        raise EnvError(f"household: games_dir {value!r} names an environment variable that is not set; set it, or give the path")
    return path


def _goal(value: object) -> tuple[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise EnvError(f"household: goal must be a thing and a receptacle, such as [tomato, microwave]; found {value!r}")
    places = {place for room in ROOMS.values() for place in (*room.always, *room.further)}
    return _one_of("thing", value[0], tuple(THINGS)), _one_of("receptacle", value[1], (*sorted(places), LAMP))
