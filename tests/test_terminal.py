"""A person plays in the terminal."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

from tests.chain_world import ChainWorld
from workbench.cli import main
from workbench.envs.frozen_lake import FrozenLake
from workbench.envs.taxi import DangerousTaxi
from workbench.envs.text_env import TextEnv
from workbench.errors import EnvError
from workbench.recipes.advise import Advice
from workbench.screen import Screen, printable
from workbench.terminal import Played, play


def record(env: TextEnv, lines: list[str], *, live: bool = False, colour: bool = False, **arguments) -> tuple[Played, str]:
    """What ``play`` returned and everything it wrote, for typed lines; then the input ends."""
    written: list[str] = []
    typed = iter(lines)

    def read(prompt: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    return play(env, **arguments, read=read, screen=Screen(written.append, live, colour)), "\n".join(written)


def played(env: TextEnv, lines: list[str], **arguments) -> tuple[bool, str]:
    """Whether the person solved it, and the text."""
    result, text = record(env, lines, **arguments)
    return result.success, text


def test_numbers_and_commands_solve_the_task():
    solved, text = played(ChainWorld(), ["2", " right "], seed=0, task="start-3", stage="short")
    assert solved
    assert "Walk along the chain" in text
    assert "Chain: ! _ _ @ _ G" in text
    assert "  1  left\n  2  right" in text
    assert "right: reward -0.10" in text
    assert text.endswith("Chain: ! _ _ _ _ @\n\nSolved after 2 turns; total reward +0.90. Nobody needs fewer.")


def test_failing_and_running_out_of_turns_are_told_apart():
    assert played(ChainWorld(), ["left"], task="start-1")[1].endswith("Failed after 1 turn; total reward -1.00.")
    solved, text = played(ChainWorld(horizon=2), ["1", "2"], task="start-3")
    assert not solved
    assert text.endswith("Out of turns after 2 turns; total reward -0.20.")


def test_hints_come_from_the_oracle():
    solved, text = played(DangerousTaxi(), ["hint", "1"], task="r0c0-R-Y", stage="pickup")
    assert "Hint: pickup (1 command to go)" in text
    assert not solved


def test_without_an_oracle_there_is_no_hint():
    class Silent(ChainWorld):
        def oracle(self) -> None:  # type: ignore[override]
            return None

    assert "no hint here" in played(Silent(), ["hint", "quit"])[1]


@pytest.mark.parametrize("line", ["0", "3", "-1", "², right", "9" * 5000, "up", ""])
def test_what_is_no_command_is_refused_and_asked_again(line):
    solved, text = played(ChainWorld(), [line, "right"], task="start-4")
    assert solved
    assert "Unknown command" in text
    assert "Solved after 1 turn" in text


@pytest.mark.parametrize("lines", [["quit"], []])
def test_quitting_and_the_end_of_input_leave(lines):
    solved, text = played(ChainWorld(), lines, task="start-4")
    assert not solved
    assert text.endswith("You left after 0 turns; total reward +0.00.")


def test_interrupting_leaves():
    def interrupt(prompt: str) -> str:
        raise KeyboardInterrupt

    assert not play(ChainWorld(), seed=0, read=interrupt, screen=Screen(lambda text: None)).success


def test_a_command_comes_before_our_own_word_of_the_same_name():
    class Quitter(ChainWorld):
        def admissible_commands(self) -> tuple[str, ...]:
            return ("quit", "right")

        def _act(self, command: str):
            return super()._act("right")

    assert played(Quitter(), ["quit"], task="start-4")[0]


def test_an_unknown_task_or_stage_is_an_error():
    with pytest.raises(EnvError, match="unknown task"):
        played(ChainWorld(), [], task="start-99")
    with pytest.raises(EnvError, match="unknown stage"):
        played(ChainWorld(), [], stage="shrt")


def test_the_seed_chooses_the_task():
    texts = {seed: played(DangerousTaxi(), [], seed=seed)[1] for seed in (1, 2)}
    assert texts[1] == played(DangerousTaxi(), [], seed=1)[1]
    assert texts[1] != texts[2]


def test_nothing_the_environment_says_can_steer_the_terminal():
    evil = "\x1b[2J\x1b]0;owned\x07\r\u202ereversed\x9b1mbold"
    assert printable(evil) == "[2J]0;ownedreversed1mbold"
    assert printable("two\n\tlines, é") == "two\n\tlines, é"

    class Evil(ChainWorld):
        def observe(self) -> str:
            return evil

        def task_statement(self) -> str:
            return evil

        def admissible_commands(self) -> tuple[str, ...]:
            return (f"right{evil}", evil)

        def _act(self, command: str):
            return super()._act("right")

        def oracle(self) -> list[str]:
            return [evil]

    _, text = played(Evil(), ["hint", evil + "x", "1"], task="start-4")
    assert not set(text) & set("\x1b\x07\r\u202e\x9b")


def test_the_score_is_told_against_the_oracle():
    result, text = record(ChainWorld(), ["left", "right", "?", "right", "right"], task="start-3")
    assert result._replace(reward=0.0) == Played(True, 4, 0.0, 2, 1)
    assert result.reward == pytest.approx(0.7)
    assert text.endswith("Solved after 4 turns; total reward +0.70. A shortest way takes 2. You asked 1 time.")


def test_a_beginning_that_only_one_command_has_is_enough():
    assert played(ChainWorld(), ["ri"], task="start-4")[0]
    _, text = played(DangerousTaxi(), ["x", "s"], seed=0)
    assert "Unknown command 'x'" in text
    assert "south: reward" in text

    class Doors(ChainWorld):
        def admissible_commands(self) -> tuple[str, ...]:
            return ("go left", "go right", "hinge")

    _, text = played(Doors(), ["go", "hint"], task="start-4")
    assert "Unknown command 'go'" in text
    assert "Hint: right" in text, "our own word comes before a command that only begins with it"


@pytest.mark.parametrize(
    ("env", "command"), [(ChainWorld(), "right"), (FrozenLake(horizon=2), "left")], ids=["own snapshots", "played again"]
)
def test_undo_takes_commands_and_rewards_back(env, command):
    task = env.tasks(env.stages[-1])[0]
    env.reset(seed=0, options={"task": task})
    start = f"\n{env.observe()}\n"
    result, text = record(env, ["-", command, "undo", command, "-", "-"], task=task)
    assert (env.turns_taken, f"\n{env.observe()}\n") == (0, start)
    assert text.rsplit("Taken back.", 1)[1].count(start) == 1
    assert text.count("Taken back.") == 2
    assert text.count("There is nothing to take back.") == 2
    assert (result.turns, result.reward) == (0, 0.0)
    assert text.endswith("You left after 0 turns; total reward +0.00.")


def test_who_failed_may_go_back_before_the_screen():
    result, text = record(ChainWorld(), ["left", "right", "-", "right", "right", "right", "right"], task="start-1", live=True)
    assert "left: reward -1.00" in text
    assert "Unknown command 'right'" in text, "it is over, only going back is left"
    assert result.success


def test_an_environment_that_cannot_go_back_says_so():
    class Onward(ChainWorld):
        def snapshot(self):
            raise EnvError("no way back")

    assert "This environment cannot go back." in played(Onward(), ["right", "-"], task="start-2")[1]


def test_many_commands_stand_in_columns():
    class Crowd(ChainWorld):
        def admissible_commands(self) -> tuple[str, ...]:
            return tuple(f"command {number}" for number in range(30))

    text = played(Crowd(), [], task="start-2")[1]
    (row,) = [line for line in text.split("\n") if line.startswith("  1  ")]
    assert re.findall(r"(\d+)  command (\d+)", row) == [("1", "0"), ("7", "6"), ("13", "12"), ("19", "18"), ("25", "24")]


def advice(env, observation, info) -> Advice:
    return Advice(f"\x1b[2JThink of {info['state_key']}.", (0.25, 0.75))


def test_the_models_reflection_and_probabilities_are_shown_on_demand():
    result, text = record(ChainWorld(), ["!", "model", "right", "!"], task="start-2", advise=advice)
    assert text.count('"[2JThink of 2."') == 2
    assert '"[2JThink of 3."' in text
    assert "  right   75.0%  ███████████████\n  left    25.0%  █████" in text
    assert result.hints == 2, "asking again about the same state is no new hint"
    assert "\x1b" not in text
    assert "Unknown command '!'" in played(ChainWorld(), ["!"], task="start-2")[1], "there is no model without a run"


def test_a_live_screen_is_drawn_anew_and_coloured_where_it_may_be():
    plain = record(ChainWorld(), ["right"], task="start-4", live=True)[1]
    assert plain.count("\x1b[2J\x1b[H") == 2
    assert plain.count("\x1b") == 4, "no colours"
    coloured = record(ChainWorld(), ["right"], task="start-4", live=True, colour=True)[1]
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert "\x1b[1mchain, stage long, task start-4\x1b[0m" in coloured


def on_terminal(*arguments: str, lines: str, **variables: str) -> str:
    """What a real terminal receives from ``workbench play`` while ``lines`` are typed."""
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm", **variables}
    command = [sys.executable, "-m", "workbench", "play", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown, waiting, until = b"", lines.splitlines(), time.monotonic() + 60
        while time.monotonic() < until and select.select([ours], [], [], 60)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # how Linux tells that the other end is closed
                break
            shown += part
            if not part:
                break
            if shown.endswith(b"> ") and waiting:
                os.write(ours, waiting.pop(0).encode() + b"\n")
        os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


def test_in_a_real_terminal():
    shown = on_terminal("tests.chain_world:ChainWorld", "--task", "start-3", lines="?\nleft\n-\nright\n2\n")
    assert shown.count("\x1b[2J\x1b[H") == 5
    assert "\x1b[32mHint: right (2 commands to go)\x1b[0m" in shown
    assert "Taken back." in shown
    assert "Solved after 2 turns; total reward +0.90. Nobody needs fewer. You asked 1 time." in shown


@pytest.mark.parametrize(("variables", "clears"), [({"NO_COLOR": "1"}, 2), ({"TERM": "dumb"}, 0)])
def test_a_terminal_that_wants_no_colours_gets_none(variables, clears):
    shown = on_terminal("tests.chain_world:ChainWorld", "--task", "start-4", lines="2\n", **variables)
    assert shown.count("\x1b[2J") == clears
    assert not re.search(r"\x1b\[\d+m", shown)


def test_playing_beside_a_run(smoke_run, monkeypatch, capsys):
    """The players of a recorded run, asked from the command line; torch is loaded for nothing else."""
    typed = iter(["!", "?", "q"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    assert main(["play", "--run", smoke_run.run_id, "--runs-dir", str(smoke_run.folder.parent), "--json"]) == 0
    out = capsys.readouterr().out
    chances = [float(value) for value in re.findall(r"^  (?:south|north|east|west|pickup|dropoff) +([\d.]+)%", out, re.MULTILINE)]
    assert len(chances) == 6
    assert sum(chances) == pytest.approx(100, abs=0.5)
    assert chances == sorted(chances, reverse=True)
    assert json.loads(out.splitlines()[-1])["hints"] == 2


def test_the_advice_is_what_the_policy_would_do(smoke_run):
    """The probabilities are those of the turn that the rollout records, labels apart."""
    from workbench.recipes.advise import advisor

    env = DangerousTaxi()
    observation, info = env.reset(seed=3)
    ask = advisor(smoke_run)
    found = ask(env, observation, info)
    assert found == ask(env, observation, info), "the same state, the same answer"
    assert sum(found.probabilities) == pytest.approx(1)
    assert len(found.probabilities) == 6
    assert found.reflection


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["play"], "name an ENV, such as taxi, or a run to play beside with --run"),
        (["play", "--run", "no-such-run"], "no-such-run"),
        (["play", "taxy"], "unknown environment 'taxy'; did you mean 'taxi'?"),
        (["play", "taxi", "--set", "env.options.horizn=3"], "unexpected keyword argument 'horizn'"),
    ],
)
def test_what_cannot_be_played_is_one_line(arguments, message, tmp_path, capsys):
    assert main([*arguments, "--runs-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_another_world_than_the_runs_is_refused(smoke_run, capsys):
    assert main(["play", "frozen-lake", "--run", smoke_run.run_id, "--runs-dir", str(smoke_run.folder.parent)]) == 2
    assert "was trained on 'taxi', not on 'frozen-lake'; leave ENV out" in capsys.readouterr().err
