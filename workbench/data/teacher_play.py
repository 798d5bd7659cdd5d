"""Trajectories that an outside teacher plays itself: it analyses without the list of commands, then chooses from it.

Reflect-RL collects its positive examples this way, whether they solve the task or not; here what did not is left out unless it is
asked for, and a turn counts as right when it brings the goal as near as the oracle's own command.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from workbench.config import TeacherConfig
from workbench.data.answers import Query
from workbench.data.generate import Example, Path, begin, example_here
from workbench.data.splits import Splits
from workbench.data.teachers.outside import Source
from workbench.envs.text_env import TextEnv
from workbench.instructions import Messages, analysis_messages, choice_messages, chosen_command, clean_answer
from workbench.prompts import Label, assign_labels, label_candidates
from workbench.seeding import generator


@dataclass
class _Game:
    """One trajectory under way."""

    number: int
    env: TextEnv
    examples: list[Example] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    over: bool = False
    stuck: bool = False
    """No usable answer, or a state that the oracle knows no way from."""


@dataclass(frozen=True, slots=True)
class TeacherPlay:
    """What the teacher's own trajectories gave."""

    examples: list[Example]
    paths: list[Path]
    outcomes: dict[str, int]
    """How many were ``solved``, ``unsolved`` and ``stuck``."""


def play_with_teacher(
    source: Source,
    make_env: Callable[[], TextEnv],
    tasks: dict[str, Splits],
    config: TeacherConfig,
    *,
    max_words: int,
    seed: int,
    first_number: int,
) -> TeacherPlay:
    """Let the teacher play ``config.trajectories`` trajectories, all of them turn by turn together.

    Args:
        source: Who answers.
        make_env: Makes one environment; each trajectory has its own.
        tasks: Tasks by stage and split; test tasks are never touched.
        config: How many, how often an unusable answer is asked for again, and whether unsolved ones are kept.
        max_words: Longest analysis that is asked for.
        seed: Of starts and labels.
        first_number: Of the first trajectory.
    """
    games = [_Game(first_number + place, make_env()) for place in range(config.trajectories)]
    for game in games:
        begin(game.env, tasks, generator(seed, "teacher-play", game.number), seed, game.number)
    while live := [game for game in games if not game.over]:
        asked = [analysis_messages(game.env.task_statement(), game.env.observe(), max_words=max_words) for game in live]
        thoughts = _usable(source, live, "analysis", asked, config.max_rewrites, lambda place, text: clean_answer(text) or None)
        listed = [_labels(game, seed) for game in live]
        choices = [
            choice_messages(messages, thought or "", game.env.admissible_commands(), labels)
            for game, messages, thought, labels in zip(live, asked, thoughts, listed, strict=True)
        ]

        def chosen(place: int, text: str, live: list[_Game] = live, listed: list[list[Label]] = listed) -> str | None:
            return chosen_command(text, live[place].env.admissible_commands(), listed[place])

        commands = _usable(source, live, "choice", choices, config.max_rewrites, chosen)
        for game, thought, command in zip(live, thoughts, commands, strict=True):
            _step(game, tasks, thought, command)
    return _gathered(games, keep_failed=config.keep_failed)


def _usable(
    source: Source,
    games: list[_Game],
    kind: str,
    messages: list[Messages],
    rewrites: int,
    read: Callable[[int, str], str | None],
) -> list[str | None]:
    """What ``read`` makes of each game's answer; unusable ones are asked for again, and are None in the end."""
    found: dict[int, str] = {}
    waiting = list(range(len(games)))
    for attempt in range(rewrites + 1):
        queries = [
            Query(games[place].number * 1000 + len(games[place].commands), kind, attempt, tuple(messages[place])) for place in waiting
        ]
        read_ones = {place: read(place, text) for place, text in zip(waiting, source.ask(queries), strict=True)}
        found |= {place: value for place, value in read_ones.items() if value is not None}
        waiting = [place for place in waiting if place not in found]
        if not waiting:
            break
    return [found.get(place) for place in range(len(games))]


def _labels(game: _Game, seed: int) -> list[Label]:
    texts = [Label(text, -1) for text in label_candidates()]
    return assign_labels(texts, len(game.env.admissible_commands()), generator(seed, "teacher-labels", game.number, len(game.commands)))


def _step(game: _Game, tasks: dict[str, Splits], thought: str | None, command: str | None) -> None:
    env = game.env
    before = env.oracle()
    if thought is None or command is None or not before:
        game.over = game.stuck = True
        return
    example = example_here(env, tasks, game.number, reflection=thought, oracle=before[0], behaviour=command)
    _, _, terminated, truncated, info = env.step(command)
    game.commands.append(command)
    game.over = terminated or truncated
    as_good = bool(info["success"]) or (not terminated and 0 < len(env.oracle() or ()) < len(before))
    game.examples.append(replace(example, oracle_command=command) if as_good else example)


def _gathered(games: list[_Game], *, keep_failed: bool) -> TeacherPlay:
    kept = [game for game in games if not game.stuck and (keep_failed or game.env.success)]
    outcomes = Counter("stuck" if game.stuck else "solved" if game.env.success else "unsolved" for game in games)
    paths = [Path(game.number, game.env.task, game.env.stage, tuple(game.commands)) for game in kept if game.commands]
    return TeacherPlay([example for game in kept for example in game.examples], paths, dict(outcomes))
