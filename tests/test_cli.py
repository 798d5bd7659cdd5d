"""The command line where all is well: what every command prints, and its one JSON object at the end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small_runs import assert_same_run, carry_on, lines, short_config
from workbench.cli import main
from workbench.config import dump_config, load_config, preset_names
from workbench.data.sets import CARD_FILE, SETS, read_examples
from workbench.store.layout import RunPaths, find_run
from workbench.store.reader import Run
from workbench.trainers import checkpoint

ROOT = Path(__file__).parents[1]
RATE = {"success_rate", "low", "high", "trajectories", "mean_reward"}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def call(root, capfd):
    """Run a command that must work; gives its JSON object and what it printed before that."""

    def calling(*arguments: str) -> tuple[dict[str, Any], str]:
        capfd.readouterr()
        code = main([*arguments, "--runs-dir", str(root), "--json"])
        out, error = capfd.readouterr()
        assert code == 0, error
        assert error == ""
        *printed, last = out.splitlines()
        return json.loads(last), "\n".join(printed)

    return calling


def copied(run: RunPaths, root: Path) -> RunPaths:
    return RunPaths(Path(shutil.copytree(run.folder, root / run.run_id)))


def test_presets_are_listed(call):
    found, printed = call("presets")
    assert [one["preset"] for one in found["presets"]] == preset_names()
    assert {"taxi-smoke", "taxi-quickstart", "taxi-gpt2-xl"} <= set(preset_names())
    assert all(one["description"] for one in found["presets"])
    assert [line.split()[0] for line in printed.splitlines()] == preset_names()


def test_without_json_the_last_line_is_for_people(root, capfd):
    assert main(["presets", "--runs-dir", str(root)]) == 0
    assert "{" not in capfd.readouterr().out


def test_a_runs_configuration_repeats_it_and_what_the_others_say_of_it(call, root, short_run):
    found, printed = call("train", "--config", str(short_run.config), "--quiet")
    assert found["state"] == "finished"
    assert found.keys() >= RATE
    paths = find_run(root, found["run"])
    assert Path(found["path"]) == paths.folder
    assert f"run {paths.run_id} in {paths.folder}" in printed
    assert f"success {found['success_rate']:.3f} [" in printed
    assert f"over {found['trajectories']} trajectories of stage long (all start states)" in printed
    assert paths.config.read_bytes() == short_run.config.read_bytes()
    assert_same_run(paths, short_run)

    listed, printed = call("runs")
    (row,) = listed["runs"]
    assert row == row | {
        "run": paths.run_id,
        "state": "finished",
        "recipe": "reflect-rl",
        "preset": "chain",
        "success_rate": found["success_rate"],
        "problem": None,
    }
    assert paths.run_id in printed

    shown, printed = call("show", paths.run_id)
    assert shown["status"]["state"] == "finished"
    assert shown["evaluation"]["success_rate"] == found["success_rate"]
    assert shown["config"] == json.loads(json.dumps(short_config().model_dump(mode="json")))
    assert f"workbench train --config {paths.config}" in printed

    resumed, _ = call("resume", paths.run_id)
    assert {key: resumed[key] for key in found} == found

    judged, printed = call("evaluate", paths.run_id)
    assert {key: judged[key] for key in RATE} == {key: found[key] for key in RATE}, "the same seed plays the same trajectories"
    assert_same_run(paths, short_run)

    stopped, _ = call("stop", paths.run_id)
    assert stopped == {"run": paths.run_id, "state": "finished"}


def test_settings_and_seed_are_taken_over_the_preset(call, root):
    settings = ("phases=[generate]", "data.trajectories=4", "data.negatives=2", "device.num_threads=1")
    found, _ = call("train", "taxi-smoke", "--seed", "7", *(part for setting in settings for part in ("--set", setting)))
    config = load_config(find_run(root, found["run"]).config)
    assert (config.seed, config.preset, config.data.trajectories) == (7, "taxi-smoke", 4)
    assert "success_rate" not in found


def test_a_run_from_anothers_data_and_players(call, root, short_run):
    parent = copied(short_run, root)
    before = sorted((path, path.stat().st_mtime_ns) for path in parent.folder.rglob("*") if path.is_file())
    config = ("--config", str(parent.config), "--set", "rl.max_steps=2", "--set", "rl.learning_rate=1e-9")
    found, _ = call("train", *config, "--from", parent.run_id, "--quiet")
    child = find_run(root, found["run"])
    assert Run(child).meta()["parent"] == parent.run_id
    assert {line["phase"] for line in lines(child.metrics)} == {"rl", "evaluate"}
    assert read_examples(child.data) == read_examples(parent.data)
    # With next to no learning the child plays as the parent did at its end.
    mine, theirs = lines(child.evaluations)[0], lines(parent.evaluations)[-1]
    assert (mine["phase"], mine["update"]) == ("rl", 0)
    assert found["success_rate"] == theirs["success_rate"]
    assert found["mean_reward"] == pytest.approx(theirs["mean_reward"])
    assert sorted((path, path.stat().st_mtime_ns) for path in parent.folder.rglob("*") if path.is_file()) == before


def test_stop_and_resume_by_the_command_line(call, root, short_run, monkeypatch):
    parent = copied(short_run, root)
    shutil.rmtree(parent.checkpoints / "evaluate")
    shutil.rmtree(parent.checkpoints / "rl" / "000006")
    shutil.rmtree(parent.checkpoints / "rl" / "000004")
    looks = iter(range(100))
    with monkeypatch.context() as patched:
        patched.setattr("workbench.store.writer.RunWriter.stop_requested", lambda self: next(looks) >= 2)
        found, printed = call("resume", parent.run_id, "--quiet")
    assert found == {"run": parent.run_id, "path": str(parent.folder), "state": "stopped"}
    assert f"stopped; `workbench resume {parent.run_id}` goes on" in printed
    assert checkpoint.steps(parent.checkpoints / "rl") == [2, 4]
    found, _ = call("resume", parent.run_id, "--quiet")
    assert found["state"] == "finished"
    assert_same_run(parent, short_run)


def test_generate_writes_the_sets(call, tmp_path):
    out = tmp_path / "sets"
    found, printed = call("generate", "taxi-smoke", "--set", "data.trajectories=9", "--set", "data.negatives=4", "--out", str(out))
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["examples.jsonl", CARD_FILE, *(f"{name}.{kind}" for name in SETS for kind in ("jsonl", "parquet"))]
    )
    assert found["examples"] == len(read_examples(out))
    assert found["by_kind"]["negative"] == 4
    assert found["tasks_in_two_splits"] == 0
    assert f"{found['examples']} examples" in printed


def test_evaluate_takes_what_is_asked_for(call, root, short_run):
    run = copied(short_run, root)
    asked = ("--trajectories", "7", "--seed", "5", "--stage", "short", "--split", "train")
    found, printed = call("evaluate", run.run_id, *asked)
    assert (found["trajectories"], found["stage"], found["split"]) == (7, "short", "train")
    assert "over 7 trajectories of stage short (train start states)" in printed
    assert call("evaluate", str(run.folder), *asked)[0] == found, "a path names a run as well as its id"


def test_evaluate_takes_other_settings_than_the_runs(call, root, short_run):
    run = copied(short_run, root)
    before = run.config.read_bytes()
    asked = ("--set", "evaluation.trajectories=6", "--set", "evaluation.split=train")
    found, _ = call("evaluate", run.run_id, *asked)
    assert (found["trajectories"], found["split"]) == (6, "train")
    silent, _ = call("evaluate", run.run_id, *asked, "--set", "reflection.kind=none")
    assert "followed_suggestion" in found and "followed_suggestion" not in silent
    assert run.config.read_bytes() == before


def test_evaluate_takes_a_model_folder(call, root, smoke_run):
    newest = checkpoint.latest(smoke_run.checkpoints / "rl")
    assert newest is not None
    asked = ("--preset", "taxi-smoke", "--trajectories", "5", "--seed", "1")
    found, _ = call("evaluate", str(newest / "policy"), *asked)
    assert found["trajectories"] == 5
    assert found == call("evaluate", str(newest / "policy"), *asked)[0]
    assert "followed_suggestion" not in found, "nobody reflects"
    assert not root.exists() or not list(root.iterdir())


def test_play(call, monkeypatch):
    typed = iter(["right", "2"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    found, printed = call("play", "tests.chain_world:ChainWorld", "--task", "start-3", "--stage", "short", "--seed", "4")
    assert (found["env"], found["success"], found["turns"], found["shortest"]) == ("tests.chain_world:ChainWorld", True, 2, 2)
    assert "@ is you" in printed
    assert "Solved after 2 turns; total reward +0.90" in printed


def test_the_run_root_may_come_from_the_environment(root, short_run, monkeypatch, capfd):
    copied(short_run, root)
    monkeypatch.setenv("WORKBENCH_RUNS", str(root))
    assert main(["runs", "--json"]) == 0
    assert [row["run"] for row in json.loads(capfd.readouterr().out.splitlines()[-1])["runs"]] == [short_run.run_id]


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    for command in ("presets", "train", "resume", "stop", "runs", "show", "generate", "evaluate", "play"):
        assert f"    {command} " in shown


def start(folder: Path) -> "subprocess.Popen[str]":
    (folder / "own.yaml").write_text(dump_config(short_config()), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "workbench",
        "train",
        "--config",
        str(folder / "own.yaml"),
        "--runs-dir",
        str(folder / "runs"),
        "--json",
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(process: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    "way", ["interrupt", pytest.param("terminate", marks=pytest.mark.slow), pytest.param("stop", marks=pytest.mark.slow)]
)
def test_an_interrupted_run_saves_stops_and_goes_on(tmp_path, short_run, way):
    process = start(tmp_path)
    wait_for(process, lambda: any(b'"sft-policy"' in path.read_bytes() for path in tmp_path.glob("runs/*/metrics.jsonl")))
    (folder,) = tmp_path.glob("runs/[!.]*")
    if way == "stop":
        assert main(["stop", folder.name, "--runs-dir", str(tmp_path / "runs")]) == 0
    else:
        os.kill(process.pid, signal.SIGINT if way == "interrupt" else signal.SIGTERM)
    out, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    assert json.loads(out.splitlines()[-1])["state"] == "stopped"
    paths = find_run(tmp_path / "runs", folder.name)
    assert Run(paths).status()["state"] == "stopped"
    assert not paths.stop.exists()
    assert_same_run(carry_on(paths), short_run)


@pytest.mark.slow
def test_the_smallest_preset_as_a_person_calls_it(tmp_path):
    """In a process of its own; the bound is generous, for machines that do other things too."""
    started = time.monotonic()
    command = [sys.executable, "-m", "workbench", "train", "taxi-smoke", "--runs-dir", str(tmp_path), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "finished"
    assert time.monotonic() - started < 120
