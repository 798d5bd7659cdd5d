"""From a pool's file to what to annotate: every kind of file, no label read, and every mistake a line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.small_models import save_small
from workbench.cli import main
from workbench.errors import DataError
from workbench.recipes import select as recipe
from workbench.seeding import generator
from workbench.selection import facility_location
from workbench.selection.designs import DESIGNS, Settings, choose
from workbench.selection.features import SCORES, Features, load_features, save_features
from workbench.selection.layout import drawn_places, pca_coordinates
from workbench.selection.pool import Columns, pool_from_rows, read_pool

PROMPTS = [f"go {way} {count} times" for way in ("north", "south", "east", "west") for count in range(1, 7)]
ROWS = [
    {"id": f"p{place}", "prompt": prompt, "task": prompt.split()[1], "response": f"the label of {place}"}
    for place, prompt in enumerate(PROMPTS)
]


def write(folder: Path, kind: str, rows: Sequence[Mapping[str, Any]] = ROWS) -> Path:
    if kind == "jsonl":
        path = folder / "pool.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif kind == "parquet":
        path = folder / "pool.parquet"
        # Plain and uncompressed, so that a test can spoil the bytes of one column.
        pq.write_table(pa.Table.from_pylist(rows), path, compression="none", use_dictionary=False, write_statistics=False)
    else:
        path = folder / "pool"
        datasets.Dataset.from_list([dict(row) for row in rows]).save_to_disk(path)
    return path


@pytest.fixture
def jsonl(tmp_path):
    return write(tmp_path, "jsonl")


@pytest.fixture
def features(tmp_path, jsonl):
    dice = generator(0, "test-features")
    found = Features(
        dice.standard_normal((24, 6)).astype(np.float32),
        {name: dice.random(24) for name in SCORES},
        dice.integers(1, 9, 24),
        {"model": "made up"},
    )
    save_features(tmp_path / "features.npz", found, fingerprint=read_pool(jsonl).fingerprint)
    return tmp_path / "features.npz"


@pytest.fixture
def call(tmp_path, capfd):
    def calling(*arguments: object) -> dict[str, Any]:
        capfd.readouterr()
        code = main(["select", *map(str, arguments), "--out", str(tmp_path / "out"), "--json"])
        out, error = capfd.readouterr()
        assert code == 0, error
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        found["ids"] = [json.loads(line)["id"] for line in (tmp_path / "out" / "selected.jsonl").read_text().splitlines()]
        return found

    return calling


@pytest.fixture
def refused(tmp_path, capfd):
    def calling(*arguments: object) -> str:
        capfd.readouterr()
        code = main(["select", *map(str, arguments), "--out", str(tmp_path / "out")])
        error: str = capfd.readouterr().err
        assert code == 2, error
        assert error.startswith("workbench: ")
        assert error.count("\n") == 1, error
        assert not (tmp_path / "out").exists()
        return error

    return calling


# What comes out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("score", [None, "margin-max"])
def test_every_design_chooses_from_a_file(call, jsonl, features, tmp_path, design, score):
    found = call(jsonl, "--design", design, "--budget", 7, "--features", features, *(["--score", score] if score else []))
    assert len(set(found["ids"])) == 7 <= len(PROMPTS)
    assert json.loads((tmp_path / "out" / "selection.json").read_text()) == {
        name: value for name, value in found.items() if name not in ("ids", "out")
    }
    assert (found["design"], found["budget"], found["prompts"]) == (design, 7, 24)
    assert sum(found["picks_per_task"].values()) == 7
    settings = Settings(score=score)
    again = choose(design, read_pool(jsonl), load_features(features, pool=24, fingerprint=read_pool(jsonl).fingerprint), 7, settings)
    assert [ROWS[place]["id"] for place in again.indices] == found["ids"]


def test_what_is_written_says_what_to_annotate(call, jsonl, features, tmp_path):
    found = call(jsonl, "--design", "facility-location", "--budget", 5, "--features", features)
    lines = [json.loads(line) for line in (tmp_path / "out" / "selected.jsonl").read_text().splitlines()]
    assert [line["order"] for line in lines] == list(range(5))
    for line in lines:
        assert {key: line[key] for key in ("id", "prompt", "task")} == {key: ROWS[line["row"]][key] for key in ("id", "prompt", "task")}
        assert "response" not in line
    gains = [line["gain"] for line in lines]
    assert gains == sorted(gains, reverse=True) and sum(gains) == pytest.approx(found["value"])
    assert sum(line["covers"] for line in lines) == 24
    assert 0 < found["value"] <= found["bound"] <= 24
    assert set(found["length_correlation"]) == set(SCORES)
    assert found["width"] > 0


def test_a_model_looks_once_and_its_features_are_taken_up_again(call, jsonl, tmp_path):
    model = save_small(tmp_path / "model", "gpt2")
    first = call(jsonl, "--design", "facility-location", "--budget", 5, "--model", model, "--max-new-tokens", 4, "--device", "cpu")
    assert first["features"]["max_new_tokens"] == 4
    kept = (tmp_path / "out" / "features.npz").rename(tmp_path / "kept.npz")
    again = call(jsonl, "--design", "facility-location", "--budget", 5, "--features", kept)
    assert again["ids"] == first["ids"]
    assert again["value"] == first["value"]
    assert again["length_correlation"] == first["length_correlation"]


def test_a_table_of_ones_own_embeddings(call, jsonl, tmp_path):
    table = generator(1, "test-table").standard_normal((24, 4))
    np.save(tmp_path / "mine.npy", table)
    found = call(jsonl, "--design", "facility-location", "--budget", 6, "--features", tmp_path / "mine.npy")
    assert found["ids"] == [ROWS[place]["id"] for place in facility_location(table, 6).indices]


# No label is read -----------------------------------------------------------------------------------------


class Guarded(Mapping[str, Any]):
    """A row whose label nobody may look at."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row

    def __getitem__(self, key: str) -> Any:
        if key not in ("id", "prompt", "task"):
            raise AssertionError(f"the label {key!r} was read")
        return self.row[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.row)

    def __len__(self) -> int:
        return len(self.row)


