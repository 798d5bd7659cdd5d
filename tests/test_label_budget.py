"""The studies of annotation budgets: intervals by hand, rows that are never lost, labels that nobody sees too early."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts import label_budget as script
from workbench.errors import ConfigError, DataError
from workbench.evaluation.label_efficiency import KEYS, Estimate, curves, estimate, half_budgets, metrics_of, read_results, verdict
from workbench.recipes.label_budget import CONTESTANTS, Study, add_row, chosen_places, run_study, without_copies
from workbench.seeding import generator
from workbench.selection.features import SCORES, Features
from workbench.selection.pool import pool_from_rows

SIZE = 40


class FakeArena:
    """A pool whose labels are counted; quality is the number of different tasks that were annotated."""

    def __init__(self, seed: int, log: list[Any]) -> None:
        dice = generator(seed, "fake-arena")
        tasks = [f"t{int(task)}" for task in dice.integers(8, size=SIZE)]
        self.pool = pool_from_rows({"prompt": f"prompt {place}", "task": task} for place, task in enumerate(tasks))
        middles = 5 * np.eye(8)
        points = np.stack([middles[int(task[1:])] for task in tasks]) + 0.1 * dice.standard_normal((SIZE, 8))
        self.features = Features(points.astype(np.float32), {name: dice.random(SIZE) for name in SCORES}, dice.integers(1, 9, SIZE))
        self.log = log

    def measure(self, places: Sequence[int]) -> dict[str, float]:
        assert self.pool.tasks is not None
        self.log.append(tuple(places))
        return {"quality": len({self.pool.tasks[place] for place in places}) / 8, "teacher_words": 2.0 * len(places)}

    def facts(self) -> dict[str, float]:
        return {"base_quality": 0.0}


@pytest.fixture
def study():
    log: list[Any] = []
    made = Study("fake", "quality", ("one", "other"), (4, 8), lambda pool, seed: FakeArena(seed + (pool == "other"), log))
    return made, log


# The run --------------------------------------------------------------------------------------------------


def test_every_design_is_measured_once_and_a_second_call_measures_what_is_missing(study, tmp_path):
    made, log = study
    path = tmp_path / "new" / "fake.csv"
    results = run_study(made, path, seeds=[0, 1])
    assert len(results) == len(log) == 2 * 2 * 2 * len(CONTESTANTS)
    assert not results.duplicated(list(KEYS)).any()
    assert metrics_of(results) == ["quality"]
    again = run_study(made, path, seeds=[0, 1, 2], designs=["random", "k-center"])
    assert len(log) == len(results) + 2 * 2 * 2
    pd.testing.assert_frame_equal(again.iloc[: len(results)], results)
    pools = pd.read_csv(path.with_name("fake-pools.csv"))
    assert Counter(zip(pools["pool"], pools["seed"], strict=True)).most_common(1)[0][1] == 1
    assert (pools["prompts"] == SIZE).all()


def test_half_a_line_of_a_killed_process_is_measured_again(study, tmp_path):
    made, log = study
    path = tmp_path / "fake.csv"
    whole = run_study(made, path, seeds=[0], designs=["random"])
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    pd.testing.assert_frame_equal(read_results(path), whole.iloc[:-1])
    pd.testing.assert_frame_equal(run_study(made, path, seeds=[0], designs=["random"])[[*KEYS, "quality"]], whole[[*KEYS, "quality"]])
    assert len(log) == len(whole) + 1
    assert not pd.read_csv(path.with_name("fake-pools.csv")).duplicated(["pool", "seed"]).any(), "a pool is described once"


def test_designs_choose_before_any_label_is_there(study):
    arena = FakeArena(0, [])
    chosen = {name: chosen_places(arena.pool, arena.features, name, 8, seed=3).tolist() for name in CONTESTANTS}
    assert all(len(set(places)) == 8 for places in chosen.values())
    assert chosen["facility-location"] != chosen["shuffled"]
    assert chosen["random"] != chosen_places(arena.pool, arena.features, "random", 8, seed=4).tolist()
    assert arena.pool.tasks is not None
    reached = {name: len({arena.pool.tasks[place] for place in places}) for name, places in chosen.items()}
    assert reached["facility-location"] == reached["k-center"] == reached["even-per-task"] == 8 > reached["shuffled"]


def test_mistakes_of_a_call_are_told(study, tmp_path):
    made, _ = study
    path = tmp_path / "fake.csv"
    with pytest.raises(ConfigError, match="unknown design 'k-centre'; did you mean 'k-center'"):
        run_study(made, path, seeds=[0], designs=["k-centre"])
    with pytest.raises(ConfigError, match="the study fake has no pool 'ones'; did you mean 'one'"):
        run_study(made, path, seeds=[0], pools=["ones"])
    with pytest.raises(DataError, match="the budget is 41 but the pool has 40 prompts"):
        run_study(made, path, seeds=[0], budgets=[41])
    add_row(path, {"a": 1})
    with pytest.raises(DataError, match="has columns a, but the rows have b"):
        add_row(path, {"b": 1})
    with pytest.raises(DataError, match="has no column"):
        run_study(made, path, seeds=[0])


def test_copies_are_left_out():
    assert without_copies(["a", "b", "a", "c", "b"], {"c"}) == [0, 1]


# Intervals ------------------------------------------------------------------------------------------------


def test_an_estimate_by_hand():
    found = estimate(np.array([1.0, 2.0, 3.0, 6.0]))
    # Sample deviation sqrt((4 + 1 + 0 + 9) / 3) = 2.1602; over sqrt(4), times t(3, 0.975) = 3.18245: 3.4374.
    assert found.mean == 3.0
    assert (found.t_low, found.t_high) == pytest.approx((3 - 3.4374, 3 + 3.4374), abs=1e-4)
    # Of 256 resamples the least means are 1 (one), 1.25 (four), 1.5 (ten): 2.5 % lies at 1.25, or just above.
    assert 1.25 <= found.low <= 1.5
    assert 4.75 <= found.high <= 5.25
    assert found.seeds == 4
    one = estimate(np.array([0.5]))
    assert one.mean == 0.5 and math.isnan(one.low) and math.isnan(one.t_high)


def rows(quality: dict[tuple[str, int], Sequence[float]], pool: str = "p") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"study": "s", "pool": pool, "design": design, "budget": budget, "seed": seed, "quality": value}
            for (design, budget), values in quality.items()
            for seed, value in enumerate(values)
        ]
    )


def test_curves_are_paired_with_random():
    table = curves(rows({("random", 4): [0.1, 0.5, 0.3], ("k-center", 4): [0.2, 0.6, 0.4]}), "quality").set_index("design")
    assert table.loc["k-center", "mean"] == pytest.approx(0.4)
    assert table.loc["k-center", "over_random"] == pytest.approx(0.1)
    # Seeds differ by 0.4, the pairs by nothing: the paired interval is a point.
    assert table.loc["k-center", "over_low"] == pytest.approx(0.1) == table.loc["k-center", "over_high"]
    assert table.loc["random", "over_random"] == 0
    with pytest.raises(DataError, match="no column 'success'; they have quality"):
        curves(rows({("random", 4): [0.1]}), "success")


def test_the_best_design_of_a_seed_is_chosen_on_the_others():
    results = rows(
        {
            ("random", 8): [0.5, 0.5, 0.5],
            # One lucky seed makes `a` the best on average; without that seed `b` is better.
            ("a", 4): [1.0, 0.3, 0.3],
            ("b", 4): [0.5, 0.5, 0.4],
            ("shuffled", 4): [0.9, 0.9, 0.9],
        }
    )
    found = half_budgets(results, "quality").set_index("design")
    # Seed 0: over seeds 1 and 2 `b` is best (0.45), difference 0.5 - 0.5. Seeds 1 and 2: `a` (0.65 against 0.45 or 0.5), 0.3 - 0.5 each.
    assert found.loc["best", "mean"] == pytest.approx((0.0 - 0.2 - 0.2) / 3)
    assert found.loc["best", "picked"] == "a (2), b (1)"
    assert found.loc["a", "mean"] == pytest.approx((0.5 - 0.2 - 0.2) / 3)
    assert "shuffled" not in found.index and "random" not in found.index
    assert set(found["budget"]) == {8} and set(found["half"]) == {4}


def test_verdicts():
    def told(differences: Sequence[float]) -> str:
        results = rows({("random", 8): [0.5] * len(differences), ("a", 4): [0.5 + value for value in differences]})
        return str(half_budgets(results, "quality").set_index("design").loc["best", "verdict"])

    assert told([0.2, 0.21, 0.19]) == "yes"
    assert told([-0.2, -0.21, -0.19]) == "no"
    assert told([0.2, -0.2, 0.1]) == "undecided"
    # The bootstrap of two seeds alone would say yes; Student's t does not.
    assert told([0.01, 0.2]) == "undecided"
    assert verdict(Estimate(0.0, 0.0, 0.0, 0.0, 0.0, 5)) == "undecided"


def test_without_a_measured_half_there_is_no_answer():
    assert half_budgets(rows({("random", 8): [0.5, 0.5], ("a", 8): [0.6, 0.6]}), "quality").empty
    assert half_budgets(rows({("random", 9): [0.5, 0.5], ("a", 4): [0.6, 0.6]}), "quality").empty


def test_broken_results_are_refused(tmp_path):
    path = tmp_path / "results.csv"
    with pytest.raises(DataError, match="cannot be read"):
        read_results(path)
    path.write_text("study,pool\na,b\n")
    with pytest.raises(DataError, match="has no column 'budget'"):
        read_results(path)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"no table of results|has no column"):
        read_results(path)
    path.write_text("")
    with pytest.raises(DataError, match="no table of results"):
        read_results(path)
    path.write_text("study,pool,design,budget,seed\na,b,random,4,0\na,b,random,4,0\n")
    with pytest.raises(DataError, match="holds a row twice"):
        read_results(path)


# The documentation's page ----------------------------------------------------------------------------------


def test_tables_and_curves_are_written_into_the_page(tmp_path, monkeypatch):
    folder = tmp_path / "label_budget"
    folder.mkdir()
    results = rows({("random", 4): [0.1, 0.2], ("random", 8): [0.3, 0.4], ("k-center", 4): [0.5, 0.6], ("k-center", 8): [0.7, 0.9]}, "taxi")
    results = results.rename(columns={"quality": "success"}).assign(oracle_agreement=0.5, log_likelihood=-1.0)
    results.to_csv(folder / "states.csv", index=False)
    pd.DataFrame([{"study": "s", "pool": "taxi", "seed": seed, "prompts": 1000} for seed in (0, 1)]).to_csv(
        folder / "states-pools.csv", index=False
    )
    page = tmp_path / "label_budget.md"
    page.write_text("# Title\n<!-- states -->\nold\n<!-- end -->\nand\n<!-- instructions -->\nkept\n<!-- end -->\n")
    monkeypatch.setattr("sys.argv", ["label_budget.py", "--docs", str(tmp_path)])
    script.main()
    text = page.read_text()
    assert "old" not in text and "kept" in text
    assert "| success | taxi | 4 | 8 | +0.200 | +0.200 to +0.200 | +0.200 to +0.200 | yes | k-center (2) |" in text
    assert "| k-center | 0.550 (+0.400: +0.400 to +0.400) | 0.800 (+0.450: +0.400 to +0.500) |" in text
    assert "| taxi | 1000 |" in text
    drawn = (folder / "states-taxi.svg").read_text()
    assert drawn.startswith("<svg") and drawn.count("<polyline") == 2 and ">k-center</text>" in drawn
    script.main()
    assert page.read_text() == text
