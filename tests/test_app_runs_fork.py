"""The page of one run: its start states, what it takes of the machine, and runs forked from it."""

import json
import os
import stat

import pandas as pd
import pytest

from tests.app_pages import shown, words
from tests.app_runs import make_run
from workbench.config import load_config
from workbench.dashboard import cache, run_fork, run_starts
from workbench.dashboard.run_device import gpu_words
from workbench.errors import WorkbenchError
from workbench.jobs import launch
from workbench.jobs.gpus import GpuUse, gpu_use, parsed, process_use
from workbench.store.outcomes import outcomes, success_by
from workbench.store.players import has_players
from workbench.store.reader import Run
from workbench.store.status import process_identity

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("recorded"), updates=12)


# Start states ---------------------------------------------------------------------------------------------


def test_outcomes_are_those_of_the_trajectories(recorded):
    found = outcomes(recorded, counted="n")
    listed = Run(recorded).trajectories()
    assert len(found) == len(listed) == 48
    assert found["success"].sum() == listed["success"].sum()
    assert found.groupby("stage")["success"].mean().to_dict() == listed.groupby("stage")["success"].mean().to_dict()
    assert set(found["counted"]) == {1}


def test_success_is_a_share_of_the_trajectories_of_each_place():
    frame = pd.DataFrame({"stage": ["a", "a", "b"], "task": ["x", "x", "x"], "success": [True, False, True]})
    assert success_by(frame, ["stage", "task"]).to_numpy().tolist() == [["a", "x", 2, 0.5], ["b", "x", 1, 1.0]]


@pytest.mark.parametrize(
    ("world", "view", "task", "counted", "place"),
    [
        ("taxi", 0, "r2c3-R-G", 4, ("2", "3")),
        ("taxi", 1, "r2c3-R-G", 4, ("R", "G")),
        ("taxi", 0, "elsewhere", 4, None),
        ("explore", 0, "web-shop-01/billing/refund_limit.py#1", 0, ("web-shop-01", "1")),
        ("explore", 0, "web-shop-01/a#b.py#2", 0, ("web-shop-01", "0")),
        ("explore", 0, "nothing", 0, None),
        ("household", 0, "clean-017", 9, ("clean", "09")),
        ("household", 0, "clean", 9, None),
    ],
)
def test_tasks_have_their_place_on_the_map(world, view, task, counted, place):
    assert list(run_starts._VIEWS[world].values())[view].place(task, counted) == place


def test_the_map_shows_the_share_of_each_field_and_leaves_others_empty():
    tasks = ["r0c0-R-G", "r0c0-Y-B", "r4c3-R-G"]
    found = pd.DataFrame({"stage": "<b>", "task": tasks, "success": [True, False, True], "counted": 4})
    view = next(iter(run_starts._VIEWS["taxi"].values()))
    figure = run_starts.starts_figure(run_starts.with_places(found, view), view, ["full"], landmarks=True)
    (heat,) = figure.data
    assert (list(heat.x), list(heat.y)) == (["0", "3"], ["0", "4"])
    assert (heat.z[0][0], heat.z[1][1], heat.customdata[0][0]) == (0.5, 1.0, 2)
    assert pd.isna(heat.z[0][1])
    assert "&lt;b&gt;" in figure.layout.annotations[0].text


def test_the_page_draws_the_map_and_the_table(run):
    test = shown("run", run=run.run_id)
    specs = {chart.proto.id.rsplit("-", 1)[-1]: json.loads(chart.proto.spec) for chart in test.get("plotly_chart")}
    assert [note["text"] for note in specs["starts_figure"]["layout"]["annotations"]][:2] == ["pickup", "dropoff"]
    test.segmented_control(key="starts_view").set_value("task").run()
    assert not test.exception
    table = next(frame.value for frame in test.dataframe if "trajectories" in frame.value)
    assert table["trajectories"].sum() == 48
    assert table["success"].is_monotonic_increasing


def test_a_world_of_ones_own_has_the_table(run):
    run.config.write_text(run.config.read_text().replace("name: taxi", "name: my.module:World"))
    assert any("trajectories" in frame.value for frame in shown("run", run=run.run_id).dataframe)


# Machine --------------------------------------------------------------------------------------------------