@pytest.mark.parametrize("design", DESIGNS)
def test_no_design_reads_a_label(features, jsonl, design):
    pool = pool_from_rows([Guarded(row) for row in ROWS])
    with pytest.raises(AssertionError, match="was read"):
        pool_from_rows([Guarded(row) for row in ROWS], Columns(prompt="response"))
    found = load_features(features, pool=24, fingerprint=pool.fingerprint)
    assert len(choose(design, pool, found, 5, Settings(score="entropy-mean")).indices) == 5


def test_a_parquet_file_whose_labels_cannot_be_read_will_do(call, tmp_path):
    whole, spoiled = write(tmp_path, "parquet"), tmp_path / "spoiled.parquet"
    content = whole.read_bytes()
    column = pq.ParquetFile(whole).metadata.row_group(0).column(3)
    assert column.path_in_schema == "response"
    begin = column.data_page_offset
    spoiled.write_bytes(content[:begin] + b"\xff" * column.total_compressed_size + content[begin + column.total_compressed_size :])
    with pytest.raises((OSError, pa.ArrowException)):
        pq.read_table(spoiled)
    assert call(spoiled, "--design", "random", "--budget", 6)["ids"] == call(whole, "--design", "random", "--budget", 6)["ids"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "datasets"])
def test_without_labels_or_with_others_the_choice_is_the_same(call, tmp_path, features, kind):
    variants = []
    changes: list[dict[str, Any]] = [{}, {"response": "other"}, {"response": None}]
    for number, change in enumerate(changes):
        rows = [{**row, **change} for row in ROWS]
        folder = tmp_path / str(number)
        folder.mkdir()
        found = call(write(folder, kind, rows), "--design", "facility-location", "--budget", 9, "--features", features)
        variants.append((found["ids"], found["fingerprint"]))
    assert variants[0] == variants[1] == variants[2]
    assert read_pool(write(tmp_path, kind)).fingerprint == read_pool(tmp_path / "pool.jsonl").fingerprint


# Mistakes -------------------------------------------------------------------------------------------------


def test_a_file_that_changes_meanwhile_is_refused(refused, jsonl, features, monkeypatch):
    def meddling(*arguments: Any) -> Any:
        write(jsonl.parent, "jsonl", [*ROWS[1:], ROWS[0]])
        return choose(*arguments)

    monkeypatch.setattr(recipe, "choose", meddling)
    assert "its prompts changed while they were looked at" in refused(jsonl, "--design", "random", "--budget", 3)
    write(jsonl.parent, "jsonl")
    monkeypatch.setattr(recipe, "choose", choose)
    write(jsonl.parent, "jsonl", [*ROWS[:-1], {**ROWS[-1], "prompt": "go home"}])
    assert "made for other prompts" in refused(jsonl, "--design", "k-center", "--budget", 3, "--features", features)


