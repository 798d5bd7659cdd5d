"""A run is the same run however often it is stopped, killed and resumed, and another with another seed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.small_models import save_small
from tests.small_runs import assert_same_run, carry_on, lines, run_config, short_config, weights
from workbench.config import dump_config
from workbench.errors import RunStopped
from workbench.recipes.execute import prepare_run
from workbench.recipes.session import Session
from workbench.store.layout import RunPaths, find_run
from workbench.store.reader import Run
from workbench.store.writer import RunWriter
from workbench.trainers import checkpoint

ROOT = Path(__file__).parents[1]


class Killed(BaseException):
    """Ends a run as abruptly as anything inside a process can."""


@pytest.fixture(scope="module")
def whole(short_run):
    """A run that nothing interrupted."""
    return short_run


def test_the_same_seed_gives_the_same_run(whole, tmp_path):
    again = run_config(tmp_path, short_config())
    assert_same_run(again, whole)
    one, other = Run(again).trajectories(), Run(whole).trajectories()
    assert one["trajectory_id"].tolist() == other["trajectory_id"].tolist()
    for name in one["trajectory_id"][:20]:
        assert Run(again).trajectory(name) == Run(whole).trajectory(name)


def test_another_seed_gives_another_run(whole, tmp_path):
    other = run_config(tmp_path, short_config("seed=1"))
    assert [line["update"] for line in lines(other.metrics)] == [line["update"] for line in lines(whole.metrics)]
    assert lines(other.metrics) != lines(whole.metrics)
    mine, theirs = weights(other), weights(whole)
    assert mine.keys() == theirs.keys()
    assert not [name for name in mine if mine[name] == theirs[name]]


@pytest.mark.slow
def test_the_places_of_a_collection_change_nothing_but_the_last_digits(whole, tmp_path):
    narrow = run_config(tmp_path, short_config("rl.rollout_batch_size=3"))
    for mine, theirs in zip(lines(narrow.metrics), lines(whole.metrics), strict=True):
        assert mine == pytest.approx(theirs, abs=2e-3)
    assert Run(narrow).trajectories()["task"].tolist() == Run(whole).trajectories()["task"].tolist()


def test_a_resumed_finished_run_changes_nothing(whole, tmp_path):
    copy = RunPaths(Path(shutil.copytree(whole.folder, tmp_path / whole.run_id)))
    assert_same_run(carry_on(copy), whole)


def stop_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Have a stop be asked for when the run looks for the ``number``-th time."""
    asked = iter(range(1, 10_000))
    monkeypatch.setattr(RunWriter, "stop_requested", lambda self: next(asked) >= number)


# Looks: one before each phase, one after each warm-up step, one after each checkpoint of a warm-up, one after each update.
@pytest.mark.parametrize("number", [4, 26, *(pytest.param(number, marks=pytest.mark.slow) for number in (1, 2, 9, 14, 28))])
def test_a_run_that_was_stopped_goes_on_as_it_would_have(whole, tmp_path, monkeypatch, number):
    paths = prepare_run(tmp_path, short_config())
    with monkeypatch.context() as patched, pytest.raises(RunStopped):
        stop_at(patched, number)
        carry_on(paths)
    assert Run(paths).status()["state"] == "stopped"
    assert len(lines(paths.metrics) if paths.metrics.exists() else []) < len(lines(whole.metrics))
    assert_same_run(carry_on(paths), whole)
    assert Run(paths).status()["state"] == "finished"
    assert sorted(paths.attempt_logs()) == [1, 2]


@pytest.mark.slow
def test_a_run_that_is_stopped_again_and_again_arrives(whole, tmp_path, monkeypatch):
    paths = prepare_run(tmp_path, short_config())
    for _ in range(40):
        try:
            with monkeypatch.context() as patched:
                stop_at(patched, 4)
                carry_on(paths)
        except RunStopped:
            continue
        break
    assert Run(paths).status()["state"] == "finished"
    assert len(paths.attempt_logs()) > 5
    assert_same_run(paths, whole)


