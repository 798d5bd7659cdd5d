"""A person's own world, in a module of their own folder, through the command line: nothing of the workbench is changed for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_models import save_small
from tests.small_runs import SHORT_SETTINGS
from workbench.cli import main
from workbench.config import PHASES
from workbench.store.layout import find_run
from workbench.store.reader import Run

GAME = """
from workbench import Outcome, TextEnv


class Ladder(TextEnv):
    name = "ladder"

    def __init__(self, *, rungs=7, **options):
        super().__init__(**options)
        self.rungs = rungs

    def tasks(self, stage):
        return [f"{start}-to-{goal}" for start in range(self.rungs) for goal in range(self.rungs) if start != goal]

    def _begin(self, task, stage):
        self.rung, self.goal = map(int, task.split("-to-"))

    def _act(self, command):
        self.rung = min(max(self.rung + (1 if command == "up" else -1), 0), self.rungs - 1)
        self.success = self.rung == self.goal
        return Outcome(1.0 if self.success else -0.1, self.success)

    def observe(self):
        return f"You stand on rung {self.rung} and want to be on rung {self.goal}."

    def admissible_commands(self):
        return ("up", "down")

    def state_key(self):
        return f"{self.rung}-{self.goal}"

    def task_statement(self):
        return "Climb the ladder to the right rung."
"""
ORACLE = """
    def oracle(self):
        return ["up" if self.goal > self.rung else "down"] * abs(self.goal - self.rung)
"""
SETTINGS = (
    "device.num_threads=1",
    "policy.tiny={n_layer: 2, n_embd: 48, n_head: 4, n_positions: 96, vocab_size: 400}",
    "data.trajectories=40",
    "data.negatives=10",
    *SHORT_SETTINGS,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the person works: their game, and everything they start from there."""
    (tmp_path / "ladder_game.py").write_text(GAME + ORACLE, encoding="utf-8")
    (tmp_path / "planless_game.py").write_text(GAME, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    for module in ("ladder_game", "planless_game"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def train(*settings: str) -> int:
    sets = [part for setting in (*SETTINGS, *settings) for part in ("--set", setting)]
    return main(["train", "own-quickstart", *sets, "--runs-dir", "runs", "--quiet", "--json"])


def test_every_phase_runs_on_a_game_that_lies_in_the_current_folder(folder, capsys):
    assert train("env.name=ladder_game:Ladder", "env.options.rungs=6") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    run = Run(find_run(folder / "runs", result["run"]))
    assert set(run.metrics()["phase"]) == set(PHASES)
    assert result["trajectories"] == 16
    played = run.trajectories(phase="evaluate")
    assert set(played["task"]) <= {f"{start}-to-{goal}" for start in range(6) for goal in range(6)}
    turn = run.trajectory(played["trajectory_id"].iloc[0]).turns[0]
    assert turn.admissible_commands == ("up", "down")
    assert turn.oracle_command in ("up", "down")
    examples = [json.loads(line) for line in (folder / "runs" / result["run"] / "data" / "examples.jsonl").read_text().splitlines()]
    assert {example["kind"] for example in examples} == {"positive", "negative"}, "negatives need no snapshot() of its own"


def test_the_installed_command_finds_it_too(folder):
    """A console script's search path begins at the script, not in the current folder."""
    command = [str(Path(sys.executable).parent / "workbench"), "play", "ladder_game:Ladder", "--task", "0-to-2"]
    done = subprocess.run(command, cwd=folder, input="up\nup\n", capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Solved after 2 turns" in done.stdout


def test_without_an_oracle_the_phases_that_need_one_are_named(folder, capsys):
    assert train("env.name=planless_game:Ladder") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "'ladder' defines no oracle()" in error
    assert "leave generate out of phases: phases=[rl,evaluate] with reflection.kind=none and a pretrained policy.model need none" in error
    assert not (folder / "runs").exists()


def test_what_that_message_advises_works(folder, capsys):
    model = save_small(folder / "model", "llama")
    settings = ("env.name=planless_game:Ladder", "phases=[rl,evaluate]", "reflection.kind=none", f"policy.model={model}")
    assert train(*settings) == 0, capsys.readouterr().err
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(Run(find_run(folder / "runs", result["run"])).metrics()["phase"]) == {"rl", "evaluate"}


def test_a_game_that_is_not_there_is_one_line(folder, capsys):
    assert train("env.name=lader_game:Ladder") == 2
    error = capsys.readouterr().err
    assert "importing lader_game failed: ModuleNotFoundError" in error
    assert "call from the folder that holds it" in error
    assert not (folder / "runs").exists()
