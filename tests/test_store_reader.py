import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.store_records import make_run, make_trajectory, make_turn
from workbench.errors import StoreError
from workbench.records import Trajectory
from workbench.store.layout import RunPaths
from workbench.store.reader import Run, list_runs
from workbench.store.writer import RunWriter

COLUMNS = ["trajectory_id", "phase", "update", "task", "stage", "success", "turns", "total_reward", "disagreements", "first_error"]


@pytest.fixture
def played(tmp_path: Path) -> Run:
    """Four trajectories in two parts."""
    paths = make_run(tmp_path)
    writer = RunWriter(paths)
    writer.trajectories([make_trajectory(1, stage="pickup"), make_trajectory(2, success=False, suggested="north")])
    writer.flush()
    injection = "PASSENGER' OR 1=1 --"
    odd = Trajectory(
        "evaluate-1", "evaluate", 9, "t", "full", 0, "s", (make_turn(0, suggested=None, text=injection), make_turn(1, last=True)), True
    )
    writer.trajectories([make_trajectory(3, update=4), odd])
    writer.flush()
    return Run(paths)


# Lists of runs ---------------------------------------------------------------------------------------------------


def test_no_runs(tmp_path):
    assert list_runs(tmp_path) == [] and list_runs(tmp_path / "missing") == []
    (tmp_path / "file").write_text("x")
    assert list_runs(tmp_path) == [] and list_runs(tmp_path / "file") == []


def test_a_summary_says_what_is_known(tmp_path):
    paths = make_run(tmp_path)
    writer = RunWriter(paths)
    writer.status("running", device="cpu")
    writer.metrics("rl", 1, {"success/rate": 0.25})
    writer.metrics("rl", 2, {"loss/policy": 1.0})
    (found,) = list_runs(tmp_path)
    assert (found.success_rate, found.low, found.high) == (0.25, None, None)
    writer.evaluation({"success_rate": 0.5, "low": 0.4, "high": 0.6})
    writer.metrics("rl", 3, {"success/rate": 0.75})
    writer.status("stopping", update=3, total=10, phase="rl", error="why")
    (found,) = list_runs(tmp_path)
    assert (found.run, found.path, found.state, found.problem) == (paths.run_id, paths.folder, "stopping", None)
    assert (found.recipe, found.preset, found.model, found.seed, found.device) == ("reflect-rl", "taxi-smoke", "tiny", 3, "cpu")
    assert (found.phase, found.update, found.total_updates, found.error) == ("rl", 3, 10, "why")
    assert (found.success_rate, found.low, found.high) == (0.5, 0.4, 0.6)
    assert found.started_at is not None and found.updated_at is not None
    assert timedelta() <= datetime.now(UTC) - found.started_at < timedelta(minutes=1)


def test_newest_first(tmp_path):
    runs = [make_run(tmp_path) for _ in range(3)]
    for age, paths in zip((2, 9, 0), runs, strict=True):
        started = (datetime.now(UTC) - timedelta(days=age)).isoformat()
        paths.meta.write_text(json.dumps({"schema_version": 1, "started_at": started}))
    assert [found.run for found in list_runs(tmp_path)] == [runs[2].run_id, runs[0].run_id, runs[1].run_id]


def test_broken_and_foreign_folders_are_listed_with_their_problem(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / ".new-half").mkdir()
    (tmp_path / "link").symlink_to(make_run(tmp_path / "elsewhere").folder)
    newer, damaged, no_status = make_run(tmp_path, "newer"), make_run(tmp_path, "damaged"), make_run(tmp_path, "blank")
    newer.meta.write_text('{"schema_version": 2}')
    damaged.meta.write_bytes(b"\xff{")
    no_status.status.write_text("[" * 100_000)
    found = {summary.run: summary for summary in list_runs(tmp_path)}
    assert set(found) == {"notes", "elsewhere", newer.run_id, damaged.run_id, no_status.run_id}
    assert found["notes"].state == "unknown" and "not a run folder" in str(found["notes"].problem)
    assert "newer workbench (schema 2" in str(found[newer.run_id].problem)
    assert "damaged" in str(found[damaged.run_id].problem)
    assert found[no_status.run_id].problem is None and found[no_status.run_id].state == "failed"


