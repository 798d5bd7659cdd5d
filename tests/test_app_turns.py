"""What the pages of turns draw: trees, rooms, differences, tokens, filters, and files that can be taken away."""

import dataclasses
import math
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.app_runs import CONFIG, make_run, taxi_trajectory
from tests.small_models import byte_level_tokenizer
from tests.test_app_trajectories import ATTACK
from workbench.dashboard.export import file_name, run_file
from workbench.dashboard.export_html import run_html, trajectory_html
from workbench.dashboard.turn_explore import SeenTree, seen_tree, tree_html
from workbench.dashboard.turn_filters import Filters
from workbench.dashboard.turn_household import Room, room_html, seen_room
from workbench.dashboard.turn_text import difference_html, tokens_html
from workbench.dashboard.turn_view import first_error
from workbench.dashboard.turn_world import world_html
from workbench.envs.catalog import make_env
from workbench.records import Reflection, Turn
from workbench.store.layout import create_run
from workbench.store.reader import Run
from workbench.store.tokens import token_texts, tokenizer_file


def tree_of(turns) -> SeenTree:
    found = seen_tree(turns)
    assert found is not None
    return found


def room_of(observation: str) -> Room:
    found = seen_room(observation)
    assert found is not None
    return found


def token_texts_of(file, ids) -> list[str]:
    found = token_texts(file, ids)
    assert found is not None
    return found


def play(name: str, *, seed: int = 3, **options: object):
    """Turns of a world, played by its oracle."""
    env = make_env(name, **options)
    observation, _ = env.reset(seed=seed, options={"stage": env.stages[-1]})
    like, over = taxi_trajectory(0, stage="full", update=1, skill=1.0).turns[0], False
    turns: list[Turn] = []
    while not over:
        plan = env.oracle()
        assert plan
        command = plan[0]
        turns.append(dataclasses.replace(like, index=len(turns), observation=observation, command=command, admissible_commands=(command,)))
        observation, _, terminated, truncated, _ = env.step(command)
        over = terminated or truncated
    return env, turns


def plain(markup: str) -> str:
    return re.sub(r"<[^>]*>", "", markup)


