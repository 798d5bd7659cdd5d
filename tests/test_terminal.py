"""A person plays in the terminal."""

import pytest

from tests.chain_world import ChainWorld
from workbench.envs.taxi import DangerousTaxi
from workbench.envs.text_env import TextEnv
from workbench.errors import EnvError
from workbench.terminal import play, printable


def played(env: TextEnv, lines: list[str], **arguments) -> tuple[bool, str]:
    """What ``play`` returned and everything it wrote, for typed lines; then the input ends."""
    written: list[str] = []
    typed = iter(lines)

    def read(prompt: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    return play(env, **arguments, read=read, write=written.append), "\n".join(written)


def test_numbers_and_commands_solve_the_task():
    solved, text = played(ChainWorld(), ["2", " right "], seed=0, task="start-3", stage="short")
    assert solved
    assert "Walk along the chain" in text
    assert "Chain: ! _ _ @ _ G" in text
    assert "  1  left\n  2  right" in text
    assert "right: reward -0.10" in text
    assert text.endswith("Chain: ! _ _ _ _ @\n\nSolved after 2 turns; total reward +0.90.")


def test_failing_and_running_out_of_turns_are_told_apart():
    assert played(ChainWorld(), ["left"], task="start-1")[1].endswith("Failed after 1 turns; total reward -1.00.")
    solved, text = played(ChainWorld(horizon=2), ["1", "2"], task="start-3")
    assert not solved
    assert text.endswith("Out of turns after 2 turns; total reward -0.20.")


def test_hints_come_from_the_oracle():
    solved, text = played(DangerousTaxi(), ["hint", "1"], task="r0c0-R-Y", stage="pickup")
    assert "Hint: pickup (1 commands to go)" in text
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
    assert "Solved after 1 turns" in text


@pytest.mark.parametrize("lines", [["quit"], []])
def test_quitting_and_the_end_of_input_leave(lines):
    solved, text = played(ChainWorld(), lines, task="start-4")
    assert not solved
    assert text.endswith("You left after 0 turns; total reward +0.00.")


def test_interrupting_leaves():
    def interrupt(prompt: str) -> str:
        raise KeyboardInterrupt

    assert not play(ChainWorld(), seed=0, read=interrupt, write=lambda text: None)


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
