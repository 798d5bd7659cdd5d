"""Everything a person can get wrong on the command line: one line, exit code 2, nothing left behind."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from tests.chain_world import ChainWorld
from tests.small_models import save_small
from tests.small_runs import short_config
from workbench.cli import main
from workbench.config import RunConfig, apply_overrides, dump_config, load_config
from workbench.store import layout
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import Run
from workbench.trainers import checkpoint


class Cli:
    """Calls the command line with a run root of the test's own."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.capture = capture

    def refused(self, *arguments: str) -> str:
        """The one line of a command that must not work."""
        self.capture.readouterr()
        try:
            code = main([*arguments, "--runs-dir", str(self.root)] if arguments else [])
        except SystemExit as left:  # how argparse ends
            code = int(str(left.code))
        error = self.capture.readouterr().err
        assert code == 2, error
        assert error.startswith("workbench: ")
        assert error.count("\n") == 1, error
        return error

    def left_behind(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir()) if self.root.exists() else []


@pytest.fixture
def cli(tmp_path, capfd):
    return Cli(tmp_path / "runs", capfd)


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A small GPT-2 with 62 single-token labels and a context of 512."""
    return save_small(tmp_path_factory.mktemp("models") / "gpt2", "gpt2")


class ManyCommands(ChainWorld):
    """Offers more commands than there are labels."""

    def admissible_commands(self) -> tuple[str, ...]:
        return ("left", "right", *(f"wait {number}" for number in range(300)))


class Talkative(ChainWorld):
    """Shows more than a small model can read."""

    def observe(self) -> str:
        return " ".join(f"x{number}" for number in range(600))


class Broken(ChainWorld):
    """Breaks when it is played."""

    def _act(self, command: str) -> object:  # type: ignore[override]
        raise ZeroDivisionError("no bridge")


REFUSED = {
    "unknown preset": (("taxi-smok",), r"unknown preset 'taxi-smok'; did you mean 'taxi-smoke'"),
    "nothing named": ((), r"name either a PRESET or --config FILE"),
    "unknown key": (("taxi-smoke", "--set", "rl.max_step=3"), r"--set: unknown setting 'rl.max_step'; did you mean 'max_steps'"),
    "unknown section": (("taxi-smoke", "--set", "rll.max_steps=3"), r"--set: unknown setting 'rll'; did you mean 'rl'"),
    "out of range": (
        ("taxi-smoke", "--set", "rl.max_steps=0"),
        r"rl.max_steps: Input should be greater than or equal to 1, found 0",
    ),
    "wrong type": (("taxi-smoke", "--set", "rl.max_steps=many"), r"rl.max_steps: Input should be a valid integer.*found 'many'"),
    "no value": (("taxi-smoke", "--set", "rl.max_steps"), r"--set 'rl.max_steps' is not of the form a.b=value"),
    "negative seed": (("taxi-smoke", "--seed", "-1"), r"seed: Input should be greater than or equal to 0, found -1"),
    "phases out of order": (("taxi-smoke", "--set", "phases=[rl, generate]"), r"must follow the order"),
    "phases without data": (("taxi-smoke", "--set", "phases=[sft-policy]"), r"phases has sft-policy but not generate"),
    "tiny without its tokenizer": (
        ("taxi-smoke", "--set", "phases=[rl, evaluate]"),
        r"phases lacks generate, which trains the tokenizer of `tiny`",
    ),
    "unknown environment": (("taxi-smoke", "--set", "env.name=taxy"), r"unknown environment 'taxy'; did you mean 'taxi'"),
    "unknown option": (("taxi-smoke", "--set", "env.options.horizont=3"), r"unexpected keyword argument 'horizont'.*its options: horizon"),
    "unknown stage": (("taxi-smoke", "--set", "curriculum.stages=[pick]"), r"unknown stage 'pick'; did you mean 'pickup'"),
    "no start states": (("taxi-smoke", "--set", "data.test_share=0"), r"evaluation.split=test has no start states"),
    "no such folder": (("taxi-smoke", "--set", "policy.model=./none"), r"\./none.{0,1}: this folder holds no model \(no config.json\)"),
    "no such device": (("taxi-smoke", "--set", "device.device=cuda"), r"asks for CUDA, but this PyTorch finds no CUDA device; use --set"),
    "8 bit": (("taxi-smoke", "--set", "policy.load_in_8bit=true"), r"policy.load_in_8bit needs a CUDA device, found cpu"),
    "4 bit": (("taxi-smoke", "--set", "policy.load_in_4bit=true"), r"policy.load_in_4bit needs a CUDA device, found cpu"),
    "8 and 4 bit": (("taxi-gpt2-xl", "--set", "policy.load_in_4bit=true"), r"load_in_8bit and load_in_4bit are both set; choose one"),
    "short context": (("taxi-smoke", "--set", "policy.tiny.n_positions=32"), r"needs up to 56 tokens, but its context is 32"),
    "unknown parent": (("taxi-smoke", "--from", "taxi-smoke-1"), r"unknown run 'taxi-smoke-1'; there are no runs in"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_training_is_one_line_and_leaves_nothing(cli, no_cuda, name):
    arguments, message = REFUSED[name]
    assert_matches(cli.refused("train", *arguments), message)
    assert cli.left_behind() == []


def assert_matches(error: str, message: str) -> None:
    assert pytest.raises(AssertionError, match=message).matches(AssertionError(error)), error


def test_a_model_that_is_not_there_and_no_network(cli, monkeypatch):
    def unreachable(*arguments: object, **named: object) -> None:
        raise ConnectionError("[Errno -2] Name or service\nnot known")

    monkeypatch.setattr("workbench.models.sources.get_hf_file_metadata", unreachable)
    error = cli.refused("train", "taxi-smoke", "--set", "policy.model=no-such-org/no-model")
    assert_matches(error, r"model 'no-such-org/no-model' cannot be loaded \(ConnectionError: .*\); check the name and the network")
    assert cli.left_behind() == []


def test_a_tokenizer_with_too_few_labels(cli, model_folder):
    error = cli.refused(
        "train", "taxi-smoke", "--set", f"policy.model={model_folder}", "--set", "env.name=tests.test_cli_errors:ManyCommands",
        "--set", "data.validation_share=0", "--set", "data.test_share=0.25",
    )  # fmt: skip
    assert_matches(error, r"has \d+ single-token labels but a state of chain has 302 commands; use another model")
    assert cli.left_behind() == []


def test_a_prompt_longer_than_the_models_context(cli, model_folder):
    error = cli.refused(
        "train", "taxi-smoke", "--set", f"policy.model={model_folder}", "--set", "env.name=tests.test_cli_errors:Talkative",
        "--set", "data.validation_share=0", "--set", "data.test_share=0.25",
    )  # fmt: skip
    assert_matches(error, r"a prompt with its reflection needs up to \d+ tokens, but its context is 512; use a model with a longer context")
    assert cli.left_behind() == []


def test_what_shows_only_in_a_run_fails_it_in_one_line(cli):
    settings = ("env.name=tests.test_cli_errors:Broken", "data.validation_share=0", "data.test_share=0.25")
    error = cli.refused("train", "taxi-smoke", "--quiet", *(part for setting in settings for part in ("--set", setting)))
    assert_matches(error, r"behaviour 0 of the warm-up data \(seed 0\): the environment broke \(ZeroDivisionError: no bridge\); mend it")
    (name,) = (name for name in cli.left_behind() if not name.startswith("."))
    status = Run(RunPaths(cli.root / name)).status()
    assert status["state"] == "failed"
    assert "no bridge" in status["error"]
    assert "Traceback" in Run(RunPaths(cli.root / name)).log_tail(), "what lies behind it is in the log"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rl: {max_steps: 0}\n", r"rl.max_steps: Input should be greater than or equal to 1, found 0"),
        ("colour: red\n", r"unknown setting 'colour'"),
        ("- a\n- b\n", r"expected settings as `key: value` lines, found list"),
        ("a: [\n", r"cannot be read as a configuration"),
        ("\x00", r"cannot be read as a configuration"),
    ],
)
def test_a_configuration_file_that_cannot_be_used(cli, tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    assert_matches(cli.refused("train", "--config", str(path)), message)
    assert cli.left_behind() == []


def test_a_configuration_file_that_is_not_there(cli):
    assert_matches(cli.refused("train", "--config", "none.yaml"), r"none.yaml: cannot be read as a configuration: .*No such file")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), r"arguments are required: COMMAND"),
        (("trian",), r"invalid choice: 'trian'"),
        (("resume",), r"arguments are required: RUN"),
        (("resume", "nothing"), r"unknown run 'nothing'; there are no runs in .*start one with `workbench train PRESET`"),
        (("stop", "nothing"), r"unknown run 'nothing'"),
        (("show", "../.."), r"not a run folder|unknown run"),
        (("evaluate", "./none"), r"this folder holds no model"),
        (("evaluate", "./none", "--preset", "taxi-smok"), r"unknown preset 'taxi-smok'"),
        (("play", "taxy"), r"unknown environment 'taxy'"),
        (("play", "taxi", "--stage", "ful"), r"unknown stage 'ful'; did you mean 'full'"),
        (("play", "taxi", "--task", "r9c9-R-G"), r"unknown task 'r9c9-R-G'"),
        (("generate", "taxi-smoke"), r"arguments are required: --out"),
    ],
)
def test_other_commands_refuse_in_one_line(cli, arguments, message):
    assert_matches(cli.refused(*arguments), message)


@pytest.fixture
def smoke(cli, smoke_run):
    """A copy of a finished run in the test's own root."""
    return RunPaths(Path(shutil.copytree(smoke_run.folder, cli.root / smoke_run.run_id)))


