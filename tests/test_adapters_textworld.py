"""TextWorld's games played here; with TextWorld, which no part of the workbench needs, and without it."""

import importlib
import sys
from importlib import util

import pytest

from workbench.envs.checker import check_text_env
from workbench.envs.textworld_game import TextWorldGames
from workbench.errors import EnvError

with_textworld = pytest.mark.skipif(util.find_spec("textworld") is None, reason="TextWorld is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A game of three rooms, made by TextWorld."""
    textworld = importlib.import_module("textworld")
    where = tmp_path_factory.mktemp("games")
    options = textworld.GameOptions()
    options.seeds, options.nb_rooms, options.nb_objects, options.quest_length = 1234, 3, 5, 3
    options.path = str(where / "attic.z8")
    textworld.generator.compile_game(textworld.generator.make_game(options), options)
    return where


@with_textworld
@pytest.mark.timeout(1500)
def test_a_game_keeps_the_contract_and_gives_what_textworld_gives(folder):
    check_text_env(lambda: TextWorldGames(games=str(folder)))
    env = TextWorldGames(games=[str(folder / "attic.z8")])
    observation, info = env.reset(seed=0)
    assert env.tasks("full") == ("attic",)
    assert observation.startswith("-= Scullery =-\n")
    assert observation.endswith("You are carrying nothing.")
    assert info["task_statement"].endswith("you win!")
    plan = env.oracle()
    assert plan == ["go east", "take TextWorld style key", "lock TextWorld style chest with TextWorld style key"]
    key = info["state_key"]
    assert env.step("look")[4]["state_key"] == key, "the world is as it was"
    steps = [env.step(command) for command in plan]
    assert [step[1] for step in steps] == [0.0, 0.0, 1.0]
    assert [step[2] for step in steps] == [False, False, True]
    assert steps[0][0].count("-= Attic =-") == 1, "the room is not described twice"
    assert steps[1][0].startswith("You pick up the TextWorld style key from the ground.")
    assert ">" not in "".join(step[0] for step in steps)
    assert steps[2][4]["success"]


def test_without_textworld_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(EnvError, match="TextWorld is not installed; pip install textworld"):
        TextWorldGames(games=str(tmp_path))


def test_what_is_no_game_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(util, "find_spec", lambda name: object())
    with pytest.raises(EnvError, match=r"no \.z8 file in .*; give a folder"):
        TextWorldGames(games=str(tmp_path))
    game = tmp_path / "zork.z8"
    with pytest.raises(EnvError, match=r"zork\.z8' is no \.z8 file"):
        TextWorldGames(games=[str(game)])
    game.write_bytes(b"\x08")
    with pytest.raises(EnvError, match=r"has no \.json beside it"):
        TextWorldGames(games=str(tmp_path))
    game.with_suffix(".json").write_text("{}", encoding="utf-8")
    with pytest.raises(EnvError, match="two games have one name"):
        TextWorldGames(games=[str(game), str(game)])
    monkeypatch.setitem(sys.modules, "textworld", None)
    with pytest.raises(EnvError, match="cannot be played: ModuleNotFoundError"):
        TextWorldGames(games=str(tmp_path)).reset(seed=0)