BROKEN = {
    "": "the pool is empty",
    '{"prompt": "a"}\n{"prompt"\n': "line 2 is no JSON object",
    '{"prompt": "a"}\n[1]\n': "line 2 has to be a JSON object, found [1]",
    '{"promt": "a"}\n': "there is no column 'prompt' for the prompt; did you mean 'promt'?",
    '{"prompt": "a"}\n{"text": "b"}\n': "row 2 has no 'prompt', unlike the first",
    '{"prompt": "a"}\n{"prompt": 3}\n': "the prompt of row 2 has to be text, found 3",
    '{"prompt": "a"}\n{"prompt": " "}\n': "the prompt of row 2 has to be text, found ' '",
    '{"prompt": "a", "id": 1}\n{"prompt": "b", "id": 1}\n': "two rows have the id '1'",
}


@pytest.mark.parametrize("content", BROKEN)
def test_broken_pools_are_refused(refused, tmp_path, content):
    path = tmp_path / "broken.jsonl"
    path.write_text(content, encoding="utf-8")
    assert BROKEN[content] in refused(path, "--design", "random", "--budget", 1)


def test_other_files_are_refused(refused, tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "pool.csv").write_text("prompt\na\n")
    splits = datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS), "test": datasets.Dataset.from_list(ROWS)})
    splits.save_to_disk(tmp_path / "splits")
    for name, message in (
        ("broken.parquet", "cannot be read as Parquet"),
        ("empty", "not a folder saved by datasets"),
        ("absent.jsonl", "there is no such file"),
        ("pool.csv", "a pool ends in .jsonl or .parquet"),
        ("splits", "holds several splits (train, test); name the folder of one"),
    ):
        assert message in refused(tmp_path / name, "--design", "random", "--budget", 1)


def test_bad_arguments_are_refused(refused, jsonl, features, tmp_path):
    for arguments, message in (
        (("--design", "facility-locations", "--budget", 1), "unknown design 'facility-locations'; did you mean 'facility-location'?"),
        (("--design", "random", "--budget", 25), "the budget is 25 but the pool has 24 prompts"),
        (("--design", "random", "--budget", 0), "a whole number from 1, found 0"),
        (("--design", "k-center", "--budget", 3), "name one with --model, or a file with --features"),
        (("--design", "top-k", "--budget", 3, "--features", features, "--score", "entropy-men"), "did you mean 'entropy-mean'"),
        (
            ("--design", "top-k", "--budget", 3, "--model", "m", "--score", "entropy-men"),
            "no score 'entropy-men'; did you",
        ),
        (("--design", "top-k", "--budget", 3, "--model", "m", "--features", features), "name either --model or --features"),
        (("--design", "facility-location", "--budget", 3, "--features", features, "--kernel", "cosin"), "did you mean 'cosine'"),
        (("--design", "random", "--budget", 3, "--task-column", "tusk"), "no column 'tusk' for the task; did you mean 'task'?"),
        (("--design", "k-center", "--budget", 3, "--features", tmp_path / "absent.npz"), "cannot be read"),
    ):
        assert message in refused(jsonl, *arguments)
    write(tmp_path, "jsonl", [{"prompt": row["prompt"]} for row in ROWS])
    assert "the pool names none; name their column with --task-column" in refused(jsonl, "--design", "even-per-task", "--budget", 3)


def test_broken_features_are_refused(jsonl, tmp_path):
    path = tmp_path / "broken"
    np.save(path.with_suffix(".npy"), np.array([{"a": 1}]), allow_pickle=True)
    np.savez(path.with_suffix(".npz"), other=np.ones(3))
    path.write_bytes(b"PK\x03\x04 nothing")
    np.save(tmp_path / "short.npy", np.ones((3, 2)))
    for name, message in (
        ("broken.npy", "no file of embeddings"),  # a pickle is never opened
        ("broken", "no file of embeddings"),
        ("broken.npz", "holds no `embeddings`, found other"),
        ("short.npy", "has 3 rows but the pool has 24 prompts"),
    ):
        with pytest.raises(DataError, match=message):
            load_features(tmp_path / name, pool=24, fingerprint="f")


