"""Every table can be taken away, as CSV and as Parquet."""

import io

import pandas as pd
import pytest

from tests.app_pages import shown
from tests.app_runs import CONFIG, make_run
from workbench.config import apply_overrides
from workbench.dashboard import cache
from workbench.dashboard.export import csv_bytes, parquet_bytes


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("downloads")
    make_run(folder, updates=10)
    make_run(folder, updates=1, state="stopped", config=apply_overrides(CONFIG, ["seed=1"]))
    return folder


@pytest.fixture(autouse=True)
def only_these_runs(root, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUNS", str(root))
    monkeypatch.setattr(cache, "example_root", lambda: tmp_path / "examples")
    cache.forget_summaries()


@pytest.mark.parametrize(
    ("page", "tables"),
    [
        ("runs", ["runs"]),
        ("run", ["evaluations", "events", "metrics"]),
        ("trajectories", ["trajectories"]),
        ("compare", ["tasks", "alignment"]),
        ("reflections", ["advice", "wrong"]),
        ("launch", ["devices"]),
    ],
)
def test_each_table_of_a_page_has_both_buttons(page, tables):
    address = {} if page in ("runs", "launch") else {"run": next(one.run for one in cache.own_runs() if one.state == "finished")}
    found = {button.proto.id.rsplit("-", 1)[-1]: button.proto.label for button in shown(page, **address).get("download_button")}
    for table in tables:
        assert found[f"csv_{table}"] == "CSV" and found[f"parquet_{table}"] == "Parquet"


def test_compared_runs_give_both_of_their_tables():
    names = ",".join(one.run for one in cache.own_runs())
    found = {button.proto.id.rsplit("-", 1)[-1] for button in shown("runs", compare=names).get("download_button")}
    assert {"csv_compare_results", "parquet_compare_settings"} <= found


def test_both_files_hold_the_whole_table():
    table = pd.DataFrame({"name": ["a", 'b "c"'], "count": [1, 2], "rate": [0.5, None], "right": [True, False]})
    again = pd.read_parquet(io.BytesIO(parquet_bytes(table)))
    pd.testing.assert_frame_equal(again, table)
    assert csv_bytes(table).decode() == 'name,count,rate,right\r\na,1,0.5,True\r\n"b ""c""",2,,False\r\n'


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nb", "\r", 'say "a,b"'])
def test_a_text_of_several_lines_stays_in_its_row(text):
    again = pd.read_csv(io.BytesIO(csv_bytes(pd.DataFrame({"text": [text, "c"], "count": [1, 2]}))))
    assert again.to_dict("list") == {"text": [text, "c"], "count": [1, 2]}


def test_lists_mixed_kinds_and_broken_text_become_text():
    mixed = {"tags": [["a", "b"], []], "any": [1, "x"], "broken": ["\ud800", None], "huge": [10**30, 1], 7: [1, 2]}
    table = pd.DataFrame(mixed, dtype=object)
    again = pd.read_parquet(io.BytesIO(parquet_bytes(table)))
    assert again["tags"].tolist() == ["a, b", ""]
    assert again["any"].tolist() == ["1", "x"]
    assert again["broken"].tolist()[0] == "?" and pd.isna(again["broken"].tolist()[1])
    assert again["huge"].tolist() == [str(10**30), "1"]
    assert again["7"].tolist() == ["1", "2"]
    assert csv_bytes(table).decode().splitlines()[1] == f'"a, b",1,?,{10**30},1'


def test_an_empty_table_makes_no_trouble():
    assert pd.read_parquet(io.BytesIO(parquet_bytes(pd.DataFrame()))).empty
    assert csv_bytes(pd.DataFrame()) == b"\r\n"
