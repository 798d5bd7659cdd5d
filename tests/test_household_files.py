"""Household's game files: written, read back, refused; and the real engine playing them as the twin does."""

import json
import random
from pathlib import Path

import pytest

from tests.household_search import small_games
from workbench import check_text_env
from workbench.envs.household.engine import Engine, engine_is_installed, engine_texts
from workbench.envs.household.game import Game
from workbench.envs.household.game_file import file_path, game_file, problem
from workbench.envs.household.game_reader import UnplayableError, read_game
from workbench.envs.household.planner import shortest_plan
from workbench.envs.household.twin import Twin
from workbench.envs.household.world import Household
from workbench.errors import EnvError

GRAMMAR = 'grammar :: """ {"task": [{"rhs": "Your task is to: UNKNOWN GOAL."}]} """;'
WELCOME = "-= Welcome to TextWorld, ALFRED! =-"

with_engine = pytest.mark.skipif(not engine_is_installed(), reason="needs the extra alfworld")


def write(folder: Path, game: Game) -> Path:
    path = file_path(folder, game)
    path.parent.mkdir(parents=True)
    path.write_text(game_file(game, domain="(define (domain alfred))", grammar=GRAMMAR, walkthrough=shortest_plan(Twin(game))))
    return path


def same_play(first: Game, second: Game, turns: int) -> None:
    """Both games say and allow the same, however they are played."""
    dice, one, other = random.Random(0), Twin(first), Twin(second)
    assert (first.statement, first.description) == (second.statement, second.description)
    for _ in range(turns):
        assert (one.commands(), one.won(), shortest_plan(one)) == (other.commands(), other.won(), shortest_plan(other))
        command = dice.choice(one.commands())
        assert one.act(command) == other.act(command)


def changed(path: Path, old: str, new: str) -> Path:
    content = json.loads(path.read_text())
    assert old in content["pddl_problem"]
    path.write_text(json.dumps({**content, "pddl_problem": content["pddl_problem"].replace(old, new)}))
    return path


# Files ----------------------------------------------------------------------------------------------------


def test_a_game_comes_back_from_its_file(tmp_path):
    for game in small_games(11, 60, receptacles=(5, 16), things=(3, 14)):
        back = read_game(write(tmp_path, game), task=game.task.removeprefix(game.goal.task_type))
        assert (back.task, back.room) == (game.task, game.room)
        assert (back.receptacles, back.things, back.fits) == (game.receptacles, game.things, game.fits)
        assert back.goal[:3] == game.goal[:3]
        same_play(game, back, 20)


def test_a_file_holds_what_alfworld_expects(tmp_path):
    game = small_games(11)[2]
    path = write(tmp_path, game)
    content = json.loads(path.read_text())
    assert sorted(content) == ["grammar", "pddl_domain", "pddl_problem", "solvable", "walkthrough"]
    assert path.relative_to(tmp_path).parts[0].startswith("pick_clean_then_place_in_recep-")
    assert "UNKNOWN GOAL" not in content["grammar"]
    for kind in ("SinkBasinType", "MicrowaveType", "FridgeType", "KnifeType", "ButterKnifeType"):
        assert f" {kind.lower()}" in problem(game).lower(), "the domain names it, so it must be declared"


def test_a_folder_of_games_is_played(tmp_path, monkeypatch):
    games = small_games(12, 12)
    for game in games:
        write(tmp_path, game)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "game.tw-pddl").write_text("{}")
    monkeypatch.setenv("HOUSEHOLD_GAMES", str(tmp_path))
    env = Household(games_dir="$HOUSEHOLD_GAMES")
    assert len(env.tasks("all")) == 12
    assert {env.task_group(task) for task in env.tasks("all")} == {game.room for game in games}
    assert {env.reset(options={"task": task})[1]["task_statement"] for task in env.tasks("all")} == {game.statement for game in games}
    only = Household(games_dir=str(tmp_path), task_types=["heat"], games=1)
    assert [task.partition("-")[0] for task in only.tasks("all")] == ["heat"]
    check_text_env(lambda: Household(games_dir=str(tmp_path)))


def test_a_scene_number_in_the_folders_name_is_the_room(tmp_path):
    game = small_games(12)[0]
    path = tmp_path / "pick_and_place_simple-Tomato-None-Microwave-10" / "trial_T20190909_1" / "game.tw-pddl"
    path.parent.mkdir(parents=True)
    path.write_text(game_file(game, domain="", grammar=GRAMMAR, walkthrough=[]))
    assert read_game(path, task="-000").room == "room-10"