def test_a_damaged_checkpoint(cli, smoke):
    newest = checkpoint.latest(smoke.checkpoints / "rl")
    assert newest is not None
    path = next(newest.rglob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    error = cli.refused("resume", smoke.run_id)
    assert_matches(
        error, r"rl/000006: the checkpoint is damaged \(.*\.safetensors is not what was written\); delete this folder and resume"
    )
    assert Run(smoke).status()["state"] == "failed"
    shutil.rmtree(newest)
    shutil.rmtree(smoke.checkpoints / "evaluate")
    assert main(["resume", smoke.run_id, "--runs-dir", str(cli.root), "--quiet"]) == 0
    assert Run(smoke).status()["state"] == "finished"


@pytest.mark.parametrize("command", ["resume", "show", "stop", "evaluate"])
def test_a_run_folder_of_a_newer_schema(cli, smoke, command):
    meta = json.loads(smoke.meta.read_text(encoding="utf-8"))
    smoke.meta.write_text(json.dumps({**meta, "schema_version": 99}), encoding="utf-8")
    before = sorted((path, path.stat().st_mtime_ns) for path in smoke.folder.rglob("*"))
    assert_matches(cli.refused(command, smoke.run_id), r"written by a newer workbench \(schema 99, this one reads up to 1\); upgrade")
    assert sorted((path, path.stat().st_mtime_ns) for path in smoke.folder.rglob("*")) == before


def test_a_run_that_another_process_holds(cli, smoke):
    script = (
        "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    )
    before = smoke.status.read_bytes()
    with subprocess.Popen([sys.executable, "-c", script, str(smoke.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        error = cli.refused("resume", smoke.run_id)
        assert_matches(error, rf"run {smoke.run_id} is held by .*process.*; wait for it, or stop it with `workbench stop {smoke.run_id}`")
        holder.stdin.close()
    assert smoke.status.read_bytes() == before
    assert sorted(smoke.attempt_logs()) == [1]


def no_space(*arguments: object, **named: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_before_a_run(cli, monkeypatch):
    monkeypatch.setattr(layout, "write_whole", no_space)
    assert_matches(cli.refused("train", "taxi-smoke"), r"runs: the disk is full; free space")
    assert cli.left_behind() == []


def rust_says_no_space(*arguments: object, **named: object) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    ("place", "failing"),
    [
        ("workbench.data.sets._write_text", no_space),
        ("workbench.trainers.checkpoint.save_file", rust_says_no_space),
        ("workbench.store.files.write_all", no_space),
    ],
)
def test_a_disk_that_fills_during_a_run(cli, monkeypatch, place, failing):
    paths = create_run(cli.root, short_config())
    with monkeypatch.context() as patched:
        patched.setattr(place, failing)
        error = cli.refused("resume", paths.run_id)
    assert_matches(error, rf"{paths.run_id}: the disk is full; free space, then `workbench resume {paths.run_id}`")
    assert main(["resume", paths.run_id, "--runs-dir", str(cli.root), "--quiet"]) == 0


def test_sets_that_cannot_be_written(cli, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    settings = ("--set", "data.trajectories=3", "--set", "data.negatives=0")
    error = cli.refused("generate", "taxi-smoke", *settings, "--out", str(tmp_path / "file"))
    assert_matches(error, r"file: cannot be written: File exists; name another folder with --out")


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "./none", "--preset", "arithmetic-rlmec"),
        ("evaluate", "--endpoint", "http://127.0.0.1:9/v1", "--model", "m", "--preset", "arithmetic-rlmec"),
        ("generate", "arithmetic-rlmec", "--out", "none"),
    ],
)
def test_a_preset_that_plays_nothing(cli, arguments):
    error = cli.refused(*arguments)
    assert_matches(error, r"preset arithmetic-rlmec is of the recipe rlmec: .* plays no world; `workbench train arithmetic-rlmec` trains")
    assert not Path("none").exists()


@pytest.mark.parametrize("command", [("analyse",), ("play", "--run")])
def test_a_run_that_plays_nothing(cli, command):
    paths = create_run(cli.root, RunConfig(recipe="rlmec", preset="solver"), state="stopped")
    error = cli.refused(*command, paths.run_id)
    assert_matches(error, rf"run {paths.run_id} is of the recipe rlmec: its policy solves problems and plays no world")


def test_a_run_that_has_no_player_yet(cli):
    paths = create_run(cli.root, short_config())
    for arguments in (("evaluate", paths.run_id), ("train", "taxi-smoke", "--from", paths.run_id)):
        error = cli.refused(*arguments)
        assert_matches(error, rf"run {paths.run_id} has no checkpoint of .*`workbench resume {paths.run_id}`")
    assert cli.left_behind() == [paths.run_id]


@pytest.mark.parametrize(
    ("phases", "named"),
    [("[generate]", "generate"), ("[generate, sft-reflection, rl]", "generate")],
)
def test_phases_asked_for_that_cannot_follow_a_parent(cli, smoke, phases, named):
    error = cli.refused("train", "taxi-smoke", "--set", f"phases={phases}", "--from", smoke.run_id)
    assert_matches(
        error,
        rf"phases names {named}, but --from gives data; only sft-reflection, sft-policy, rl, evaluate can follow: leave the others out",
    )
    assert cli.left_behind() == [smoke.run_id]


def test_a_configuration_that_a_parent_leaves_nothing_of(cli, smoke, tmp_path):
    config = apply_overrides(load_config(smoke.config), ["phases=[generate]"])
    (tmp_path / "own.yaml").write_text(dump_config(config), encoding="utf-8")
    error = cli.refused("train", "--config", str(tmp_path / "own.yaml"), "--from", smoke.run_id)
    assert_matches(error, r"--from gives data and players, but the configuration has neither rl nor evaluate")
    assert cli.left_behind() == [smoke.run_id]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--trajectories", "0"), r"--trajectories must be at least 1, found 0"),
        (("--stage", "ful"), r"--stage 'ful' is unknown; did you mean 'full'"),
        (("--split", "tests"), r"argument --split: invalid choice: 'tests'"),
        (("--seed", "one"), r"argument --seed: invalid int value: 'one'"),
        (("--set", "policy.model=gpt2"), r"--set policy.model: a run is evaluated as it was trained; evaluation.\*, device.\*"),
        (("--set", "evaluation.trajectoris=3"), r"unknown setting 'evaluation.trajectoris'; did you mean 'trajectories'"),
        (
            ("--preset", "taxi-smoke"),
            r"--preset is for a MODEL, and taxi-smoke-\S+ is a run, evaluated with its own settings; leave --preset out",
        ),
        (("--in-context",), r"--in-context is for a MODEL, and taxi-smoke-\S+ is a run"),
        (("--api-key-env", "KEY"), r"--api-key-env names the key of an --endpoint, and there is none"),
    ],
)
def test_an_evaluation_that_cannot_be(cli, smoke, arguments, message):
    assert_matches(cli.refused("evaluate", smoke.run_id, *arguments), message)


def test_a_mistyped_run_is_not_looked_for_in_the_hub(cli, smoke, monkeypatch):
    def looked(*arguments: object, **named: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("workbench.models.sources.get_hf_file_metadata", looked)
    error = cli.refused("evaluate", smoke.run_id[:-1])
    assert_matches(error, rf"unknown run '{smoke.run_id[:-1]}'; did you mean '{smoke.run_id}'")


def test_a_run_whose_files_were_lost(cli, smoke):
    smoke.metrics.write_text("", encoding="utf-8")
    shutil.rmtree(smoke.checkpoints / "evaluate")
    error = cli.refused("resume", smoke.run_id)
    assert_matches(error, r"files were lost since the checkpoint \(metrics ends at 0, the checkpoint says \d+\); restore the folder")


def test_a_failure_is_written_where_the_page_reads_it(cli, smoke):
    (smoke.data / "examples.jsonl").write_text("not json\n", encoding="utf-8")
    for phase in ("sft-reflection", "sft-policy", "rl", "evaluate"):
        shutil.rmtree(smoke.checkpoints / phase)
    error = cli.refused("resume", smoke.run_id)
    assert_matches(error, r"examples.jsonl: the warm-up data cannot be read")
    assert Run(smoke).status()["error"] in error


def test_the_configuration_of_a_run_that_was_damaged(cli, smoke):
    smoke.config.write_text(dump_config(short_config()).replace("max_steps: 6", "max_steps: none"), encoding="utf-8")
    assert_matches(cli.refused("resume", smoke.run_id), r"config.yaml: rl.max_steps: Input should be a valid integer.*found 'none'")
