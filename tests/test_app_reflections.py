"""The page of reflections, and the gains that it shows: by hand, by a model, as a job, and where something is wrong."""

import dataclasses
import math
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit

from tests.app_pages import parameter, shown, words
from tests.app_runs import CONFIG, make_run, taxi_trajectory
from tests.small_play import assignments, collector
from tests.small_runs import run_config, short_config
from workbench.cli import main
from workbench.dashboard import cache, links, reflections_gain
from workbench.dashboard.reflections_figures import cases_figure, gain_figure, gain_over_training_figure, rates_figure
from workbench.errors import RunBusyError, StoreError
from workbench.evaluation.reflection_gain import Gain, GainQuestion, reflection_gains
from workbench.jobs.analyse import start_analysis
from workbench.models.policy import Decision
from workbench.prompts import Label
from workbench.records import Reflection
from workbench.store.analysis import analysis_state, note_state, read_gains, sampled_turns, write_gains
from workbench.store.checkpoints import list_checkpoints
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import Run
from workbench.store.turns import MOMENTS, advice_by_moment, advice_counts, wrong_advice
from workbench.store.writer import RunWriter

pytestmark = pytest.mark.usefixtures("run")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("recorded"), updates=4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with checkpoints, players of its own and oracle commands."""
    return run_config(tmp_path_factory.mktemp("trained"), short_config("record.oracle_commands=true"))


def _turns(paths):
    reader = Run(paths)
    return [(one, turn) for name in reader.trajectories()["trajectory_id"] for one in [reader.trajectory(name)] for turn in one.turns]


def _write(paths, trajectory):
    writer = RunWriter(paths)
    writer.trajectories([trajectory])
    writer.flush()


def test_counts_are_those_of_the_turns(run):
    totals = advice_counts(run).sum(numeric_only=True)
    turns = [turn for _, turn in _turns(run)]
    told = [(turn.reflection.suggested_command, turn.oracle_command, turn.command) for turn in turns]
    assert totals["turns"] == totals["judged"] == len(turns)
    assert totals["suggestion_right"] == sum(said == right for said, right, _ in told)
    assert totals["followed"] == sum(said == did for said, _, did in told)
    assert totals["choice_right"] == sum(right == did for _, right, did in told)
    assert totals["misled"] == sum(said not in (None, right) and did == said for said, right, did in told)
    assert totals["resisted"] == sum(said not in (None, right) and did == right for said, right, did in told)
    assert totals["advice_wasted"] == sum(said == right != did for said, right, did in told)
    assert totals["right_followed"] == sum(said == right == did for said, right, did in told)


def _turns_told(play, cases):
    """A turn for each case: the oracle's command, the suggested one, the chosen one."""
    return tuple(
        dataclasses.replace(
            play.turns[0], index=index, oracle_command=right, command=did, reflection=Reflection("", suggested_command=said)
        )
        for index, (right, said, did) in enumerate(cases)
    )


def test_the_four_cases_are_told_apart(root):
    play = taxi_trajectory(0, stage="full", update=1, skill=1.0)
    cases = [("north", "north", "north"), ("north", "north", "south"), ("north", "south", "south"), ("north", "south", "north")]
    turns = _turns_told(play, cases)
    paths = create_run(root, CONFIG)
    _write(paths, dataclasses.replace(play, turns=turns))
    row = advice_counts(paths).iloc[0]
    assert [row[name] for name in ("right_followed", "advice_wasted", "misled", "resisted")] == [1, 1, 1, 1]
    assert list(wrong_advice(paths)["turn"]) == [2, 3]  # the one that followed it first


