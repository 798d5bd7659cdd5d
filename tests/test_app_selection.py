"""The page Selection: pools, choices and studies as files leave them, and what it says where there is nothing or something broken."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.app_pages import shown, words
from workbench.dashboard import cache, selection_cache
from workbench.dashboard.selection_figures import coverage_figure, curves_figure, map_figure, overlap_figure
from workbench.evaluation.label_efficiency import curves
from workbench.recipes.select import select
from workbench.seeding import generator
from workbench.selection.designs import Settings
from workbench.store.layout import run_names
from workbench.store.selections import SelectionFolder, list_selections, overlap, study_files

SIZE = 30


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(cache, "example_root", lambda: tmp_path / "none")
    monkeypatch.setattr(selection_cache, "recorded_studies", lambda: tmp_path / "none")
    return tmp_path / "runs" / "selections"


@pytest.fixture
def pool(tmp_path):
    path = tmp_path / "pool.jsonl"
    rows = [
        {"prompt": f"<b>prompt</b> {place}", "task": f"task {place % 3}", "stage": f"stage {place % 2}", "response": "x"}
        for place in range(SIZE)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.save(tmp_path / "points.npy", generator(0, "test-app-selection").standard_normal((SIZE, 4)))
    return path


def chosen(pool, root, design, *, budget=6, features=True):
    place = pool.with_name("points.npy") if features else None
    return select(pool, root / design, design=design, budget=budget, settings=Settings(), features_file=place)


def results(path, *, seeds=3, better=0.1):
    rows = [
        {"study": "states", "pool": "taxi", "design": design, "budget": budget, "seed": seed, "success": 0.1 * step + gain + 0.01 * seed}
        for design, gain in (("random", 0.0), ("k-center", better), ("shuffled", 0.0))
        for step, budget in enumerate((8, 16), start=1)
        for seed in range(seeds)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)


def test_without_a_selection_the_page_says_how_to_make_one():
    test = shown("selection")
    assert "No selection yet" in words(test) and "No study yet" in words(test)


def test_selections_of_a_pool_are_shown_side_by_side(pool, root):
    for design in ("facility-location", "k-center", "random"):
        chosen(pool, root, design, features=design != "random")
    test = shown("selection")
    summary = test.dataframe[0].value.set_index("Selection").to_dict("index")
    assert set(summary) == {"facility-location", "k-center", "random"}
    assert summary["facility-location"]["Chosen"] == 6 and summary["facility-location"]["Tasks reached"] <= 3
    assert summary["facility-location"]["Value"] <= summary["facility-location"]["Bound"]
    assert len(test.get("plotly_chart")) == 3  # map, overlap, coverage
    test.selectbox(key="explained").set_value("facility-location").run()
    assert not test.exception
    table = next(frame.value for frame in test.dataframe if "covers" in frame.value)
    assert list(table["order"]) == list(range(6)) and table["covers"].sum() == SIZE
    assert (table["gain"].diff().dropna() <= 1e-9).all()
    assert any("<b>prompt</b>" in str(element.value) for element in test.code)


def test_what_covers_a_prompt_is_listed_with_its_distance(pool, root):
    chosen(pool, root, "k-center")
    test = shown("selection")
    near = next(frame.value for frame in test.dataframe if "distance" in frame.value)
    assert list(near["distance"]) == sorted(near["distance"])


def test_pools_are_kept_apart(pool, root):
    chosen(pool, root, "k-center")
    pool.write_text('{"prompt": "another"}\n{"prompt": "pool"}\n')
    select(pool, root / "other", design="random", budget=1)
    found = list_selections(root)
    assert len({one.pool for one in found}) == 2
    for one in found:
        assert list(shown("selection", pool=one.pool).dataframe[0].value["Selection"]) == [one.name]


def test_without_embeddings_there_is_no_map(pool, root):
    chosen(pool, root, "random", features=False)
    assert "so there is no map of it" in words(shown("selection"))


def test_damaged_selections_are_told_and_others_still_shown(pool, root):
    chosen(pool, root, "k-center")
    (root / "broken").mkdir()
    (root / "broken" / "selection.json").write_text("{")
    assert [found.name for found in list_selections(root)] == ["k-center"]
    (root / "k-center" / "map.parquet").write_bytes(b"PAR1")
    assert "This selection cannot be shown" in words(shown("selection"))
    (root / "k-center" / "selected.jsonl").write_text('{"order": 0}\n')
    assert "lacks id, prompt, row" in words(shown("selection"))


def test_a_study_is_answered_with_its_interval(root):
    results(root / "label_budget" / "states.csv", better=0.2)
    test = shown("selection")
    answers = next(frame.value for frame in test.dataframe if "Answer" in frame.value)
    # k-center at 8 has 0.3, random at 16 has 0.2, in every seed alike.
    assert answers["Difference"].tolist() == pytest.approx([0.1])
    assert answers["Answer"].tolist() == ["yes"] and answers["Best designs (seeds)"].tolist() == ["k-center (3)"]
    assert (root / "label_budget" / "states.csv") in selection_cache.studies().values()


def test_broken_and_empty_studies_are_told(root):
    (root / "label_budget").mkdir(parents=True)
    path = root / "label_budget" / "states.csv"
    path.write_text("study,pool\n")
    assert "These results cannot be shown" in words(shown("selection"))
    path.write_text("study,pool,design,budget,seed,success\n")
    assert "No result yet" in words(shown("selection"))


def test_own_studies_come_before_those_of_the_workbench(tmp_path):
    for name in ("mine", "theirs"):
        results(tmp_path / name / "states.csv")
    results(tmp_path / "theirs" / "instructions.csv")
    (tmp_path / "theirs" / "states-pools.csv").write_text("study\n")
    found = study_files(tmp_path / "mine", tmp_path / "theirs", tmp_path / "absent")
    assert found == [tmp_path / "mine" / "states.csv", tmp_path / "theirs" / "instructions.csv"]


def test_figures_hold_what_they_are_given(tmp_path):
    points = pd.DataFrame({"row": [0, 1, 2], "prompt": ["<i>a", "b", "c"], "x": [0.0, 1, 2], "y": [0.0, 1, 0], "task": ["s", "s", "t"]})
    figure = map_figure(points, ("x", "y"), "task", {"mine": [2, 9]})
    assert [trace.name for trace in figure.data] == ["s", "t", "mine"]
    assert list(figure.data[2].x) == [2.0] and figure.data[0].text[0] == "&lt;i&gt;a"
    assert overlap([frozenset({1, 2}), frozenset({2, 3})])[0][1] == pytest.approx(1 / 3)
    assert overlap_figure(["<a>", "b"], [[1, 0], [0, 1]]).data[0].x == ("&lt;a&gt;", "b")
    bars = coverage_figure({"mine": {"s": {"pool": 2, "chosen": 0}, "t": {"pool": 1, "chosen": 1}}})
    assert list(bars.data[0].x) == pytest.approx([2 / 3, 1 / 3]) and list(bars.data[1].x) == [0, 1]
    results(tmp_path / "states.csv")
    table = curves(pd.read_csv(tmp_path / "states.csv"), "success")
    lines = curves_figure(table, ["random", "k-center"], "success")
    assert list(lines.data[1].y) == pytest.approx([0.21, 0.31])


def test_the_folder_of_selections_is_no_run_and_odd_reports_count_nothing(pool, root):
    found = chosen(pool, root, "k-center")
    (root.parent / "a-run").mkdir()
    assert run_names(root.parent) == ["a-run"]
    odd = SelectionFolder(root, {"tasks": {"a": {"pool": 3, "chosen": True}, "b": 7}, "stages": 3})
    assert odd.shares("tasks") == {"a": {"pool": 3, "chosen": 0}} and odd.shares("stages") == {}
    assert sum(counts["chosen"] for counts in SelectionFolder(root, found).shares("tasks").values()) == 6
    (root / "k-center" / "selected.jsonl").write_text('{"order": "x", "row": 1, "id": "a", "prompt": "b"}\n')
    assert "order and row have to be whole numbers" in words(shown("selection"))