def test_what_nvidia_smi_prints_is_read_and_odd_lines_are_left_out():
    text = "0, NVIDIA H200, 37, 1024, 143771\n1, NVIDIA A2, [N/A], [N/A], 15356\nFailed to initialize NVML\nx, y, 1, 2, 3\n"
    assert parsed(text) == [GpuUse(0, "NVIDIA H200", 0.37, 1024, 143771), GpuUse(1, "NVIDIA A2", None, None, 15356)]
    assert gpu_words(parsed(text)[0]) == "GPU 0 NVIDIA H200: 37.0 % busy, 1.0 of 140.4 GiB"
    assert gpu_words(parsed(text)[1]) == "GPU 1 NVIDIA A2: — busy"


@pytest.mark.parametrize(
    ("body", "count"),
    [("echo '0, Some GPU, 5, 6, 7'", 1), ("exit 9", 0), ("echo nonsense", 0), ("echo '0, Good, 5, 6, 7'; echo GPU 1 is lost; exit 15", 1)],
)
def test_gpus_are_asked_of_the_program_of_that_name(tmp_path, monkeypatch, body, count):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    assert len(gpu_use()) == count


def test_without_the_program_there_is_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_use() == []


def test_only_a_live_process_of_this_host_uses_memory():
    own = process_identity()
    use = process_use(own)
    assert use is not None and use.memory > 2**20
    assert process_use({**own, "pid_started": own["pid_started"] - 100}) is None
    assert process_use({**own, "host": "elsewhere"}) is None
    assert process_use({}) is None


def test_a_live_run_says_what_it_takes_and_a_finished_one_does_not(root, run):
    live = make_run(root, state="running", updates=2)
    assert "process: " in words(shown("run", run=live.run_id))
    assert "process: " not in words(shown("run", run=run.run_id))
    status = json.loads(live.status.read_text())
    live.status.write_text(json.dumps({**status, "device": "cuda:0"}))
    cache.forget_summaries()
    assert "no GPU answers" in words(shown("run", run=live.run_id))


# Forks ----------------------------------------------------------------------------------------------------


def test_a_fork_changes_what_it_is_told_and_nothing_else(run):
    base = load_config(run.config)
    config = run_fork.forked(base, "# a comment\n\nseed=5\n  rl.learning_rate=1e-4\n", "anew")
    assert (config.seed, config.rl.learning_rate) == (5, 1e-4)
    assert config.model_copy(update={"seed": base.seed, "rl": base.rl}) == base
    assert run_fork.forked(base, "", "go on").phases == ["rl", "evaluate"]


@pytest.mark.parametrize(
    ("text", "start", "says"),
    [
        ("", "anew", "nothing is changed"),
        ("rl.learning_rat=1", "anew", "did you mean"),
        ("rl.learning_rate=-1", "anew", "greater than 0"),
        ("learn faster", "anew", "not of the form"),
        ("phases=[rl, evaluate]", "anew", "lacks generate"),
        ("phases=[generate]", "go on", "neither rl nor evaluate"),
    ],
)
def test_a_fork_that_cannot_work_is_refused_before_it_starts(run, text, start, says):
    with pytest.raises(WorkbenchError, match=says):
        run_fork.forked(load_config(run.config), text, start)


def test_the_button_works_once_the_settings_do(run, monkeypatch):
    submitted = []

    def submit(config, where, *, parent):
        submitted.append((config, where, parent))
        return run.run_id

    monkeypatch.setattr(launch, "submit", submit)
    test = shown("run", run=run.run_id)
    assert test.button(key="fork").disabled
    area = test.text_area(key=f"fork_settings_{run.run_id}")
    area.set_value("rl.learning_rate=fast").run()
    assert test.button(key="fork").disabled
    assert "rl.learning_rate: Input should be a valid number" in words(test)
    area.set_value("seed=4").run()
    assert not test.button(key="fork").disabled
    assert "seed: 0 → 4" in words(test)
    test.button(key="fork").click().run()
    assert [(config.seed, str(where), parent) for config, where, parent in submitted] == [(4, str(run.folder.parent), run.run_id)]


def test_players_are_offered_once_there_are_any(run):
    base = load_config(run.config)
    assert run_fork.starts(run, base) == ["anew"]
    hidden = run.checkpoints / "rl" / ".000010.part" / "policy"
    hidden.mkdir(parents=True)
    assert not has_players(run)
    (run.checkpoints / "rl" / "000010" / "policy").mkdir(parents=True)
    assert has_players(run)
    assert run_fork.starts(run, base) == ["anew", "go on"]
    later = base.model_copy(update={"phases": ["rl", "evaluate"]})
    assert run_fork.starts(run, later) == ["go on"]