def test_moments_are_told_by_what_was_done_before(root):
    play = taxi_trajectory(0, stage="full", update=1, skill=1.0)
    cases = [("north", "north", "north"), ("north", "south", "south"), ("east", "east", "west"), ("west", "west", "west")]
    turns = _turns_told(play, cases)
    paths = create_run(root, CONFIG)
    other = dataclasses.replace(play, trajectory_id=f"{play.trajectory_id}-b", turns=(turns[0],))
    writer = RunWriter(paths)
    writer.trajectories([dataclasses.replace(play, turns=turns), other])
    writer.flush()
    found = advice_by_moment(paths).set_index("moment")
    assert list(found.loc[MOMENTS[0], ["turns", "suggestion_right", "followed", "choice_right"]]) == [2, 2, 2, 2]
    assert list(found.loc[MOMENTS[1], ["turns", "suggestion_right", "followed", "choice_right"]]) == [1, 0, 1, 0]
    assert list(found.loc[MOMENTS[2], ["turns", "suggestion_right", "followed", "choice_right"]]) == [2, 2, 1, 1]
    test = shown("reflections", run=paths.run_id)
    assert "Before and after a mistake" in [heading.value for heading in test.subheader]
    assert [list(frame.value["moment"]) for frame in test.dataframe if "moment" in frame.value] == [list(MOMENTS)]


def test_silence_is_not_wrong_advice(root):
    paths = create_run(root, CONFIG)
    play = taxi_trajectory(0, stage="full", update=1, skill=1.0)
    silent = [dataclasses.replace(turn, reflection=Reflection("Nothing to say.")) for turn in play.turns]
    _write(paths, dataclasses.replace(play, turns=tuple(silent)))
    totals = advice_counts(paths).sum(numeric_only=True)
    assert (totals["named"], totals["named_and_judged"], totals["misled"]) == (0, 0, 0)
    assert wrong_advice(paths).empty


def test_wrong_advice_is_listed_with_those_that_followed_it_first(run):
    found = wrong_advice(run)
    assert len(found) == sum(turn.reflection.suggested_command != turn.oracle_command for _, turn in _turns(run))
    followed = list(found["suggested_command"] == found["command"])
    assert followed == sorted(followed, reverse=True)
    first = found.iloc[0]
    turn = Run(run).trajectory(first["trajectory_id"]).turns[first["turn"]]
    assert first["p_right"] == pytest.approx(turn.probabilities[turn.admissible_commands.index(turn.oracle_command)])


def test_the_page_says_what_the_counts_say(run):
    test = shown("reflections", run=run.run_id)
    totals = advice_counts(run).sum(numeric_only=True)
    assert f"{totals['suggestion_right'] / totals['named_and_judged']:.1%}".replace("%", " %") in [one.value for one in test.metric]
    assert parameter(test, "run") == run.run_id
    assert "Reflection gain" in [heading.value for heading in test.subheader]
    assert "keeps no checkpoint" in words(test)  # so nothing offers a computation that cannot be done
    assert not [button for button in test.button if button.key == "analyse"]


def test_pages_without_a_run_without_turns_without_reflections_and_without_a_whole_folder(run, root):
    empty = make_run(root, updates=0)
    mute = make_run(root, updates=1, reflection="")
    broken = make_run(root, updates=1)
    broken.meta.write_text("{", encoding="utf-8")
    cache.forget_summaries()
    assert "has recorded no trajectory yet" in words(shown("reflections", run=empty.run_id))
    shown("reflections", run=mute.run_id)
    assert "This run cannot be shown" in words(shown("reflections", run=broken.run_id))
    assert "This run cannot be shown" in words(shown("reflections", run="../../etc"))
    for folder in (run, empty, mute, broken):
        shutil.rmtree(folder.folder)
    cache.forget_summaries()
    assert "No run yet." in words(shown("reflections"))


def test_a_live_run_is_shown_and_cannot_be_analysed(root):
    live = make_run(root, state="running", updates=2)
    shown("reflections", run=live.run_id)
    with pytest.raises(RunBusyError, match="is being trained; wait until it ends"):
        start_analysis(root, live.run_id)


# The gains.