def test_foreign_values_do_not_break_the_list(tmp_path):
    paths = make_run(tmp_path)
    paths.meta.write_text(json.dumps({"schema_version": 1, "seed": "x", "model": {"a": 1}, "preset": None, "started_at": 5, "recipe": [1]}))
    paths.status.write_text(json.dumps({"state": "finished", "update": 1.5, "phase": 3, "heartbeat": [], "error": {}}))
    paths.evaluations.write_text('{"success_rate": NaN}\n{"success_rate": "high"}\n{"success_rate": 1' + "0" * 400 + '}\n[1]\n"x"\n')
    (found,) = list_runs(tmp_path)
    assert found.problem is None and found.state == "finished"
    assert {found.seed, found.model, found.preset, found.recipe, found.started_at, found.update, found.phase, found.success_rate} == {None}


def test_fifty_runs_are_listed_well_within_a_second(tmp_path):
    line = json.dumps({"phase": "rl", "update": 1, "success/rate": 0.5, **{f"metric/{number}": 0.123456789 for number in range(30)}}) + "\n"
    for _ in range(50):
        paths = make_run(tmp_path)
        paths.metrics.write_text(line * 2_000)
        paths.evaluations.write_text('{"success_rate": 0.5, "low": 0.4, "high": 0.6}\n' * 100)
    started = time.perf_counter()
    found = list_runs(tmp_path)
    assert time.perf_counter() - started < 1.0
    assert len(found) == 50 and all(summary.success_rate == 0.5 for summary in found)


# One run ---------------------------------------------------------------------------------------------------------


def test_frames_of_an_empty_run(tmp_path):
    run = Run(make_run(tmp_path))
    assert list(run.metrics()) == ["phase", "update", "time"] and list(run.events()) == ["time", "kind", "message"]
    assert list(run.evaluations()) == ["time", "phase", "update"] and len(run.evaluations()) == 0
    assert list(run.trajectories()) == COLUMNS and len(run.trajectories(text="x", limit=3)) == 0
    assert run.trajectories()["first_error"].dtype == "Int64"
    assert run.log_tail() == ""


def test_half_lines_and_foreign_lines_are_left_out(tmp_path):
    paths = make_run(tmp_path)
    RunWriter(paths).metrics("rl", 1, {"a/b": float("nan")})
    with paths.metrics.open("ab") as file:
        file.write(b'[1]\n\n{bad}\n"text"\n\xff\xfe\n{"phase": "rl", "update": 2, "a/b": 2, "time": {}}\n{"phase": "rl", "upd')
    found = Run(paths).metrics()
    assert list(found["update"]) == [1, 2] and pd.isna(found["a/b"][0]) and found["a/b"][1] == 2
    assert str(found["time"].dtype).startswith("datetime64") and pd.isna(found["time"][1])


def test_config_and_meta(tmp_path):
    paths = make_run(tmp_path)
    assert Run(paths).config()["seed"] == 3 and Run(paths).meta()["schema_version"] == 1
    for content in ("a: [", "- 1", "!!python/object/apply:os.system ['true']"):
        paths.config.write_text(content)
        with pytest.raises(StoreError, match=r"config\.yaml: ") as caught:
            Run(paths).config()
        assert "\n" not in str(caught.value)
    paths.meta.unlink()
    with pytest.raises(StoreError, match="not a run folder"):
        Run(paths).meta()