def test_a_thing_that_lies_nowhere_is_out_of_play(tmp_path):
    game = small_games(13, 30)[0]
    spare = next(index for index, thing in enumerate(game.things) if thing.kind != game.goal.thing)
    path = write(tmp_path, game)
    text = json.loads(path.read_text())["pddl_problem"]
    lines = [line for line in text.splitlines() if line.startswith("  (inReceptacle")]
    line = lines[spare]
    back = read_game(changed(path, line + "\n", ""), task="-000")
    twin = Twin(back)
    assert [thing.start for thing in back.things].count(-2) == 1
    for command in shortest_plan(twin):
        assert game.things[spare].name not in twin.act(command)
    assert twin.won()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("loc_1)", "loc_0)", "two receptacles share a location"),
        ("atLocation agent1 loc_middle", "atLocation agent1 loc_0", "begins at a receptacle"),
        ("(openable ", "(opened drawer_bar_00) (openable ", "open from the start"),
        ("(pickupable ", "(heatable ", "the things that its goal needs are not there"),
        ("inReceptacle ?o ?r", "inReceptacleObject ?o ?r", "inside another"),
        ("(receptacleAtLocation ", "(elsewhere ", "lacks its kind or its location"),
        ("_bar_0", "_0", "no identifier of ALFWorld's"),
    ],
)
def test_a_game_of_another_kind_is_refused(tmp_path, old, new, message):
    game = next(game for game in small_games(14, 60) if game.goal.task_type == "pick")
    with pytest.raises(UnplayableError, match=message):
        read_game(changed(write(tmp_path, game), old, new), task="-000")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"pddl_problem": 1, "grammar": ""}', '{"pddl_problem": "", "grammar": null}', "[" * 99_999]
)
def test_a_damaged_file_is_refused(tmp_path, text):
    path = tmp_path / "game.tw-pddl"
    path.write_text(text)
    with pytest.raises(UnplayableError):
        read_game(path, task="-000")


def test_a_grammar_with_code_in_its_task_is_refused(tmp_path):
    path = write(tmp_path, small_games(12)[0])
    content = json.loads(path.read_text())
    for evil in ("{__import__('os').system('true')}", "#look.feedback#", 'x"}]}'):
        grammar = f"Your task is to: {evil}."
        path.write_text(json.dumps({**content, "grammar": grammar}))
        with pytest.raises(UnplayableError, match="no task in plain words"):
            read_game(path, task="-000")


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("/no/such/folder", "is no folder"),
        ("$NO_SUCH_VARIABLE_HERE/x", "names an environment variable that is not set"),
        (7, "must be a folder's path"),
    ],
)
def test_a_wrong_folder_is_refused(folder, message):
    with pytest.raises(EnvError, match=message):
        Household(games_dir=folder)


def test_a_folder_without_playable_games_says_why(tmp_path):
    with pytest.raises(EnvError, match=r"gives no game: it holds no game\.tw-pddl"):
        Household(games_dir=str(tmp_path))
    (tmp_path / "game.tw-pddl").write_text("{}")
    with pytest.raises(EnvError, match=r"gives no game: 1 cannot be played \(game\.tw-pddl: it is no game file"):
        Household(games_dir=str(tmp_path), games=119)


# The real engine ------------------------------------------------------------------------------------------


def test_without_the_extra_the_engine_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EnvError, match=r"not installed; pip install 'text-agent-workbench\[alfworld\]'"):
        Household(games=6, engine="textworld")


def differences(seed: int, steps: int) -> None:
    """Play both at random and compare text, admissible commands and outcome, until so many steps are taken."""
    engine, dice, taken = Engine(), random.Random(seed), 0
    rich = ("clean", "heat", "cool", "slice", "use", "move", "take", "open")
    while taken < steps:
        for game in small_games(seed + taken, 60):
            assert engine.begin(game) == f"{WELCOME}\n\n{game.description}\n\n{game.statement}"
            twin, plan = Twin(game), shortest_plan(Twin(game))
            # To the solution, with as many random turns on the way; what changes something is preferred.
            for turn in range(90):
                commands = twin.commands()
                assert engine.commands() == commands, game.task
                choices = [command for command in commands if command.split()[0] in rich] if dice.random() < 0.5 else []
                command = dice.choice(choices or commands) if turn < 50 else (shortest_plan(twin) or plan)[0]
                assert engine.act(command) == twin.act(command), (game.task, command)
                assert engine.won() == twin.won(), (game.task, command)
                taken += 1
                if twin.won():
                    break
            assert twin.won()
            if taken >= steps:
                return


@with_engine
def test_the_twin_says_and_allows_what_the_engine_does():
    differences(seed=1, steps=120)


@with_engine
@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_twin_equals_the_engine_over_20000_random_steps():
    differences(seed=2, steps=20_000)


@with_engine
def test_household_plays_with_the_engine():
    real, twin = Household(games=12, engine="textworld"), Household(games=12)
    for env in (real, twin):
        env.reset(seed=0, options={"task": "heat-003"})
    for command in twin.oracle():
        assert real.step(command) == twin.step(command)
    saved = real.snapshot()
    assert real.success
    real.reset(seed=0, options={"task": "pick-000"})
    real.restore(saved)
    assert (real.observe(), real.success) == (twin.observe(), True)


@with_engine
def test_the_engine_reads_the_files_as_they_are(tmp_path):
    domain, grammar = engine_texts()
    game = small_games(15)[3]
    path = tmp_path / "game.tw-pddl"
    path.write_text(game_file(game, domain=domain, grammar=grammar, walkthrough=[]))
    assert Engine().begin(read_game(path, task="-000")).endswith(game.statement)
