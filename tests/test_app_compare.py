"""The page that compares: alignment worked by hand, when a mistake ended, and the page on every kind of folder."""

import dataclasses
import shutil

import pandas as pd
import pytest

from tests.app_pages import app, parameter, shown, words
from tests.app_runs import CONFIG, make_run, taxi_trajectory
from workbench.config import apply_overrides
from workbench.dashboard import cache
from workbench.dashboard.compare_figures import history_figure, reward_figure
from workbench.dashboard.compare_sides import by_task, moment_words, moments
from workbench.dashboard.compare_view import alignment_table
from workbench.evaluation.alignment import align
from workbench.store.layout import create_run
from workbench.store.reader import Run
from workbench.store.turns import settled_since, state_history
from workbench.store.writer import RunWriter

pytestmark = pytest.mark.usefixtures("run")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Updates 1 and 2 play the same two tasks; the later policy is the better one."""
    paths = create_run(tmp_path_factory.mktemp("recorded"), CONFIG)
    writer = RunWriter(paths)
    for update, skill in ((1, 0.2), (2, 1.0)):
        writer.trajectories([_play(number, update, skill) for number in range(2)])
    writer.flush()
    writer.status("finished", phase="evaluate", update=2, total=2)
    return paths


def _play(number: int, update: int, skill: float):
    """Every update plays the tasks of update 0."""
    base = taxi_trajectory(number, stage="full", update=0, skill=skill)
    return dataclasses.replace(base, update=update, trajectory_id=f"rl-{update:06d}-{number:04d}")


def by_hand(states: str, commands: str, rewards: list[float]):
    """A trajectory through one-letter states with one-letter commands."""
    like = taxi_trajectory(0, stage="full", update=0, skill=1.0)
    turns = [
        dataclasses.replace(
            like.turns[0],
            index=index,
            state_key=state,
            command=command,
            admissible_commands=("a", "b"),
            probabilities=(0.25, 0.75),
            reward=reward,
        )
        for index, (state, command, reward) in enumerate(zip(states, commands, rewards, strict=True))
    ]
    return dataclasses.replace(like, turns=tuple(turns))


def test_plays_part_where_the_same_state_gets_another_command_and_the_cost_counts_from_there():
    left, right = by_hand("stuv", "aaab", [1.0, 0.0, 2.0, 5.0]), by_hand("stwv", "abab", [10.0, -1.0, -1.0, 5.0])
    found = align(left, right)
    assert [(pair.left and pair.left.state_key, pair.right and pair.right.state_key) for pair in found.pairs] == [
        ("s", "s"),
        ("t", "t"),
        ("u", None),
        (None, "w"),
        ("v", "v"),
    ]
    assert found.divergence == 1
    assert found.cost == (-1 - 1 + 5) - (0 + 2 + 5)  # what came before the parting is not part of its cost
    assert list(alignment_table(found)[""]) == ["=", "▶ parts here", "≠", "≠", "="]


def test_equal_plays_do_not_part_and_cost_nothing():
    play = by_hand("stu", "aba", [1.0, 2.0, 3.0])
    assert (align(play, play).divergence, align(play, play).cost) == (None, 0.0)


def test_one_that_ends_earlier_parts_at_its_end():
    found = align(by_hand("s", "a", [1.0]), by_hand("st", "ab", [1.0, 4.0]))
    assert (found.divergence, found.cost) == (1, 4.0)


def test_probabilities_of_one_state_over_the_updates(run):
    trajectories = [Run(run).trajectory(name) for name in Run(run).trajectories()["trajectory_id"]]
    start = trajectories[0].turns[0]
    history = state_history(run, start.state_key)
    for update in (1, 2):
        turns = [turn for one in trajectories if one.update == update for turn in one.turns if turn.state_key == start.state_key]
        for command in start.admissible_commands:
            row = history[(history["update"] == update) & (history["command"] == command)].iloc[0]
            place = start.admissible_commands.index(command)
            assert row["probability"] == pytest.approx(sum(turn.probabilities[place] for turn in turns) / len(turns))
            assert row["chosen"] == pytest.approx(sum(turn.command == command for turn in turns) / len(turns))
            assert row["turns"] == len(turns)
    assert set(history[history["is_oracle"]]["command"]) >= {start.oracle_command}
    assert {trace.name for trace in history_figure(history).data} >= {f"{start.oracle_command} (oracle)"}
    assert state_history(run, "no such state").empty


def _history(right: list[float]) -> pd.DataFrame:
    rows = []
    for update, probability in enumerate(right, start=1):
        rows += [("rl", update, "good", probability, True), ("rl", update, "bad", 1 - probability, False)]
    return pd.DataFrame(rows, columns=["phase", "update", "command", "probability", "is_oracle"])


def test_a_mistake_ends_at_the_last_change_for_the_better():
    assert settled_since(_history([0.9, 0.2, 0.6, 0.8])) == 3
    assert settled_since(_history([0.9, 0.8])) == 1
    assert settled_since(_history([0.9, 0.2])) is None


def test_tasks_are_paired_and_the_worst_for_the_right_comes_first(run):
    plays = Run(run).trajectories()
    tasks = by_task(plays[plays["update"] == 2], plays[plays["update"] == 1])
    assert len(tasks) == 2
    assert list(tasks["difference"]) == sorted(tasks["difference"])
    assert tasks["difference"].iloc[0] < 0
    assert moments(plays) == ["rl-2", "rl-1", "all"]
    assert moment_words("evaluate-90") == "final evaluation (update 90)"


def test_the_page_opens_on_the_first_and_the_last_update_and_its_address_says_so(run):
    test = shown("compare", run=run.run_id)
    assert (parameter(test, "at"), parameter(test, "other_at")) == ("rl-1", "rl-2")
    assert parameter(test, "left").startswith("rl-000001") and parameter(test, "right").startswith("rl-000002")
    assert "The same task, twice" in [heading.value for heading in test.subheader]
    assert "2 tasks in common" in words(test)


def test_a_run_that_went_on_to_other_tasks_opens_on_the_last_update_with_the_first_ones(root):
    paths = create_run(root, CONFIG)
    writer = RunWriter(paths)
    for update in (1, 2):
        writer.trajectories([_play(0, update, 1.0)])
    writer.trajectories([dataclasses.replace(_play(0, 3, 1.0), stage="dropoff")])
    writer.flush()
    cache.forget_summaries()
    test = shown("compare", run=paths.run_id)
    assert (parameter(test, "at"), parameter(test, "other_at")) == ("rl-1", "rl-2")
    assert "1 tasks in common" in words(test)


def test_a_permalink_opens_exactly_that_comparison(run):
    plays = Run(run).trajectories()
    task = plays["task"].iloc[-1]
    wanted = {"run": run.run_id, "at": "rl-2", "other": run.run_id, "other_at": "rl-1", "stage": "full", "task": task}
    test = shown("compare", **wanted)
    assert {name: parameter(test, name) for name in wanted} == wanted
    ids = plays[plays["task"] == task]["trajectory_id"].tolist()
    assert {parameter(test, "left"), parameter(test, "right")} == set(ids)


def test_choosing_another_update_compares_that_one(run):
    test = shown("compare", run=run.run_id)
    test.selectbox(key="compare_other_at").set_value("rl-1").run()
    assert parameter(test, "other_at") == "rl-1"
    assert "Both chose the same at every turn." in words(test)
    assert not test.exception


def test_runs_with_and_without_reflection_are_told_apart_by_their_settings(run, root):
    other = create_run(root, apply_overrides(CONFIG, ["reflection.kind=none"]))
    writer = RunWriter(other)
    writer.trajectories([_play(0, 1, 1.0)])
    writer.flush()
    cache.forget_summaries()
    test = shown("compare", run=run.run_id, other=other.run_id)
    settings = next(table.value for table in test.dataframe if "setting" in table.value)
    assert settings.to_dict("records") == [{"setting": "reflection.kind", "left": '"model"', "right": '"none"'}]


def test_nothing_in_common_and_nothing_at_all_are_said(root, run):
    empty = make_run(root, updates=0)
    cache.forget_summaries()
    assert "The two have no task in common" in words(shown("compare", run=run.run_id, other=empty.run_id))
    for paths in (run, empty):
        shutil.rmtree(paths.folder)
    cache.forget_summaries()
    assert "No run yet." in words(shown("compare"))


@pytest.mark.parametrize("name", ["../../etc", "none-such", "<script>alert(1)</script>"])
def test_a_run_that_is_not_there_is_said(run, name):
    test = shown("compare", run=run.run_id, other=name)
    assert "This cannot be compared" in words(test)
    assert all(name not in element.value for element in test.markdown)


def test_a_live_run_and_a_broken_folder(root):
    live = make_run(root, state="running", updates=2)
    broken = make_run(root, updates=1)
    broken.meta.write_text("{", encoding="utf-8")
    cache.forget_summaries()
    assert not app("compare", run=live.run_id).run().exception
    assert "This cannot be compared" in words(shown("compare", run=broken.run_id))


def test_rewards_add_up_in_the_figure():
    left, right = by_hand("stu", "aba", [1.0, 2.0, 3.0]), by_hand("s", "a", [-1.0])
    traces = reward_figure(left, right, ("left", "right")).data
    assert tuple(traces[0].y) == (1.0, 3.0, 6.0)