def gain_rows(paths, gains=(1.0, -2.0)):
    rows = []
    for order, name in enumerate(("sft-policy/8", "rl/6")):
        for (one, turn), gain in zip(_turns(paths), gains, strict=False):
            shared = {"trajectory_id": one.trajectory_id, "turn": turn.index, "phase": one.phase, "stage": one.stage, "update": one.update}
            said = {
                "right_command": turn.oracle_command,
                "suggested_command": "",
                "command": turn.command,
                "reflection": turn.reflection.text,
            }
            logs = {"log_prob_with": -0.5, "log_prob_without": -0.5 - gain, "log_prob_other": -1.0}
            rows.append({"checkpoint": name, "order": order, **shared, **said, **logs, "gain": gain * (order + 1), "gain_over_other": 0.5})
    return rows


def test_gains_are_shown_worst_first_at_the_newest_checkpoint(run):
    write_gains(run, gain_rows(run))
    test = shown("reflections", run=run.run_id)
    assert "-1.000" in [one.value for one in test.metric]  # mean of 2 and -4
    table = next(one.value for one in test.dataframe if "gain" in one.value)
    assert list(table["gain"]) == [-4.0, 2.0]
    test.segmented_control(key="gain_kind").set_value("the reflection of another state").run()
    assert "+0.500" in [one.value for one in test.metric]
    assert not test.exception


def test_a_chosen_row_opens_its_turn(run, monkeypatch):
    gone: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(links, "go", lambda name, **parameters: gone.append((name, parameters)))
    monkeypatch.setattr(streamlit, "session_state", {"open_gain_table": ("rl-000001-0002", np.int64(3))})
    reflections_gain.leave_for_turn(run, "gain_table")
    assert gone == [("trajectories", {"run": run.run_id, "trajectory": "rl-000001-0002", "turn": "3"})]


def test_a_damaged_file_of_gains_is_said(run):
    write_gains(run, gain_rows(run))
    run.reflection_gain.write_bytes(b"PAR1 and no more")
    with pytest.raises(StoreError, match="compute it again with `workbench analyse"):
        read_gains(run)
    assert "This run cannot be shown" in words(shown("reflections", run=run.run_id))


def test_nothing_runs_without_its_process_and_nothing_starts_for_ever(run):
    assert analysis_state(run)["state"] == "none"
    note_state(run, "running")
    assert analysis_state(run)["state"] == "running"
    note_state(run, "running", pid=2**22 + 1)
    assert "ended without a word" in analysis_state(run)["error"]
    note_state(run, "starting")
    assert analysis_state(run)["state"] == "starting"
    note_state(run, "starting", heartbeat="2020-01-01T00:00:00+00:00")
    assert "no process took it up" in analysis_state(run)["error"]
    test = shown("reflections", run=run.run_id)
    assert "The last computation ended without a result" in words(test)


def test_the_gain_is_a_difference_of_log_probabilities():
    one = Gain(with_reflection=math.log(0.8), without=math.log(0.2), with_other=math.log(0.4))
    assert one.gain == pytest.approx(math.log(4))
    assert one.gain_over_other == pytest.approx(math.log(2))


def test_gains_are_what_the_policy_says_of_the_three_prompts():
    playing = collector(oracle_commands=True)
    (play,) = playing.collect(assignments(count=1))
    turn = play.turns[0]
    labels = tuple(Label(text, token) for text, token in zip(turn.labels, turn.label_token_ids, strict=True))
    right, prompts = turn.admissible_commands.index(turn.oracle_command), playing.rules.prompts
    parts = (play.task_statement, turn.observation, turn.admissible_commands, labels)
    (found,) = reflection_gains(playing.policy, prompts, [GainQuestion(*parts, right, turn.prompt_token_ids, (7, 8))])
    assert found.with_reflection == pytest.approx(math.log(turn.probabilities[right]), abs=1e-4)
    for ids, value in ((None, found.without), ((7, 8), found.with_other)):
        prompt = prompts.policy(play.task_statement, turn.observation, ids, turn.admissible_commands, labels)
        (alone,) = playing.policy.distributions([Decision(prompt.token_ids, turn.label_token_ids)])
        assert value == pytest.approx(alone[right], abs=1e-4)
    assert len({round(found.with_reflection, 6), round(found.without, 6), round(found.with_other, 6)}) == 3


