import dataclasses
import json
import math
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.store_records import ids, make_run, make_trajectory, names, write_parts
from workbench.errors import StoreError
from workbench.records import Trajectory
from workbench.store import parts, writer
from workbench.store.files import read_lines
from workbench.store.reader import Run
from workbench.store.schema import SCHEMA
from workbench.store.writer import RunWriter


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few parts are merged as many are."""
    monkeypatch.setattr(parts, "_MANY", 2)
    monkeypatch.setattr(parts, "_SHARE", math.inf)


# Trajectories ----------------------------------------------------------------------------------------------------


def test_a_trajectory_comes_back_as_it_was(tmp_path):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    written = [
        make_trajectory(1),
        make_trajectory(2, success=False, suggested=None, turns=5),
        make_trajectory(3, phase="evaluate", turns=1),
    ]
    target.trajectories(written)
    assert names(paths.trajectories) == []
    target.flush()
    assert [Run(paths).trajectory(trajectory.trajectory_id) for trajectory in written] == written


def test_float32_is_the_only_loss_and_empty_lists_stay_empty(tmp_path):
    paths = make_run(tmp_path)
    whole = make_trajectory(1, turns=2)
    odd = dataclasses.replace(whole.turns[0], probabilities=(0.1, 0.9), log_prob=math.log(0.1), reward=0.1)
    free = dataclasses.replace(whole.turns[1], admissible_commands=(), labels=(), probabilities=(), label_token_ids=())
    target = RunWriter(paths)
    target.trajectories([dataclasses.replace(whole, turns=(odd, free))])
    target.flush()
    back = Run(paths).trajectory(whole.trajectory_id).turns
    assert back[0].log_prob == math.log(0.1) and back[0].reward == 0.1
    assert back[0].probabilities == tuple(float(np.float32(chance)) for chance in (0.1, 0.9))
    assert back[1] == free


def test_columns_worked_out_by_hand(tmp_path):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    target.trajectories([make_trajectory(1), make_trajectory(2, turns=1)])
    target.flush()
    table = pq.read_table(paths.trajectories / "part-000001.parquet")
    assert table.schema.equals(SCHEMA)
    assert table["turns"].to_pylist() == [3, 3, 3, 1]
    assert table["total_reward"].to_pylist() == pytest.approx([0.9, 0.9, 0.9, 1.0])
    assert table["return_to_go"].to_pylist() == pytest.approx([0.9, 0.95, 1.0, 1.0])
    # 0.5 ln 2 + 2 * 0.25 ln 4
    assert table["entropy"].to_pylist() == pytest.approx([1.5 * math.log(2)] * 4)


def test_a_lone_surrogate_does_not_stop_a_run(tmp_path):
    paths = make_run(tmp_path)
    trajectory = make_trajectory(1, turns=1)
    turn = dataclasses.replace(trajectory.turns[0], observation="bad \ud800 text")
    target = RunWriter(paths)
    target.trajectories([dataclasses.replace(trajectory, turns=(turn,))])
    target.flush()
    assert Run(paths).trajectory(trajectory.trajectory_id).turns[0].observation == "bad ? text"


def test_a_trajectory_without_turns_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'empty' has no turns"):
        RunWriter(make_run(tmp_path)).trajectories([Trajectory("empty", "rl", 0, "t", "full", 0, "s")])


def test_parts_are_written_by_size_and_by_time(tmp_path, monkeypatch):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    monkeypatch.setattr(writer, "_FLUSH_TURNS", 6)
    target.trajectories([make_trajectory(1)])
    assert names(paths.trajectories) == []
    target.trajectories([make_trajectory(2)])
    assert names(paths.trajectories) == ["part-000001.parquet"]
    monkeypatch.setattr(writer, "_FLUSH_SECONDS", 0.0)
    target.trajectories([make_trajectory(3)])
    assert names(paths.trajectories) == ["part-000001.parquet", "part-000002.parquet"]


# Position and rewind ---------------------------------------------------------------------------------------------


def test_rewind_forgets_what_came_after(tmp_path):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    target.metrics("rl", 1, {})
    target.trajectories([make_trajectory(1)])
    position = target.position()
    assert position == {"metrics": paths.metrics.stat().st_size, "evaluations": 0, "events": 0, "part": 1}
    target.metrics("rl", 2, {})
    target.evaluation({"success_rate": 0.5})
    target.trajectories([make_trajectory(2)])
    target.flush()
    target.trajectories([make_trajectory(3)])
    resumed = RunWriter(paths)
    (paths.trajectories / ".part-000003.parquet.77.part").write_bytes(b"half")
    (paths.folder / ".status.json.77.part").write_bytes(b"half")
    resumed.rewind(position)
    assert resumed.position() == position
    assert names(paths.trajectories) == ["part-000001.parquet"] and not list(paths.folder.glob(".*"))
    resumed.metrics("rl", 2, {"again/x": 1})
    resumed.trajectories([make_trajectory(9)])
    resumed.flush()
    assert [line["update"] for line in read_lines(paths.metrics)] == [1, 2]
    assert ids(Run(paths)) == ["rl-000000-0001", "rl-000000-0009"]


def test_an_empty_position_is_the_beginning(tmp_path):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    target.event("phase", "rl begins")
    write_parts(target, 1, 2)
    RunWriter(paths).rewind({})
    assert paths.events.read_bytes() == b"" and names(paths.trajectories) == []


def test_rewind_refuses_a_folder_that_lost_files(tmp_path):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    target.metrics("rl", 1, {})
    write_parts(target, 1, 2)
    position = target.position()
    (paths.trajectories / "part-000002.parquet").unlink()
    with pytest.raises(StoreError, match=r"files were lost since the checkpoint \(part ends at 1, the checkpoint says 2\)"):
        RunWriter(paths).rewind(position)
    assert paths.metrics.stat().st_size == position["metrics"]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("last", range(7))
def test_rewind_into_a_merged_part(tmp_path, last):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    write_parts(target, 1, 5)
    target.compact()
    write_parts(target, 6, 6)
    target.rewind({**target.position(), "part": last})
    assert ids(Run(paths)) == [f"rl-000000-{number:04d}" for number in range(1, last + 1)]
    write_parts(target, 70, 71)
    assert ids(Run(paths))[last:] == ["rl-000000-0070", "rl-000000-0071"]


# Compaction ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("eager")
def test_compact_merges_up_to_a_number(tmp_path):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    write_parts(target, 1, 6)
    before = Run(paths).trajectories()
    target.compact(before=4)
    assert names(paths.trajectories) == ["part-000001-000004.parquet", "part-000005.parquet", "part-000006.parquet"]
    target.compact()
    assert names(paths.trajectories) == ["part-000001-000006.parquet"]
    assert Run(paths).trajectories().equals(before)
    assert pq.read_table(paths.trajectories / "part-000001-000006.parquet").schema.equals(SCHEMA)


def test_parts_are_merged_when_they_are_many_and_each_row_few_times(tmp_path, monkeypatch):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    rewritten: list[int] = []
    real = parts._write_merged

    def counted(folder: Path, table: pa.Table, counts: list[tuple[int, int]]) -> Path:
        rewritten.append(len(table))
        return real(folder, table, counts)

    monkeypatch.setattr(parts, "_write_merged", counted)
    write_parts(target, 1, 7)
    target.compact()
    assert len(names(paths.trajectories)) == 7
    for number in range(8, 101):
        write_parts(target, number, number)
        target.compact()
        assert len(names(paths.trajectories)) <= 16
    assert len(ids(Run(paths))) == 100 and sum(rewritten) <= 4 * 300


@pytest.mark.usefixtures("eager")
def test_merged_parts_have_a_greatest_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_MERGED_ROWS", 9)
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    write_parts(target, 1, 7)
    target.compact()
    assert names(paths.trajectories) == ["part-000001-000003.parquet", "part-000004-000006.parquet", "part-000007.parquet"]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("moment", ["before the rename", "after the rename", "among the deletions"])
def test_a_kill_during_compaction_loses_and_doubles_nothing(tmp_path, monkeypatch, moment):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    write_parts(target, 1, 4)
    deleted: list[Path] = []

    class Killed(BaseException):
        pass

    def no_rename(path: Path, target: Path) -> None:
        raise Killed

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if moment == "among the deletions" and not deleted:
            deleted.append(path)
            os.unlink(path)
            return
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        if moment == "before the rename":
            patch.setattr(Path, "replace", no_rename)
        with pytest.raises(Killed):
            target.compact()
    expected = [f"rl-000000-{number:04d}" for number in range(1, 5)]
    assert len(names(paths.trajectories)) == (4 if deleted else 5)
    assert ids(Run(paths)) == expected and Run(paths).trajectories()["turns"].sum() == 12
    resumed = RunWriter(paths)
    resumed.rewind({**resumed.position(), "part": 4})
    assert ids(Run(paths)) == expected
    assert len(names(paths.trajectories)) == (4 if moment == "before the rename" else 1)


@pytest.mark.usefixtures("eager")
def test_readers_see_every_row_once_while_parts_are_merged(tmp_path):
    paths = make_run(tmp_path)
    target = RunWriter(paths)
    write_parts(target, 1, 4)
    done: list[bool] = []

    def read() -> int:
        reads = 0
        while not done or reads < 3:
            found = Run(paths).trajectories()
            numbers = [int(name[-4:]) for name in found["trajectory_id"]]
            assert numbers[::-1] == list(range(1, len(numbers) + 1)) and len(numbers) >= 4
            assert set(found["turns"]) == {3} and len(Run(paths).trajectory("rl-000000-0002").turns) == 3
            reads += 1
        return reads

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            for number in range(5, 41, 4):
                write_parts(target, number, number + 3)
                target.compact()
        finally:
            done.append(True)
        assert reader.result(timeout=60) >= 3


WRITE_ON = """
import json
import sys
from pathlib import Path
from tests.store_records import make_trajectory
from workbench.store import parts
from workbench.store.layout import RunPaths
from workbench.store.writer import RunLock, RunWriter
parts._MANY = 3
paths = RunPaths(Path(sys.argv[1]))
with RunLock(paths):
    writer = RunWriter(paths)
    position = json.loads(sys.argv[2])
    writer.rewind(position)
    for update in range(position.get("part", 0) + 1, 100_000):
        writer.metrics("rl", update, {"success/rate": 0.5})
        writer.trajectories([make_trajectory(update)])
        print(json.dumps(writer.position()), flush=True)
        writer.compact()
        writer.beat("rl", update, 100_000)
"""


def test_a_run_killed_at_any_moment_opens_and_goes_on(tmp_path):
    paths = make_run(tmp_path)
    position: dict[str, int] = {}
    for kill in range(4):
        command = [sys.executable, "-c", WRITE_ON, str(paths.folder), json.dumps(position)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        assert child.stdout is not None
        for _ in range(5):
            position = json.loads(child.stdout.readline())
        time.sleep(0.003 * kill)
        child.kill()
        child.communicate()
        reached = position["part"]
        assert ids(Run(paths))[:reached] == [f"rl-000000-{number:04d}" for number in range(1, reached + 1)]
        assert Run(paths).trajectories()["turns"].eq(3).all()
        assert list(Run(paths).metrics()["update"])[:reached] == list(range(1, reached + 1))
    RunWriter(paths).rewind(position)
    assert len(ids(Run(paths))) == position["part"] == 20 == len(read_lines(paths.metrics))