def test_trajectories_newest_first(played):
    found = played.trajectories()
    assert list(found) == COLUMNS
    assert list(found["trajectory_id"]) == ["evaluate-1", "rl-000004-0003", "rl-000000-0002", "rl-000000-0001"]
    second = found.iloc[2]
    assert list(found["first_error"].isna()) == [False] * 4 and second["first_error"] == 1, "turn 0 noted no oracle's command"
    assert (second["turns"], second["disagreements"], bool(second["success"]), second["stage"]) == (3, 3, False, "full")
    assert second["total_reward"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"phase": "evaluate"}, ["evaluate-1"]),
        ({"stage": "pickup"}, ["rl-000000-0001"]),
        ({"success": False}, ["rl-000000-0002"]),
        ({"success": True, "phase": "rl"}, ["rl-000004-0003", "rl-000000-0001"]),
        ({"disagree": True}, ["rl-000000-0002"]),
        ({"disagree": False, "phase": "rl"}, ["rl-000004-0003", "rl-000000-0001"]),
        ({"limit": 2}, ["evaluate-1", "rl-000004-0003"]),
        ({"limit": 0}, []),
        ({"text": "passenger' or 1=1 --"}, ["evaluate-1"]),
        ({"text": "%' OR true --"}, []),
        ({"phase": "rl' OR '1'='1"}, []),
        ({"text": "IS SOUTH", "limit": 1}, ["evaluate-1"]),
    ],
)
def test_filters(played, conditions, expected):
    assert list(played.trajectories(**conditions)["trajectory_id"]) == expected


def test_an_unknown_trajectory_names_the_nearest(played):
    with pytest.raises(StoreError, match="holds no trajectory 'rl-000000-0009'; did you mean 'rl-000000-000"):
        played.trajectory("rl-000000-0009")
    with pytest.raises(StoreError, match="lists them"):
        Run(make_run(played.paths.folder.parent)).trajectory("x")


def test_half_parts_and_foreign_files_are_left_out(played):
    folder = played.paths.trajectories
    whole = (folder / "part-000001.parquet").read_bytes()
    (folder / "part-000009.parquet").write_bytes(whole[:-5])
    (folder / "part-000010.parquet").write_bytes(b"")
    (folder / "part-000011.parquet").mkdir()
    (folder / ".part-000012.parquet.1.part").write_bytes(whole)
    (folder / "part-000013.parquet").symlink_to(folder / "part-000001.parquet")
    (folder / "notes.parquet").write_bytes(whole)
    assert len(played.trajectories()) == 4 and played.trajectories()["turns"].sum() == 11


def test_a_damaged_part_is_one_line(played):
    path = played.paths.trajectories / "part-000001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes(len(whole) - 80) + whole[-40:])
    with pytest.raises(StoreError, match=r"trajectories cannot be read: .*; remove the damaged part") as caught:
        played.trajectories()
    assert "\n" not in str(caught.value)


def test_log_tail_is_what_a_person_would_see(tmp_path):
    paths = make_run(tmp_path)
    paths.launch_log.write_bytes(b"starting\r\n")
    assert Run(paths).log_tail() == "starting"
    log = RunWriter(paths).start_attempt()
    assert Run(paths).log_tail() == "starting"
    log.write_bytes(b"one\n\x1b[32mtwo\x1b[0m\n 10%\r 50%\r100%\nlast \xff\n")
    os.utime(paths.launch_log, (1, 1))
    assert Run(paths).log_tail() == "one\ntwo\n100%\nlast �"
    assert Run(paths).log_tail(2) == "100%\nlast �" and Run(paths).log_tail(0) == ""
    log.unlink()
    log.symlink_to(paths.meta)
    assert Run(paths).log_tail() == "starting"


def test_a_long_log_is_read_from_its_end(tmp_path):
    paths = make_run(tmp_path)
    RunWriter(paths).start_attempt().write_text("".join(f"line {number}\n" for number in range(300_000)))
    assert Run(paths).log_tail(2) == "line 299998\nline 299999"


def test_a_run_that_vanishes_reads_as_empty(tmp_path):
    run = Run(RunPaths(tmp_path / "gone"))
    assert len(run.metrics()) == 0 and len(run.trajectories()) == 0 and run.log_tail() == "" and run.status()["state"] == "failed"