def test_the_command_scores_the_same_turns_at_every_checkpoint_and_changes_nothing_else(trained, root, capsys):
    copy = RunPaths(Path(shutil.copytree(trained.folder, root / trained.run_id)))
    before = {path: path.stat().st_mtime_ns for path in copy.folder.rglob("*") if path.is_file()}
    assert main(["analyse", copy.run_id, "--runs-dir", str(root), "--turns", "5"]) == 0
    assert "reflection gain" in capsys.readouterr().out
    gains = read_gains(copy)
    assert gains is not None
    names = [one.name for one in list_checkpoints(copy, role="policy")]
    assert list(dict.fromkeys(gains["checkpoint"])) == names and len(names) > 2
    per_checkpoint = [set(zip(part["trajectory_id"], part["turn"], strict=True)) for _, part in gains.groupby("checkpoint")]
    assert all(part == per_checkpoint[0] and part for part in per_checkpoint)
    assert gains.groupby(["checkpoint", "stage"]).size().max() <= 5
    assert np.allclose(gains["gain"], gains["log_prob_with"] - gains["log_prob_without"])
    assert analysis_state(copy)["state"] == "finished"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # At the newest checkpoint, a turn of the final evaluation has the probability that was recorded.
    last = gains[(gains["checkpoint"] == names[-1]) & (gains["phase"] == "evaluate")].iloc[0]
    turn = Run(copy).trajectory(last["trajectory_id"]).turns[last["turn"]]
    assert last["log_prob_with"] == pytest.approx(
        math.log(turn.probabilities[turn.admissible_commands.index(turn.oracle_command)]), abs=1e-4
    )


def test_what_cannot_be_analysed_is_said_in_one_line(run, trained, root, capsys):
    assert main(["analyse", run.run_id, "--runs-dir", str(root)]) == 2
    assert "has no checkpoint of its policy" in capsys.readouterr().err
    copy = RunPaths(Path(shutil.copytree(trained.folder, root / trained.run_id)))
    assert main(["analyse", copy.run_id, "--runs-dir", str(root), "--turns", "0"]) == 2
    assert "--turns must be at least 1, found 0" in capsys.readouterr().err
    shutil.rmtree(copy.trajectories)
    assert main(["analyse", copy.run_id, "--runs-dir", str(root)]) == 2
    assert "no turn with both a reflection and an oracle's command" in capsys.readouterr().err


def test_the_sample_follows_from_the_seed(run):
    names = [[(row["trajectory_id"], row["turn"]) for row in sampled_turns(run, per_stage=3, seed=seed)] for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


@pytest.mark.slow
def test_the_button_starts_a_process_whose_result_appears(trained, root):
    copy = RunPaths(Path(shutil.copytree(trained.folder, root / trained.run_id)))
    cache.forget_summaries()
    test = shown("reflections", run=copy.run_id)
    test.button(key="analyse").click().run()
    assert analysis_state(copy)["state"] in ("starting", "running")
    with pytest.raises(RunBusyError, match="is being analysed already"):
        start_analysis(root, copy.run_id)
    deadline = time.monotonic() + 120
    while analysis_state(copy)["state"] in ("starting", "running") and time.monotonic() < deadline:
        time.sleep(0.5)
    assert analysis_state(copy)["state"] == "finished", analysis_state(copy)
    assert "Mean gain, nats" in [one.label for one in shown("reflections", run=copy.run_id).metric]


def test_figures_hold_the_numbers(run):
    counts = advice_counts(run)
    traces = {trace.name: trace for trace in rates_figure(counts).data}
    first = counts[counts["update"] == 1].sum(numeric_only=True)
    assert traces["choice is the suggestion"].y[0] == pytest.approx(first["followed"] / first["named"])
    shares = np.sum([trace.x for trace in cases_figure(counts).data], axis=0)
    assert shares == pytest.approx(1.0)
    gains = pd.DataFrame(gain_rows(run))
    assert [trace.name for trace in gain_figure(gains, "gain").data] == ["sft-policy/8", "rl/6"]
    line = gain_over_training_figure(gains, "gain").data[0]
    assert list(line.y) == pytest.approx([-0.5, -1.0])
