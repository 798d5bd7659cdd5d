"""Sweeps: which configurations, each carried to its end once, whoever kills or stops what."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.small_runs import short_config
from workbench.cli import main
from workbench.config import RunConfig, dump_config, load_config
from workbench.errors import ConfigError
from workbench.jobs import sweep
from workbench.jobs.combinations import combinations
from workbench.jobs.launch import LocalLauncher, requeue
from workbench.jobs.sweep import Foreman, Row
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import Run, list_runs
from workbench.store.status import process_identity, read_status, write_status

GONE = {"pid": 4_000_000, "pid_started": 1.0}


def set_state(paths: RunPaths, state: str, **fields: object) -> None:
    write_status(paths.status, {"state": state, "heartbeat": "2026-01-01T00:00:00+00:00", **fields})


@dataclass
class Scripted:
    """Runs that end as told: by their seed, one fate for each launch; ``finished`` when nothing is told."""

    fates: dict[int, list[str]] = field(default_factory=dict)
    devices: Sequence[str] = ("",)
    launched: list[tuple[str, str]] = field(default_factory=list)
    pending: list[Callable[[], None]] = field(default_factory=list)
    most_at_once: int = 0
    looks: int = 0

    def launch(self, paths: RunPaths) -> None:
        config = load_config(paths.config)
        self.launched.append((paths.run_id, config.device.device))
        fate = (self.fates.get(config.seed) or ["finished"]).pop(0) if self.fates.get(config.seed) else "finished"
        set_state(paths, "running", **process_identity())

        def end() -> None:
            if fate == "killed":
                set_state(paths, "running", **GONE)
            else:
                set_state(paths, fate, error="it broke" if fate == "failed" else None)

        self.pending.append(end)
        self.most_at_once = max(self.most_at_once, len(self.pending))

    def problem(self, paths: RunPaths) -> str | None:
        self.looks += 1
        if self.pending and self.looks % 5 == 0:  # long enough for every place to be taken
            self.pending.pop(0)()
        return None

    def is_gone(self, paths: RunPaths) -> bool:
        return False

    def close(self) -> None:
        while self.pending:
            self.pending.pop(0)()


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(sweep, "_POLL_SECONDS", 0.005)


def foreman(root: Path, launcher: Scripted, over: Sequence[str], **more: object) -> Foreman:
    rows = [Row(one) for one in combinations(short_config(), over)]
    told: list[str] = []
    return Foreman(root, rows, launcher, lambda config, above: create_run(root, config), tell=told.append, **more)  # type: ignore[arg-type]


# Combinations ---------------------------------------------------------------------------------------------


def test_every_combination_in_order():
    found = combinations(RunConfig(), ["seed=0,1", "phases=[generate],[generate, sft-policy]", "reflection.kind='none',oracle"])
    assert [one.told() for one in found][:3] == [
        "seed=0 phases=[generate] reflection.kind='none'",
        "seed=0 phases=[generate] reflection.kind=oracle",
        "seed=0 phases=[generate, sft-policy] reflection.kind='none'",
    ]
    assert len(found) == 8 and found[-1].config.phases == ["generate", "sft-policy"] and found[-1].config.seed == 1
    assert [one.config.rl.learning_rate for one in combinations(RunConfig(), ["rl.learning_rate=1e-4,1e-3"])] == [1e-4, 1e-3]
    assert [one.config for one in combinations(RunConfig(), [])] == [RunConfig()]


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (["seed"], "--over 'seed' is not of the form a.b=value,value"),
        (["=1,2"], "--over '=1,2' is not of the form a.b=value,value"),
        (["seed=1,,2"], "--over seed=1,,2 holds an empty value"),
        (["seed="], "--over seed= holds an empty value"),
        (["seed=1", "seed=2"], "--over seed is given twice; list all its values in one, --over seed=1,…"),
        (["seed=1,01"], "--over: 'seed=1' and 'seed=01' are the same configuration"),
        (["sed=1"], "unknown setting 'sed'; did you mean 'seed'?"),
        (["seed=1,x"], "seed: Input should be a valid integer"),
        ([f"seed={','.join(map(str, range(40)))}", f"data.trajectories={','.join(map(str, range(1, 41)))}"], "--over makes 1600 runs"),
    ],
)
def test_what_is_no_sweep_is_refused(over, message):
    with pytest.raises(ConfigError) as caught:
        combinations(RunConfig(), over)
    assert message in str(caught.value) and "\n" not in str(caught.value)


# The foreman ----------------------------------------------------------------------------------------------


def test_every_combination_is_run_once_and_the_same_sweep_again_does_nothing(tmp_path):
    first = Scripted()
    rows = foreman(tmp_path, first, ["seed=0,1,2"]).carry_out()
    assert [row.state for row in rows] == ["finished"] * 3 and len(first.launched) == 3 == len(set(first.launched))
    assert first.most_at_once == 1
    again = Scripted()
    more = foreman(tmp_path, again, ["seed=1,2,3"]).carry_out()
    assert [row.state for row in more] == ["finished"] * 3 and len(again.launched) == 1, "only seed 3 is new"
    assert [row.paths for row in more[:2]] == [row.paths for row in rows[1:]]
    anew = Scripted()
    foreman(tmp_path, anew, ["seed=1"], again=True).carry_out()
    assert len(anew.launched) == 1 and len(list_runs(tmp_path)) == 5


def test_a_killed_run_goes_on_in_its_own_folder(tmp_path):
    launcher = Scripted({1: ["killed", "killed", "finished"]})
    rows = foreman(tmp_path, launcher, ["seed=0,1,2"]).carry_out()
    assert [row.state for row in rows] == ["finished"] * 3
    assert [row.launches for row in rows] == [1, 3, 1] and len(list_runs(tmp_path)) == 3


def test_a_run_that_is_killed_too_often_or_fails_is_left(tmp_path):
    launcher = Scripted({0: ["killed"] * 9, 1: ["failed"], 2: ["stopped"]})
    rows = foreman(tmp_path, launcher, ["seed=0,1,2,3"], retries=1).carry_out()
    assert [row.state for row in rows] == ["failed", "failed", "stopped", "finished"]
    assert [row.launches for row in rows] == [2, 1, 1, 1] and rows[1].error == "it broke"
    assert "ended without a word" in str(rows[0].error)
    later = Scripted()
    rows = foreman(tmp_path, later, ["seed=0,1,2,3"]).carry_out()
    assert [row.state for row in rows] == ["finished"] * 4 and len(later.launched) == 3, "the same command goes on with them"
    assert len(list_runs(tmp_path)) == 4


def test_each_device_has_one_run_at_a_time_and_a_run_may_go_on_elsewhere(tmp_path):
    launcher = Scripted({0: ["killed"]}, devices=("cpu", "cuda:1"))
    rows = foreman(tmp_path, launcher, ["seed=0,1,2,3,4"]).carry_out()
    assert [row.state for row in rows] == ["finished"] * 5 and launcher.most_at_once == 2
    assert {device for _, device in launcher.launched} == {"cpu", "cuda:1"}
    moved = create_run(tmp_path, short_config("device.device=cpu", "seed=9"))
    set_state(moved, "failed")
    requeue(moved, "cuda:1")
    assert load_config(moved.config).device.device == "cuda:1" and (read_status(moved.status) or {})["state"] == "queued"


def test_what_another_process_runs_is_waited_for_and_not_run_twice(tmp_path):
    theirs = create_run(tmp_path, short_config("seed=1"))
    set_state(theirs, "running", **process_identity())

    class Watching(Scripted):
        def problem(self, paths: RunPaths) -> str | None:
            if self.looks == 8:
                set_state(theirs, "finished")
            return super().problem(paths)

    launcher = Watching()
    rows = foreman(tmp_path, launcher, ["seed=0,1"]).carry_out()
    assert [row.state for row in rows] == ["finished"] * 2
    assert rows[1].paths == theirs and theirs.run_id not in {run for run, _ in launcher.launched}


def test_a_process_that_is_slow_to_start_is_not_given_up(tmp_path):
    paths = create_run(tmp_path, short_config())
    assert sweep._state(paths) == "under way", "queued a moment ago"
    status = read_status(paths.status) or {}
    write_status(paths.status, {**status, "heartbeat": "2026-01-01T00:00:00+00:00"})
    assert sweep._state(paths) == "lost"


def test_a_worker_that_dies_before_its_first_word_is_replaced_at_once(tmp_path):
    class Dying(Scripted):
        def launch(self, paths: RunPaths) -> None:
            if self.launched:
                super().launch(paths)
            else:
                self.launched.append((paths.run_id, "died"))

        def is_gone(self, paths: RunPaths) -> bool:
            return len(self.launched) == 1

    launcher = Dying()
    (row,) = foreman(tmp_path, launcher, ["seed=0"]).carry_out()
    assert (row.state, row.launches) == ("finished", 2)
    assert len(set(launcher.launched)) == 2 and len(list_runs(tmp_path)) == 1


def test_a_run_from_another_parent_is_another_run(tmp_path):
    create_run(tmp_path, short_config("phases=[rl]"), parent="mother")
    assert foreman(tmp_path, Scripted(), ["seed=0"]).look()[0].paths is None
    (row,) = foreman(tmp_path, Scripted(), ["seed=0"], parent="mother").look()
    assert row.paths is not None, "a parent leaves phases out"


# The command ----------------------------------------------------------------------------------------------


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "chain.yaml"
    path.write_text(dump_config(short_config("rl.max_steps=2", "sft_policy.max_steps=4", "evaluation.trajectories=8")))
    return path


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    try:
        code = main(list(arguments))
    except SystemExit as left:
        code = int(str(left.code))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_sweep_in_this_process_ends_with_a_table_and_json(tmp_path, config_file, capsys):
    root = tmp_path / "runs"
    words = ["sweep", "--config", str(config_file), "--over", "seed=0,1", "--runs-dir", str(root), "--json"]
    code, out, error = call(capsys, *words, "--dry-run")
    assert (code, error) == (0, "") and not root.exists()
    assert json.loads(out.splitlines()[-1])["sweep"] == [
        {"over": {"seed": seed}, "run": None, "state": "waiting", "error": None} for seed in ("0", "1")
    ]
    code, out, error = call(capsys, *words, "--launcher", "foreground")
    assert (code, error) == (0, "")
    found = json.loads(out.splitlines()[-1])
    assert (found["finished"], found["failed"]) == (2, 0)
    assert all(0 <= row["low"] <= row["success_rate"] <= row["high"] <= 1 for row in found["sweep"])
    assert {one.run for one in list_runs(root)} == {row["run"] for row in found["sweep"]}
    code, out, _ = call(capsys, *words, "--dry-run")
    assert [row["state"] for row in json.loads(out.splitlines()[-1])["sweep"]] == ["finished"] * 2


def test_a_run_that_fails_is_told_at_the_end_and_the_others_finish(tmp_path, config_file, capsys, monkeypatch):
    from tests.chain_world import ChainWorld

    class Mined(ChainWorld):
        def observe(self) -> str:
            if self.length == 7 and self._over:
                raise RuntimeError("boom")
            return super().observe()

    monkeypatch.setattr("tests.chain_world.ChainWorld", Mined)
    words = ["sweep", "--config", str(config_file), "--over", "env.options.length=7,6", "--runs-dir", str(tmp_path / "runs"), "--json"]
    code, out, error = call(capsys, *words, "--launcher", "foreground")
    assert code == 2 and error.count("\n") == 1 and "1 of 2 runs failed, the first: env.options.length=7: " in error
    assert [row["state"] for row in json.loads(out.splitlines()[-1])["sweep"]] == ["failed", "finished"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--over", "seed=0,1"], "name either a PRESET or --config FILE"),
        (["taxi-smok", "--over", "seed=0,1"], "unknown preset 'taxi-smok'"),
        (["taxi-smoke", "--over", "env.name=taxi,tax"], "env.name=tax: "),
        (["taxi-smoke", "--over", "seed=0", "--devices", "gpu0"], "--devices 'gpu0' is no device; name cpu, cuda or cuda:N"),
        (["taxi-smoke", "--over", "seed=0", "--launcher", "ray", "--devices", "cpu"], "--devices is for --launcher local, found ray"),
        (["taxi-smoke", "--over", "seed=0", "--retries", "-1"], "--retries must be at least 0, found -1"),
        (["taxi-smoke", "--over", "seed=0,1", "--only", "2"], "--only 2: the combinations are numbered from 0 to 1"),
        (["taxi-smoke", "--over", "seed=0", "--from", "nobody"], "unknown run 'nobody'"),
        (["taxi-smoke", "--launcher", "slrum"], "invalid choice: 'slrum'"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_anything_is_made(tmp_path, capsys, words, message):
    root = tmp_path / "runs"
    code, _, error = call(capsys, "sweep", *words, "--runs-dir", str(root))
    assert code == 2 and error.count("\n") == 1 and message in error
    assert not root.exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_local_processes_one_after_another(tmp_path, config_file, capsys):
    root = tmp_path / "runs"
    words = ["sweep", "--config", str(config_file), "--over", "seed=0,1", "--runs-dir", str(root), "--json", "--devices", "cpu"]
    code, out, error = call(capsys, *words)
    assert (code, error) == (0, ""), out
    assert json.loads(out.splitlines()[-1])["finished"] == 2
    started = sorted(Run(RunPaths(one.path)).status()["pid"] for one in list_runs(root))
    assert len(set(started)) == 2 and LocalLauncher(["cpu"]).devices == ("cpu",)
