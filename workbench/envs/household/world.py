"""Household: ALFWorld's games as a text world, played by the twin or by the real engine."""

from collections.abc import Sequence
from typing import Any, ClassVar

from workbench.envs.household.engine import Engine
from workbench.envs.household.game import Game
from workbench.envs.household.options import HouseholdOptions
from workbench.envs.household.planner import shortest_plan
from workbench.envs.household.twin import Twin, TwinState
from workbench.envs.household.view import compact_view, seen_at_start, seen_here
from workbench.envs.snapshots import shape_problem
from workbench.envs.text_env import Info, Outcome, TextEnv
from workbench.errors import EnvError, nearest

WIN_REWARD = 1.0

_SNAPSHOT_TYPES: dict[str, tuple[type, ...]] = {"task": (str,), "stage": (str,), "game": (str,), "commands": (list,)}


class Household(TextEnv):
    """Find things in a room, clean, heat or cool them, and put them where they belong (ALFWorld; Shridhar et al. 2021).

    A task id such as ``clean-017`` names the task type (``pick``, ``look``, ``clean``, ``heat``, ``cool``, ``two``) and
    the game; games of one ``task_group`` are played in the same room. Reward: 1 when the task is solved, less
    ``step_cost`` for every command.

    Stages: with several task types ``pick``, ``prepare`` (``pick``, ``clean``, ``heat`` and ``cool``) and ``all``, as far
    as they differ; with one type ``small``, the games in rooms of at most median size, and ``all``.
    """

    name: ClassVar[str] = "household"
    stages: ClassVar[tuple[str, ...]] = ("pick", "prepare", "all")

    def __init__(
        self,
        *,
        horizon: int = 30,
        games: int = 120,
        seed: int = 0,
        task_types: Sequence[str] | str = "all",
        receptacles: Sequence[int] = (8, 16),
        things: Sequence[int] = (8, 14),
        goal: Sequence[str] | None = None,
        observation: str = "paper",
        commands: str = "all",
        known: bool = False,
        step_cost: float = 0.0,
        engine: str = "twin",
        games_dir: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Choose the games and how they are shown.

        Args:
            horizon: Number of turns after which a trajectory is truncated.
            games: How many games.
            seed: Of the rooms, things and tasks.
            task_types: Any of ``pick``, ``look``, ``clean``, ``heat``, ``cool``, ``two``, or ``all``.
            receptacles: Fewest and most pieces of furniture in a room.
            things: Fewest and most things in a game.
            goal: Kind of thing and kind of receptacle that every task is about, such as ``(tomato, microwave)``.
            observation: ``paper`` shows the room and every command so far with its reply (Reflect-RL, section 6.3);
                ``compact`` shows place, carried thing and what is known; ``focused``, an easier variant, leaves out of it
                whatever lies about and is not of the kind that the task is about, and says of it, once carried, that it is of no use.
            commands: ``all`` that the engine admits, or ``useful`` without examine, help, inventory, look, close and slice.
            known: An easier variant: what has no door is known from the start (not shown in ``paper`` observations).
            step_cost: Subtracted from every reward.
            engine: ``twin``, or ``textworld`` for the real engine (the extra ``alfworld``), which plays the same games.
            games_dir: A folder whose ``game.tw-pddl`` files are played instead of generated games, such as
                ``$ALFWORLD_DATA/json_2.1.1/train``; ``games`` is then the most, and ``receptacles``, ``things`` and
                ``goal`` have no effect.
            render_mode: Gymnasium's.

        Raises:
            EnvError: An option is wrong, or no such game can be made.
        """
        self.options = HouseholdOptions.checked(
            games=games,
            seed=seed,
            task_types=task_types,
            receptacles=receptacles,
            things=things,
            goal=goal,
            observation=observation,
            commands=commands,
            known=known,
            step_cost=step_cost,
            engine=engine,
            games_dir=games_dir,
        )
        self._games = self.options.all_games()
        self._tasks = self.options.stage_tasks()
        # The class names the stages of the default options; these are of this instance's.
        self.stages = tuple(self._tasks)  # type: ignore[misc]
        super().__init__(horizon=horizon, render_mode=render_mode)
        self._twin = Twin(next(iter(self._games.values())))
        self._engine = Engine() if self.options.engine == "textworld" else None
        self._played: list[str] = []
        self._path = ""
        self._seen = 0
        self._commands: tuple[str, ...] = ()
        self._kept: tuple[dict[str, Any], TwinState, str, int] | None = None

    def tasks(self, stage: str) -> Sequence[str]:
        """Games of ``stage``, by number."""
        if stage not in self._tasks:
            raise EnvError(f"{self.name}: unknown stage {stage!r}; {nearest(str(stage), self.stages)}")
        return self._tasks[stage]

    def task_group(self, task: str) -> str:
        """The room, so that held-out games are played in rooms that training never saw."""
        return self._game(task).room

    def _game(self, task: str) -> Game:
        game = self._games.get(task) if isinstance(task, str) else None
        if game is None:
            raise EnvError(f"{self.name}: unknown task {task!r}; {_nearest_task(str(task), self._games)}")
        return game

    def _begin(self, task: str, stage: str) -> None:
        game = self._game(task)
        if task not in self._tasks[stage]:
            raise EnvError(f"{self.name}: task {task!r} is not of stage {stage!r}; choose one of tasks({stage!r})")
        self._twin = Twin(game)
        self._played, self._path = [], ""
        self._seen = seen_at_start(game, known=self.options.known)
        if self._engine is not None:
            self._engine.begin(game)
        self._look_around()

    def _look_around(self) -> None:
        self._seen |= seen_here(self._twin)
        self._commands = self._twin.commands(useful=self.options.commands == "useful")
        if self._engine is not None:
            admitted = self._engine.commands()
            self._commands = admitted if self.options.commands == "all" else tuple(sorted(set(self._commands) & set(admitted)))

    def _act(self, command: str) -> Outcome:
        reply = self._twin.act(command)
        self.success = self._twin.won()
        if self._engine is not None:
            # The engine has the last word; the twin goes along for what the engine does not tell: plans and what was seen.
            reply, self.success = self._engine.act(command), self._engine.won()
        self._played.append(command)
        self._path += f"\n> {command}\n{reply}"
        self._look_around()
        return Outcome(WIN_REWARD * self.success - self.options.step_cost, terminated=self.success)

    def observe(self) -> str:
        """The room and the path so far, or in few words what is known; either way without the task."""
        if self.options.observation != "paper":
            return compact_view(self._twin, self._seen, focused=self.options.observation == "focused")
        return self._twin.game.description + self._path

    def admissible_commands(self) -> tuple[str, ...]:
        """In alphabetical order, as the engine gives them."""
        return self._commands

    def state_key(self) -> str:
        """Game, place, open doors, what was seen, and every thing that was moved or changed."""
        twin = self._twin
        doors = sum(1 << index for index, is_open in enumerate(twin.opened) if is_open)
        changed = [
            f"{index}:{where}.{mark}"
            for index, (where, mark, thing) in enumerate(zip(twin.where, twin.marks, twin.game.things, strict=True))
            if mark or where != thing.start
        ]
        return f"{twin.game.task} {twin.place} {doors:x} {self._seen:x} {' '.join(changed)}".rstrip()

    def task_statement(self) -> str:
        """The task as the engine words it."""
        return self._twin.game.statement

    def oracle(self) -> list[str]:
        """A shortest solution from here; it knows where everything is, seen or not (as the paper's expert does)."""
        return shortest_plan(self._twin)

    def unseen(self, place: int) -> bool:
        """Whether the player has not yet seen what lies in the receptacle with this index."""
        return not self._seen >> place & 1

    @property
    def twin(self) -> Twin:
        """The game in play, for teachers; do not change it."""
        return self._twin

    def snapshot(self) -> dict[str, Any]:
        """Everything ``restore`` needs, as JSON values: the game and the commands so far.

        Raises:
            EnvError: No trajectory was begun.
        """
        if not self.task:
            raise EnvError(f"{self.name}: there is nothing to save yet; call reset() first")
        saved = {"task": self.task, "stage": self.stage, "game": self._twin.game.fingerprint, "commands": list(self._played)}
        self._kept = {**saved, "commands": list(self._played)}, self._twin.state, self._path, self._seen
        return saved

    def restore(self, snapshot: dict[str, Any]) -> tuple[str, Info]:
        """Play the commands of ``snapshot`` again; gives the observation and info of that state.

        Raises:
            EnvError: ``snapshot`` is not one of this environment's; the state is then left as it was.
        """
        self._check(snapshot)
        commands: list[str] = snapshot["commands"]
        self.task, self.stage = snapshot["task"], snapshot["stage"]
        if self._engine is None and self._kept is not None and self._kept[0] == snapshot:
            # Trying commands out from one state is common, and playing all of them again is not.
            _, self._twin.state, self._path, self._seen = self._kept
            self._played = list(commands)
            self._look_around()
        else:
            self._begin(self.task, self.stage)
            for command in commands:
                self._act(command)
        self.turns_taken, self.success = len(commands), self._twin.won()
        self._over = self.success or self.turns_taken >= self.horizon
        return self.observe(), self._info()

    def _check(self, snapshot: dict[str, Any]) -> None:
        problem = shape_problem(snapshot, _SNAPSHOT_TYPES) or self._contradiction(snapshot)
        if problem:
            raise EnvError(f"{self.name}: this snapshot cannot be restored: {problem}; take one with snapshot()")

    def _contradiction(self, snapshot: dict[str, Any]) -> str | None:
        game = self._games.get(snapshot["task"])
        if game is None or snapshot["task"] not in self._tasks.get(snapshot["stage"], ()):
            return f"it is of task {snapshot['task']!r} and stage {snapshot['stage']!r}"
        if snapshot["game"] != game.fingerprint:
            return "it is of a game of the same name in another world"
        return self._unplayable(game, snapshot["commands"])

    def _unplayable(self, game: Game, commands: list[object]) -> str | None:
        if len(commands) > self.horizon:
            return f"{len(commands)} commands, but the horizon is {self.horizon}"
        if self._kept is not None and self._kept[0]["commands"] == commands and self._kept[0]["game"] == game.fingerprint:
            return None
        twin = Twin(game)
        for number, command in enumerate(commands):
            if twin.won():
                return f"command {number} comes after the end"
            if command not in twin.commands(useful=self.options.commands == "useful"):
                return f"command {number}, {command!r}, is not admissible"
            twin.act(str(command))
        return None


def _nearest_task(task: str, games: dict[str, Game]) -> str:
    # All of them would not fit in one line.
    message = nearest(task, games)
    return message if message.startswith("did you mean") else f"a task looks like {next(iter(games))!r}: task type and number"
