"""The pages as a person meets them: on an empty store, a live run, a finished one, broken ones."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.app_pages import shown, words
from tests.app_runs import make_run
from workbench.config import RunConfig
from workbench.dashboard import run
from workbench.errors import StoreError
from workbench.jobs import launch
from workbench.store.layout import create_run
from workbench.store.writer import RunWriter

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """One finished run, made once; tests that change a run make their own."""
    return make_run(tmp_path_factory.mktemp("recorded"))


@pytest.mark.parametrize(("page", "says"), [("runs", "No run yet"), ("run", "No run yet"), ("trajectories", "No run yet")])
def test_an_empty_store_says_what_to_do(page, says):
    assert says in words(shown(page))


def test_the_router_opens_on_the_runs():
    test = AppTest.from_file(Path(__file__).parents[1] / "app.py", default_timeout=30).run()
    assert not test.exception
    assert test.title[0].value == "workbench"


def test_runs_are_listed_with_state_progress_and_success(run, root):
    make_run(root, state="failed", updates=4)
    table = shown("runs").dataframe[0].value
    assert sorted(table["State"]) == ["✓ finished", "✗ failed"]
    row = table.set_index("Run").loc[run.run_id]
    assert row["Success"] == pytest.approx(96.77, abs=0.01)
    assert row["95 % interval"] == "92.8 to 99.8"
    assert row["Update"] == "all done"
    assert row["Preset"] == "taxi-smoke"
    assert table[table["State"] == "✗ failed"]["Update"].tolist() == ["4 / 30"]


def test_a_recorded_example_is_listed_and_cannot_be_stopped_or_resumed(recorded, tmp_path):
    shutil.copytree(recorded.folder, tmp_path / "examples" / recorded.run_id)
    test = shown("runs")
    assert test.dataframe[0].value["Run"].tolist() == [recorded.run_id]
    page = shown("run", run=recorded.run_id)
    assert "recorded example" in words(page)
    assert {button.key for button in page.button} == {"fork"}


def test_start_submits_the_chosen_preset_with_the_seed(root, monkeypatch):
    submitted: list[tuple[RunConfig, Path]] = []

    def submit(config, where):
        submitted.append((config, where))
        return create_run(where, config).run_id

    monkeypatch.setattr(launch, "submit", submit)
    test = shown("runs")
    test.number_input(key="seed").set_value(3)
    test.selectbox(key="preset").set_value("taxi-smoke").run()
    test.button(key="start").click().run()
    assert [(config.preset, config.seed, where) for config, where in submitted] == [("taxi-smoke", 3, root)]


def test_a_refused_start_is_said_in_words(monkeypatch):
    def submit(config, where):
        raise StoreError("no space left; free space, then start again")

    monkeypatch.setattr(launch, "submit", submit)
    test = shown("runs")
    test.button(key="start").click().run()
    assert not test.exception
    assert "no space left; free space, then start again" in words(test)


def test_a_finished_run_shows_its_curves_and_how_to_repeat_it(run):
    test = shown("run", run=run.run_id)
    figures = {chart.proto.id.rsplit("-", 1)[-1] for chart in test.get("plotly_chart")}
    assert {
        "success_figure",
        "curve_reward/mean",
        "curve_policy/entropy",
        "curve_policy/kl",
        "starts_figure",
        "curve_loss/policy",
        "curve_length/mean",
        "warmup_figure",
        "time_figure",
    } <= figures
    assert f"workbench train --config {run.config}" in words(test)
    assert "online learning begins" in words(test)
    assert "update 10: pickup to dropoff   success then 87.5 %" in words(test)
    assert {button.key for button in test.button} == {"fork"}


def test_a_live_run_has_a_stop_button_that_writes_the_stop_file(root):
    paths = make_run(root, state="running", updates=6)
    test = shown("run", run=paths.run_id)
    assert "▶ running" in words(test)
    assert "▸ rl" in words(test)
    assert [metric.value for metric in test.metric if metric.label == "Online updates"] == ["6 / 30"]
    assert not paths.stop.exists()
    test.button(key="stop").click().run()
    assert not test.exception
    assert paths.stop.exists()
    assert "stop asked for" in words(test)
    assert {button.key for button in test.button} == {"fork"}


def test_a_failed_run_says_why_and_resumes(root, monkeypatch):
    paths = make_run(root, state="failed", updates=3)
    started: list[tuple[Path, str]] = []
    monkeypatch.setattr(launch, "start", lambda where, run_id: started.append((where, run_id)))
    test = shown("run", run=paths.run_id)
    assert "the machine is out of memory; free some, then resume" in words(test)
    test.button(key="resume").click().run()
    assert started == [(root, paths.run_id)]


def _newer(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "schema_version": 999}))


def _torn(folder: Path) -> None:
    (folder / "meta.json").write_text('{"schema_ver')


def _foreign(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "holiday.txt").write_text("sun")


@pytest.mark.parametrize(("damage", "says"), [(_newer, "newer workbench"), (_torn, "damaged"), (_foreign, "not a run folder")])
@pytest.mark.parametrize("page", ["runs", "run", "trajectories"])
def test_a_broken_folder_is_said_in_words(run, page, damage, says):
    damage(run.folder)
    assert says in words(shown(page, run=run.run_id))


def test_files_that_end_in_the_middle_leave_the_rest_readable(run):
    for file in (run.metrics, run.evaluations, run.events):
        file.write_bytes(file.read_bytes() + b'{"phase": "rl", "upd')
    run.status.write_text("")
    (run.trajectories / "half.parquet").write_bytes(b"PAR1")
    assert "This run cannot be shown" not in words(shown("run", run=run.run_id))
    assert "trajectories" in words(shown("trajectories", run=run.run_id))


def test_lines_with_values_of_another_kind_raise_nothing(run):
    odd = {"phase": "rl", "update": "four", "success/rate": [1], "reward/mean": "much", "curriculum/stage": 1e400, "loss/sft": None}
    with run.metrics.open("a") as file:
        file.write(json.dumps(odd) + "\n" + json.dumps({**odd, "phase": 7, "update": 10**40, "<b>": {"a": 1}}) + "\n")
    with run.evaluations.open("a") as file:
        file.write(json.dumps({"phase": [], "update": {}, "success_rate": "all", "low": True, "high": 1, "stage": {"x": [1]}}) + "\n")
    with run.events.open("a") as file:
        file.write(json.dumps({"kind": 5, "message": ["a", {"b": 1}], "update": "x"}) + "\n")
    run.config.write_text("phases: 5\nrl: [1]\nenv: x\ncurriculum: {stages: 3}\n")
    test = shown("run", run=run.run_id)
    assert "This run cannot be shown" not in words(test)
    assert {"success_figure", "curve_reward/mean", "time_figure"} <= {
        chart.proto.id.rsplit("-", 1)[-1] for chart in test.get("plotly_chart")
    }


@pytest.mark.parametrize("page", ["run", "trajectories"])
@pytest.mark.parametrize("name", ["../../etc", "/etc", "..", "a" * 5000, "nul\0", "![x](http://127.0.0.1/x)"])
def test_addresses_are_not_trusted(run, page, name):
    test = shown(page, run=name)
    assert "This run cannot be shown" in words(test)
    assert all(name not in element.value for element in test.markdown)


def test_a_name_in_the_configuration_does_not_import_code(run, tmp_path, monkeypatch):
    (tmp_path / "trap_module.py").write_text("raise SystemExit('imported by looking')")
    monkeypatch.syspath_prepend(str(tmp_path))
    run.config.write_text(run.config.read_text().replace("name: taxi", "name: trap_module:World"))
    shown("run", run=run.run_id)


def test_time_left_follows_the_pace_of_the_last_updates(root):
    paths = create_run(root, RunConfig())
    RunWriter(paths).metrics("rl", 1, {})
    times = ["2026-01-01T00:00:00+00:00", "2026-01-01T00:00:10+00:00", "2026-01-01T00:00:14+00:00"]
    rows = pd.DataFrame({"phase": "rl", "update": [1, 2, 3], "time": pd.to_datetime(times)})
    assert run.seconds_left(rows, "rl", 3, 13) == pytest.approx(10 * 7.0)
    assert run.seconds_left(rows, "rl", None, 13) is None
    assert run.seconds_left(rows.head(1), "rl", 1, 13) is None


def test_a_run_that_began_since_the_list_was_made_is_found(root, run):
    from workbench.dashboard import cache

    kept = run.folder.rename(root.parent / "kept")
    assert cache.own_runs() == []
    kept.rename(run.folder)
    found = cache.summary(run)
    assert found is not None and found.run == run.run_id
