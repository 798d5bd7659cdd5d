"""Playing a stored run again: equal as it is, and the first token named where something was changed."""

import shutil
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from workbench.cli import main
from workbench.errors import StoreError
from workbench.recipes.reproduce_verify import Difference, verify_run
from workbench.store.layout import RunPaths
from workbench.store.parts import readable_files
from workbench.trainers import checkpoint


@pytest.fixture
def copy(short_run, tmp_path) -> RunPaths:
    return RunPaths(Path(shutil.copytree(short_run.folder, tmp_path / "runs" / short_run.run_id)))


def test_a_run_is_equal_to_itself(short_run):
    told: list[str] = []
    found = verify_run(short_run, tell=told.append)
    assert found["equal"] and found["first_difference"] is None
    # 16 of the evaluation, and the updates 1, 3 and 5, which begin at a kept checkpoint (after 2, 4 and 6) or at the warm-up.
    assert found["trajectories"] == 16 + 3 * 8
    assert found["tokens"] > 10 * found["turns"] > 0
    assert "3 recorded updates begin at no kept checkpoint and cannot be played again" in told
    assert told[-1].startswith(f"equal: {found['trajectories']} trajectories, ")


def test_a_token_that_was_changed_is_named(copy):
    changed = None
    for path in readable_files(copy.trajectories):
        table = parquet.read_table(path)
        rows = table.to_pylist()
        for row in rows:
            if row["phase"] == "evaluate" and row["index"] == 1 and changed is None:
                changed = (row["trajectory_id"], row["prompt_token_ids"][4])
                row["prompt_token_ids"][4] = 3 if row["prompt_token_ids"][4] != 3 else 4
        parquet.write_table(type(table).from_pylist(rows, schema=table.schema), path)
    assert changed is not None
    found = verify_run(copy, tell=lambda line: None)
    assert not found["equal"]
    first = Difference(**found["first_difference"])
    assert (first.trajectory, first.turn, first.part, first.position) == (changed[0], 1, "prompt", 4)
    assert first.replayed == changed[1] != first.recorded


def test_other_weights_play_otherwise(copy, capfd):
    newest = checkpoint.latest(copy.checkpoints / "rl")
    oldest = copy.checkpoints / "sft-policy"
    assert newest is not None
    shutil.copytree(checkpoint.latest(oldest) / "policy", newest / "policy", dirs_exist_ok=True)  # type: ignore[operator]
    assert main(["reproduce", "--verify", copy.run_id, "--runs-dir", str(copy.folder.parent)]) == 2
    error = capfd.readouterr().err
    assert error.startswith("workbench: different: trajectory evaluate-") and error.count("\n") == 1


def test_a_run_that_recorded_nothing(copy):
    shutil.rmtree(copy.trajectories)
    copy.trajectories.mkdir()
    with pytest.raises(StoreError, match="has no recorded trajectory that a kept checkpoint can play again"):
        verify_run(copy, tell=lambda line: None)