class Tags(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


# Worlds.


@pytest.mark.parametrize("form", ["full", "compact"])
def test_the_tree_grows_with_what_was_seen(form):
    env, turns = play("explore", **({"observation": form} if form == "compact" else {}))
    start, end = tree_of(turns[:1]), tree_of(turns)
    assert start.here == "" and list(start.entries) == [""]
    target = env.task.split("#")[0].partition("/")[2]
    assert end.here == target.rpartition("/")[0] + "/"
    assert end.chosen == target
    assert target in end.read
    drawn = tree_html(end)
    assert f"▶ {end.here.rstrip('/').rpartition('/')[2]}/" in plain(drawn)
    assert f"✓ {target.rpartition('/')[2]}" in plain(drawn)
    assert all(name in plain(drawn) for name in start.entries[""])


def test_long_listings_are_shortened_but_never_the_way_that_was_taken():
    like = taxi_trajectory(0, stage="full", update=1, skill=1.0).turns[0]
    names = [f"d{number:03d}" for number in range(100)]
    first = dataclasses.replace(like, observation="At: /\nHere: " + " ".join(f"{name}/" for name in names), command="cd d099")
    second = dataclasses.replace(like, observation="At: d099/\nHere: a.txt", command="cat a.txt")
    drawn = plain(tree_html(tree_of([first, second])))
    assert "d099/" in drawn and "a.txt" in drawn and "d060/" not in drawn
    assert "… and 59 more" in drawn


@pytest.mark.parametrize("options", [{}, {"observation": "compact", "known": True}])
def test_the_room_holds_what_the_game_holds(options):
    env, turns = play("household", **options)
    for turn in turns[1:]:
        room = room_of(turn.observation)
        assert set(room.contents) == {place.name for place in env._twin.game.receptacles}
    taken = next(turn for turn in turns if turn.command.startswith("take "))
    thing, _, place = taken.command.removeprefix("take ").partition(" from ")
    before, after = room_of(taken.observation), room_of(turns[taken.index + 1].observation)
    assert (before.place, before.carried) == (place, "")
    assert thing in (before.contents[place] or [])
    assert thing in after.carried
    assert thing not in (after.contents[place] or [])
    assert f"▶ {place}" in plain(room_html(before))


def test_doors_are_told_and_moved_things_lie_where_they_were_put():
    text = "You are in the middle of a room. Looking quickly around you, you see a fridge 1, and a table 1."
    text += "\n> go to fridge 1\nYou arrive at fridge 1. The fridge 1 is closed."
    assert room_of(text).doors == {"fridge 1": "closed"}
    assert room_of(text).contents == {"fridge 1": None, "table 1": None}
    text += "\n> open fridge 1\nYou open the fridge 1. The fridge 1 is open. In it, you see a egg 1, and a pan 2."
    text += "\n> take egg 1 from fridge 1\nYou pick up the egg 1 from the fridge 1."
    text += "\n> cool egg 1 with fridge 1\nYou cool the egg 1 using the fridge 1."
    room = room_of(text)
    assert (room.doors, room.carried, room.contents["fridge 1"]) == ({"fridge 1": "open"}, "cool egg 1", ["pan 2"])
    text += "\n> go to table 1\nYou arrive at table 1. On the table 1, you see nothing."
    text += "\n> move egg 1 to table 1\nYou move the egg 1 to the table 1."
    room = room_of(text)
    assert (room.place, room.carried, room.contents["table 1"]) == ("table 1", "", ["cool egg 1"])


def test_other_worlds_are_left_to_their_text():
    like = taxi_trajectory(0, stage="full", update=1, skill=1.0).turns[0]
    assert world_html([like]) == ""
    assert world_html([dataclasses.replace(like, observation="A dark room.")]) == ""


@pytest.mark.parametrize(
    "observation", [f"At: /{ATTACK}\nHere: '{ATTACK}'", f"At: {ATTACK}.\nCarrying: {ATTACK}.\nSeen: {ATTACK}: {ATTACK}."]
)
def test_names_in_a_world_are_text(observation):
    like = taxi_trajectory(0, stage="full", update=1, skill=1.0).turns[0]
    drawn = world_html([dataclasses.replace(like, observation=observation, command=ATTACK)])
    assert drawn and Tags(drawn).tags <= {"div", "span", "b", "br"}


# Differences and tokens.


def test_the_difference_shows_changed_words_only():
    drawn = difference_html("You see a cat.\nIt sleeps.", "You see a dog.\nIt sleeps.")
    assert re.findall(r"<del[^>]*>(.*?)</del>", drawn) == ["cat"]
    assert re.findall(r"<ins[^>]*>(.*?)</ins>", drawn) == ["dog"]
    assert "sleeps" not in drawn


def test_the_difference_of_maps_goes_by_characters():
    drawn = difference_html("| :T: : |", "| : :T: |")
    assert set("".join(re.findall(r"<ins[^>]*>(.*?)</ins>", drawn))) <= set("T: ")
    assert re.findall(r"<ins[^>]*>", drawn)


def test_lines_that_came_and_went_and_nothing_at_all():
    assert difference_html("same", "same") == ""
    assert plain(difference_html("a", "a\nb")) == "+ b"
    assert plain(difference_html("a\nb", "a")) == "- b"
    assert Tags(difference_html("x", ATTACK)).tags <= {"div", "span", "ins", "del"}


def test_unsure_tokens_are_darker_and_their_probability_is_told():
    drawn = tokens_html(["sure", ATTACK], [0.0, math.log(0.25)])
    assert re.findall(r'title="([^"]*)"', drawn) == ["100.0%", "25.0%"]
    shades = [float(value) for value in re.findall(r"230, 159, 0, ([\d.]+)", drawn)]
    assert shades[0] == 0 < shades[1]
    assert Tags(drawn).tags == {"div", "span"}


def test_token_texts_join_to_what_was_said(tmp_path):
    tokenizer = byte_level_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    text = "Go south, ünder the wall: 你好."
    ids = tokenizer.encode(text, add_special_tokens=False)
    texts = token_texts_of(tmp_path / "tokenizer.json", ids)
    assert "".join(texts) == text
    assert len(texts) == len(ids)
    assert token_texts(tmp_path / "tokenizer.json", [10**6]) is None
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert token_texts(tmp_path / "tokenizer.json", ids) is None


def test_a_tokenizer_is_found_in_the_run_in_a_folder_or_not_at_all(tmp_path):
    paths = create_run(tmp_path, CONFIG)
    assert tokenizer_file(paths, "tiny") is None
    assert tokenizer_file(paths, "no-such/model") is None
    assert tokenizer_file(paths, "../..//a b") is None
    folder = paths.checkpoints / "generate" / "000001" / "tokenizer"
    folder.mkdir(parents=True)
    raw = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.save(str(folder / "tokenizer.json"))
    assert tokenizer_file(paths, "tiny") == tokenizer_file(paths, str(folder)) == folder / "tokenizer.json"


# Filters.


@pytest.fixture(scope="module")
def plays(tmp_path_factory):
    return Run(make_run(tmp_path_factory.mktemp("plays"), updates=6)).trajectories()


def test_every_filter_does_what_it_says(plays):
    turns, rewards = plays["turns"], plays["total_reward"]
    wanted = {
        Filters(): plays.index == plays.index,
        Filters(stage="pickup", success=True): (plays["stage"] == "pickup") & plays["success"],
        Filters(task=plays["task"].iloc[0].upper()): plays["task"] == plays["task"].iloc[0],
        Filters(turns=(2, 4)): (turns >= 2) & (turns <= 4),
        Filters(reward=(-1.0, 0.0)): (rewards >= -1) & (rewards <= 0),
        Filters(disagrees=True): plays["disagreements"] > 0,
        Filters(errors="no error"): plays["first_error"].isna(),
        Filters(errors="an error"): plays["first_error"].notna(),
        Filters(latest_error=0): plays["first_error"].eq(0).fillna(False),
    }
    for filters, keeps in wanted.items():
        found = filters.apply(plays)
        assert list(found["trajectory_id"]) == list(plays[keeps.astype(bool) if isinstance(keeps, pd.Series) else keeps]["trajectory_id"])
        assert len(found)
    assert len(Filters(errors="no error").apply(plays)) < len(plays)


def test_the_task_is_found_as_text_not_as_a_pattern(plays):
    assert Filters(task=".*").apply(plays).empty


def test_the_first_error_is_the_first_command_that_is_not_the_oracles():
    base = taxi_trajectory(1, stage="full", update=1, skill=1.0)
    wrong = dataclasses.replace(base.turns[2], oracle_command="pickup" if base.turns[2].command != "pickup" else "dropoff")
    changed = dataclasses.replace(base, turns=(*base.turns[:2], wrong, *base.turns[3:]))
    assert first_error(changed) == 2
    silent = tuple(dataclasses.replace(turn, oracle_command=None) for turn in base.turns)
    assert first_error(dataclasses.replace(base, turns=silent)) is None


# Files to take away.


def hostile():
    """A trajectory in which every text would like to be markup."""
    base = taxi_trajectory(1, stage="full", update=1, skill=0.9)
    turn = base.turns[0]
    bad = dataclasses.replace(
        turn,
        observation=ATTACK,
        state_key=ATTACK,
        admissible_commands=(ATTACK, *turn.admissible_commands[1:]),
        command=ATTACK,
        oracle_command=ATTACK,
        reflection=Reflection(ATTACK, suggested_command=ATTACK),
    )
    return dataclasses.replace(base, turns=(turn, bad), task=ATTACK, stage=ATTACK, task_statement=ATTACK, trajectory_id=ATTACK)


def test_an_exported_trajectory_holds_every_turn_and_stands_alone():
    trajectory = taxi_trajectory(1, stage="full", update=1, skill=1.0)
    text = trajectory_html(trajectory, run="a-run")
    assert text.count('<div class="turn">') == len(trajectory.turns)
    assert all(f"Turn {turn.index}: {turn.command}" in text for turn in trajectory.turns)
    assert f"{trajectory.turns[0].probabilities[0]:.1%}" in text
    assert not re.search(r"(src|href)=|url\(|@import|<script", text)
    assert "default-src 'none'" in text


def test_an_exported_trajectory_is_text_whatever_it_holds():
    text = trajectory_html(hostile(), run=ATTACK)
    found = Tags(text)
    assert not found.tags & {"script", "img", "a", "iframe", "object", "link"}
    assert not {name for name in found.attributes if name.startswith("on")} | (found.attributes & {"src", "href"})
    assert "&lt;script&gt;alert(1)" in text


def test_an_exported_run_holds_curves_evaluations_and_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path))
    paths = make_run(tmp_path, updates=10)
    text = run_file(paths)
    assert "Success over updates" in text and "<polyline" in text
    assert "rl.max_steps" in text and ">30<" in text
    assert "finished" in text
    frame = pd.DataFrame({"phase": ["rl"], "update": [1], "success/rate": [float("nan")], ATTACK: [ATTACK]})
    assert not Tags(run_html(ATTACK, {ATTACK: ATTACK}, frame, frame, {ATTACK: ATTACK})).tags & {"script", "img"}


def test_files_have_names_that_every_system_takes():
    assert file_name("../a b\x00<c>", "csv") == "a-b-c.csv"
    assert file_name("…", "html") == "workbench.html"