def kill_in(monkeypatch: pytest.MonkeyPatch, phase: str, step: int, place: str) -> None:
    """End the run inside the writing of a checkpoint: before its manifest, before its rename, or while an old one is removed."""
    save = checkpoint.save_checkpoint

    def saving(folder: Path, number: int, **arguments: object) -> Path:
        if (folder.name, number) == (phase, step):
            target = {"files": "_fingerprint", "rename": "_sync", "removal": "remove_checkpoint"}[place]
            monkeypatch.setattr(checkpoint, target, die)
        return save(folder, number, **arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("workbench.recipes.reflect_rl.save_checkpoint", saving)
    monkeypatch.setattr("workbench.recipes.supervised.save_checkpoint", saving)
    monkeypatch.setattr("workbench.trainers.loop.save_checkpoint", saving)


def die(*arguments: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("phase", "step", "place"),
    [
        ("sft-policy", 8, "rename"),
        ("rl", 4, "files"),
        pytest.param("generate", 1, "rename", marks=pytest.mark.slow),
        pytest.param("sft-policy", 4, "files", marks=pytest.mark.slow),
        pytest.param("rl", 6, "rename", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_inside_a_checkpoint_goes_on_from_the_one_before(whole, tmp_path, monkeypatch, phase, step, place):
    paths = prepare_run(tmp_path, short_config())
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_in(patched, phase, step, place)
        carry_on(paths)
    assert step not in checkpoint.steps(paths.checkpoints / phase)
    assert list((paths.checkpoints / phase).glob(".*.part"))
    assert_same_run(carry_on(paths), whole)
    assert not list(paths.checkpoints.rglob(".*"))


@pytest.mark.slow
def test_a_run_killed_while_an_old_checkpoint_is_removed_goes_on(tmp_path, monkeypatch):
    config = short_config("rl.save_total_limit=1")
    expected = run_config(tmp_path / "whole", config)
    paths = prepare_run(tmp_path, config)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_in(patched, "rl", 4, "removal")
        carry_on(paths)
    assert_same_run(carry_on(paths), expected)
    assert checkpoint.steps(paths.checkpoints / "rl") == [6]


def test_a_run_killed_between_two_checkpoints_forgets_what_came_after_the_last(whole, tmp_path, monkeypatch):
    paths = prepare_run(tmp_path, short_config())
    metrics = RunWriter.metrics

    def dying(self: RunWriter, phase: str, update: int, values: dict[str, float]) -> None:
        metrics(self, phase, update, values)
        if (phase, update) == ("rl", 5):
            self.flush()
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(RunWriter, "metrics", dying)
        carry_on(paths)
    assert lines(paths.metrics)[-1]["update"] == 5
    assert set(Run(paths).trajectories()["update"]) == {1, 2, 3, 4, 5}
    assert_same_run(carry_on(paths), whole)
    assert Run(paths).trajectories()["trajectory_id"].is_unique


def test_a_damaged_checkpoint_is_deleted_and_the_one_before_is_taken(whole, tmp_path):
    copy = RunPaths(Path(shutil.copytree(whole.folder, tmp_path / whole.run_id)))
    shutil.rmtree(copy.checkpoints / "evaluate")
    shutil.rmtree(copy.checkpoints / "rl" / "000006")
    assert_same_run(carry_on(copy), whole)


@pytest.mark.parametrize("kind", ["sample", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("shuffled", "oracle", "none"))])
def test_every_kind_of_reflection_resumes(tmp_path, monkeypatch, kind):
    own = "reflection.decoding=sample" if kind == "sample" else f"reflection.kind={kind}"
    config = short_config(own, "reflection.max_new_tokens=16")
    expected = run_config(tmp_path / "whole", config)
    paths = prepare_run(tmp_path, config)
    updates = iter(range(1, 100))
    with monkeypatch.context() as patched, pytest.raises(RunStopped):
        patched.setattr(RunWriter, "stop_requested", lambda self: self._status.get("phase") == "rl" and next(updates) > 2)
        carry_on(paths)
    assert checkpoint.steps(paths.checkpoints / "rl")
    assert_same_run(carry_on(paths), expected)


@pytest.mark.parametrize(
    "settings",
    [
        ("rl.algorithm=ppo", "rl.kl_coef=0.1"),
        ("rl.algorithm=grpo", "rl.group_size=4", "rl.grpo.num_iterations=2"),
        pytest.param(("rl.algorithm=rloo", "rl.group_size=2"), marks=pytest.mark.slow),
        pytest.param(("rl.algorithm=dpo", "rl.group_size=4"), marks=pytest.mark.slow),
    ],
    ids=lambda settings: settings[0].removeprefix("rl.algorithm="),
)
def test_every_algorithm_resumes(tmp_path, monkeypatch, settings):
    config = short_config("phases=[generate, rl, evaluate]", "reflection.kind=none", *settings)
    expected = run_config(tmp_path / "whole", config)
    paths = prepare_run(tmp_path, config)
    for _ in range(2):  # within the first stage, and after its end
        updates = iter(range(1, 100))
        with monkeypatch.context() as patched, pytest.raises(RunStopped):
            patched.setattr(RunWriter, "stop_requested", lambda self, own=updates: self._status.get("phase") == "rl" and next(own) > 2)
            carry_on(paths)
    assert_same_run(carry_on(paths), expected)
    names = {name.removeprefix("rl/000006/") for name in weights(expected) if name.startswith("rl/")}
    own = {"critic.safetensors", "reference.safetensors"} if "rl.algorithm=ppo" in settings else set()
    own |= {"reference.safetensors"} if "rl.algorithm=dpo" in settings else set()
    assert names == {"policy/model.safetensors", "optimizer.safetensors", *own}


@pytest.mark.parametrize("architecture", ["gpt2", pytest.param("mistral", marks=pytest.mark.slow)])
def test_a_run_with_two_adapters_on_one_base_resumes(tmp_path, monkeypatch, architecture):
    """Dropout is on in the warm-up here, so its dice have to be thrown again as they fell."""
    model = save_small(tmp_path / architecture, architecture)
    shorter = ("rl.max_steps=3", "sft_reflection.max_steps=5", "sft_policy.max_steps=5", "reflection.max_new_tokens=60")
    config = short_config(f"policy.model={model}", "policy.lora.lora_r=4", *shorter)
    expected = run_config(tmp_path / "whole", config)
    assert sorted(name.split("/")[0] for name in weights(expected)) == ["rl"] * 2 + ["sft-policy"] * 2 + ["sft-reflection"] * 2
    paths = prepare_run(tmp_path / "runs", config)
    for number in (3, 5, 3):
        with monkeypatch.context() as patched, pytest.raises(RunStopped):
            stop_at(patched, number)
            carry_on(paths)
    assert_same_run(carry_on(paths), expected)


def start(folder: Path, config: str) -> "subprocess.Popen[bytes]":
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-m", "workbench", "train", "--config", str(folder / "config.yaml"), "--runs-dir", str(folder / "runs")]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(process: "subprocess.Popen[bytes]", condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, "the run ended before its moment came"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("moment", ["rl", *(pytest.param(moment, marks=pytest.mark.slow) for moment in ("warm-up", "part"))])
def test_a_process_that_is_killed_leaves_a_run_that_goes_on(whole, tmp_path, moment):
    process = start(tmp_path, dump_config(short_config()))
    conditions: dict[str, Callable[[], bool]] = {
        "warm-up": lambda: any(tmp_path.glob("runs/*/checkpoints/sft-policy/000004")),
        "part": lambda: any(tmp_path.glob("runs/*/checkpoints/rl/.*.part")),
        "rl": lambda: any(b'"rl"' in path.read_bytes() for path in tmp_path.glob("runs/*/metrics.jsonl")),
    }
    wait_for(process, conditions[moment])
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (folder,) = tmp_path.glob("runs/[!.]*")
    paths = find_run(tmp_path / "runs", folder.name)
    assert Run(paths).status()["state"] == "failed", "no run is running without its process"
    assert_same_run(carry_on(paths), whole)


def test_an_open_run_reads_no_state_but_the_folders(whole):
    session = Session(whole, short_config(), RunWriter(whole), show_progress=False)
    assert all(session.is_done(phase) for phase in session.config.phases)
    found = session.newest("rl")
    assert found is not None and found[1]["step"] == 6
