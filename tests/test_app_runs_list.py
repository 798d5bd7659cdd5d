"""The list of runs: finding, choosing, naming, archiving, deleting, comparing."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.app_pages import app, parameter, shown, words
from tests.app_runs import CONFIG, make_run
from workbench.config import apply_overrides
from workbench.dashboard import cache, runs_table
from workbench.dashboard.compare_runs_figures import Group, comparison_figure
from workbench.dashboard.runs_table import Filters, Listed
from workbench.evaluation.seeds import over_seeds
from workbench.store.labels import Labels, read_labels, relabel
from workbench.store.layout import RunPaths
from workbench.store.reader import RunSummary
from workbench.store.settings import changed, groups_but_seed

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Two runs that differ in their seed, and one with another learning rate; made once."""
    folder = tmp_path_factory.mktemp("three")
    configs = [CONFIG, apply_overrides(CONFIG, ["seed=1"]), apply_overrides(CONFIG, ["rl.learning_rate=0.002"])]
    return folder, [make_run(folder, config=config, updates=12).run_id for config in configs]


@pytest.fixture
def runs(three, root):
    folder, names = three
    shutil.copytree(folder, root, dirs_exist_ok=True)
    return [RunPaths(root / name) for name in names]


def table_key(test) -> str:
    return f"runs_own_{hash(tuple(test.dataframe[0].value['Id']))}"


def pick(test, *wanted: RunPaths):
    """Tick the boxes of these runs in the table."""
    names = test.dataframe[0].value["Id"].tolist()
    rows = [names.index(paths.run_id) for paths in wanted]
    key = table_key(test)
    test.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    test.session_state["chosen_runs"] = [paths.run_id for paths in wanted]
    return test.run()


def keys(test):
    return {button.key for button in test.button}


NO_LABELS = Labels()


def run_of(name="a", *, labels=NO_LABELS, **values):
    return Listed(RunSummary(run=name, path=Path(name), **{"state": "finished", **values}), labels)


def test_filters_and_orders():
    low = run_of("low", success_rate=0.2, preset="taxi", labels=Labels("", ("paper",)))
    high = run_of("high", success_rate=0.9, preset="explore", device="cuda:0", labels=Labels("The Best", ("paper", "new")))
    old = run_of("old", state="failed", preset="taxi", labels=Labels(archived=True))
    everything = [low, high, old]

    def found(filters, sort="newest"):
        return [one.run for one in runs_table.shown(everything, filters, sort)]

    assert found(Filters(), "success") == ["high", "low"]
    assert found(Filters(archived=True), "success") == ["high", "low", "old"]
    assert found(Filters(words="best CUDA")) == ["high"]
    assert found(Filters(words="best taxi")) == []
    assert found(Filters(tags=("paper",)), "name") == ["low", "high"]
    assert found(Filters(tags=("paper", "new"))) == ["high"]
    assert found(Filters(states=("failed",), archived=True)) == ["old"]
    assert found(Filters(presets=("taxi",))) == ["low"]


def test_a_list_view_has_a_link(runs):
    relabel(runs[0], tags=["paper"])
    relabel(runs[2], archived=True)
    test = app("runs", tag="paper").run()
    assert not test.exception
    assert test.dataframe[0].value["Id"].tolist() == [runs[0].run_id]
    test = shown("runs", archived="true", find="taxi-smoke")
    assert len(test.dataframe[0].value) == 3
    assert "None of the 3 runs" in words(shown("runs", find="no such words"))


def test_runs_are_named_and_tagged_and_keep_their_folder(runs):
    test = pick(shown("runs"), runs[0])
    next(one for one in test.text_input if one.label == "Name").set_value("the best <b>one</b>")
    next(one for one in test.multiselect if one.label == "Tags").set_value(["paper"])
    next(button for button in test.button if button.label == "Save").click().run()
    assert not test.exception
    assert read_labels(runs[0]) == Labels("the best <b>one</b>", ("paper",))
    row = test.dataframe[0].value.set_index("Id").loc[runs[0].run_id]
    assert row["Run"] == "the best <b>one</b>"
    assert runs[0].config.exists()


def test_tags_of_several_runs_are_added_to_what_each_has(runs):
    relabel(runs[0], tags=["own", "shared"])
    relabel(runs[1], tags=["shared"])
    test = pick(shown("runs"), runs[0], runs[1])
    next(one for one in test.multiselect if one.label == "Tags that all of them have").set_value(["new"])
    next(button for button in test.button if button.label == "Save").click().run()
    assert read_labels(runs[0]).tags == ("new", "own")
    assert read_labels(runs[1]).tags == ("new",)


def test_archived_runs_leave_the_list(runs):
    test = pick(shown("runs"), runs[0])
    test.button(key="archive_chosen").click().run()
    assert read_labels(runs[0]).archived
    assert runs[0].run_id not in test.dataframe[0].value["Id"].tolist()
    test.toggle(key="archived").set_value(True).run()
    assert runs[0].run_id in test.dataframe[0].value["Id"].tolist()


def test_deleting_asks_first_and_removes_what_was_chosen_only(runs, root):
    test = pick(shown("runs"), runs[1])
    assert "Delete for good?" in words(test)
    assert runs[1].run_id in words(test)
    assert runs[1].folder.exists()
    test.button(key="delete_chosen").click().run()
    assert not test.exception
    assert {path.name for path in root.iterdir()} == {runs[0].run_id, runs[2].run_id}
    assert sorted(test.dataframe[0].value["Id"]) == sorted([runs[0].run_id, runs[2].run_id])
    assert "delete_chosen" not in keys(test)