def test_a_pool_of_one_task_is_a_plain_choice(call, tmp_path):
    path = write(tmp_path, "jsonl", [{**row, "task": "one"} for row in ROWS])
    assert call(path, "--design", "even-per-task", "--budget", 6)["picks_per_task"] == {"one": 6}


# What is left for looking at -------------------------------------------------------------------------------


def test_the_map_says_where_every_prompt_lies_and_which_choice_covers_it(call, jsonl, features, tmp_path):
    found = call(jsonl, "--design", "k-center", "--budget", 5, "--features", features)
    table = pq.read_table(tmp_path / "out" / "map.parquet").to_pandas()
    assert found["map"]["points"] == len(table) == 24 and found["map"]["variance"][0] >= found["map"]["variance"][1] > 0
    assert list(table["prompt"]) == PROMPTS and list(table["task"]) == [row["task"] for row in ROWS]
    points = load_features(features, pool=24, fingerprint=read_pool(jsonl).fingerprint).embeddings
    lines = [json.loads(line) for line in (tmp_path / "out" / "selected.jsonl").read_text().splitlines()]
    apart = np.linalg.norm(points[:, None] - points[None, [line["row"] for line in lines]], axis=2)
    assert list(table["covered_by"]) == apart.argmin(1).tolist()
    np.testing.assert_allclose(table["distance"].to_numpy(dtype=np.float64), apart.min(1), atol=1e-5)
    assert [line["covers"] for line in lines] == np.bincount(apart.argmin(1), minlength=5).tolist()
    assert lines[0]["gain"] is None and lines[1]["gain"] > 0
    assert {f"score {name}" for name in SCORES} <= set(table)
    # Without embeddings there is none, and one of before does not stay.
    assert call(jsonl, "--design", "random", "--budget", 5)["map"] is None
    assert not (tmp_path / "out" / "map.parquet").exists()


def test_a_large_pool_is_drawn_as_a_sample_that_has_every_choice():
    places = drawn_places(50, [40, 3, 17], most=10)
    assert len(set(places.tolist())) == 10 and {40, 3, 17} <= set(places.tolist())
    assert places.tolist() == sorted(places)


def test_principal_components_by_hand():
    # Along (3, 4) the points spread by 10, across by 1: variances 50 and 0.5 of 50.5, and signs that make the largest positive.
    points = np.array([[3, 4], [-3, -4], [0.4, -0.3], [-0.4, 0.3]], np.float32)
    found, shares = pca_coordinates(points)
    np.testing.assert_allclose(np.abs(found), np.array([[5, 0], [5, 0], [0, 0.5], [0, 0.5]]), atol=1e-5)
    assert shares == pytest.approx([50 / 50.5, 0.5 / 50.5], abs=1e-6)
    line, alone = pca_coordinates(np.array([[1.0], [2.0], [3.0]], np.float32))
    assert line.shape == (3, 2) and alone[1] == 0
    same, none = pca_coordinates(np.ones((3, 4), np.float32))
    assert not same.any() and none == [0.0, 0.0]


def test_stages_are_counted_and_chosen_by_nobody(call, tmp_path, features, jsonl):
    rows = [{**row, "stage": ("easy", "hard")[place % 2]} for place, row in enumerate(ROWS)]
    staged = tmp_path / "staged"
    staged.mkdir()
    plain = call(jsonl, "--design", "even-per-task", "--budget", 7)
    for kind in ("jsonl", "parquet", "datasets"):
        found = call(write(staged, kind, rows), "--design", "even-per-task", "--budget", 7)
        assert found["ids"] == plain["ids"] and found["fingerprint"] == plain["fingerprint"]
        assert found["stages"]["easy"]["pool"] == found["stages"]["hard"]["pool"] == 12
        assert sum(counts["chosen"] for counts in found["stages"].values()) == 7
    assert found["tasks"]["north"] == {"pool": 6, "chosen": 2}
    assert "stages" not in plain


def test_without_a_folder_it_goes_where_the_app_looks(jsonl, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    assert main(["select", str(jsonl), "--design", "random", "--budget", "3", "--seed", "2"]) == 0
    assert (tmp_path / "runs" / "selections" / "pool-random-3-seed2" / "selected.jsonl").is_file()
    assert "3 of 24 prompts by random" in capfd.readouterr().out