def test_a_live_run_has_no_button_that_deletes(root):
    live = make_run(root, state="running", updates=2)
    test = pick(shown("runs"), live)
    assert "Still live" in words(test)
    assert "delete_chosen" not in keys(test)


def test_a_run_that_came_alive_after_the_page_was_drawn_is_not_deleted(runs):
    test = pick(shown("runs"), runs[0])
    status = json.loads(runs[0].status.read_text())
    runs[0].status.write_text(json.dumps({**status, "state": "queued", "heartbeat": "2999-01-01T00:00:00+00:00"}))
    test.button(key="delete_chosen").click().run()
    assert not test.exception
    assert "is queued and is not deleted" in words(test)
    assert runs[0].config.exists()


def test_recorded_examples_in_the_run_root_are_not_changed(runs, root, monkeypatch):
    monkeypatch.setattr(cache, "example_root", lambda: root)
    test = pick(shown("runs"), runs[0])
    test.button(key="delete_chosen").click().run()
    assert "is never changed" in words(test)
    assert runs[0].config.exists()


def test_a_choice_stays_with_its_run_when_the_order_changes(runs, root):
    test = pick(shown("runs"), runs[0])
    make_run(root, updates=1)
    cache.forget_summaries()
    test.run()
    assert runs[0].run_id in words(test)
    assert test.session_state["chosen_runs"] == [runs[0].run_id]


def test_compared_runs_show_curves_and_only_the_settings_that_differ(runs):
    test = shown("runs", compare=",".join(paths.run_id for paths in runs))
    settings = next(frame.value for frame in test.dataframe if "Setting" in frame.value).set_index("Setting")
    assert sorted(settings.index) == ["rl.learning_rate", "seed"]
    assert list(settings.loc["seed"].array) == ["0", "1", "0"]
    figures = {chart.proto.id.rsplit("-", 1)[-1]: json.loads(chart.proto.spec) for chart in test.get("plotly_chart")}
    assert {"compare_evaluations", "compare_success/rate"} <= set(figures)
    named = [trace["name"] for trace in figures["compare_success/rate"]["data"] if trace.get("showlegend", True)]
    assert len(named) == 2 and named[0].endswith("(2 seeds)")


def test_compare_writes_the_address(runs):
    test = pick(shown("runs"), runs[0], runs[1])
    test.button(key="compare_chosen").click().run()
    assert set(parameter(test, "compare").split(",")) == {runs[0].run_id, runs[1].run_id}
    assert "nothing but their seed" in words(test)
    test.button(key="compare_close").click().run()
    assert "compare" not in test.query_params


def test_a_comparison_of_what_is_not_there_says_so(runs):
    assert "../../etc" in words(shown("runs", compare=f"../../etc,{runs[0].run_id}"))
    runs[1].metrics.write_text('{"phase": "rl", "update": "x", "success/rate": []}\n')
    runs[1].config.write_text("- 5\n")
    test = shown("runs", compare=",".join(paths.run_id for paths in runs))
    assert test.get("plotly_chart")


def test_an_empty_table_of_labels_leaves_its_columns_out():
    assert runs_table.columns([run_of()])["Tags"] is None
    assert runs_table.columns([run_of(labels=Labels("x", ("y",)))])["Tags"] is not None
    assert isinstance(runs_table.run_table([run_of()]), pd.DataFrame)


def test_a_mean_of_fewer_runs_than_the_group_has_says_so():
    full = pd.DataFrame({"update": [1, 2], "success/rate": [0.5, 0.7]})
    none = pd.DataFrame({"update": []})
    (line,) = comparison_figure([Group("<b> (2 seeds)", ["one", "other"], [none, full], [none, none])], "success/rate").data
    assert line.name == "&lt;b&gt; (2 seeds), 1 of them here"
    band = comparison_figure(
        [Group("two", ["one", "other"], [full, full.assign(**{"success/rate": [0.6, 0.8]})], [none, none])], "success/rate"
    ).data
    assert [trace.name for trace in band if trace.name] == ["one", "other", "two"]
    assert list(band[-1].y) == pytest.approx([0.55, 0.65])


def test_groups_of_runs_and_what_differs():
    configs: list[dict[str, object]] = [{"seed": 0, "rl": {"x": 1}}, {"seed": 1, "rl": {"x": 1}}, {"seed": 0, "rl": {"x": 2, "y": []}}]
    assert groups_but_seed(configs) == [[0, 1], [2]]
    assert changed(configs) == {"seed": ["0", "1", "0"], "rl.x": ["1", "1", "2"], "rl.y": [None, None, "[]"]}


def test_the_interval_over_seeds_is_students():
    frame = over_seeds([pd.Series({1: 0.4, 2: 0.5}), pd.Series({1: 0.6, 2: 0.5, 3: 0.9}), pd.Series({1: 0.5, 2: 0.5})])
    assert list(frame.index) == [1, 2]
    assert list(frame.loc[1].array) == pytest.approx([0.5, 0.5 - 4.30265 * 0.1 / 3**0.5, 0.5 + 4.30265 * 0.1 / 3**0.5], abs=1e-5)
    assert list(frame.loc[2].array) == [0.5, 0.5, 0.5]
    assert over_seeds([pd.Series({1: 0.4})])["low"].isna().all()
    assert over_seeds([]).empty
