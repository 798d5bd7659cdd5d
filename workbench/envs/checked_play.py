"""Plays an environment and refuses every value that breaks the contract of ``text_env``; used by ``checker``."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from workbench.envs.text_env import Info, TextEnv
from workbench.errors import EnvError
from workbench.seeding import generator

FREE_TEXT = "an answer in free text"
"""What is said where ``info`` holds no admissible commands."""

_INFO_TYPES = {"success": bool, "state_key": str, "task": str, "stage": str, "task_statement": str}
_LONGEST_VALUE = 160
_LIST_GAP = r"\W*(?:\w{1,3}\W+)?"
"""What stands between the entries of a list: punctuation, a number, a label, ``or``."""
_SCATTERED = 4
"""From so many commands on, a first observation that names all of them is a list in whatever form."""


class Step(NamedTuple):
    """What one call returned; the start of a trajectory has no command."""

    command: str | None
    observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: Info

    @property
    def ended(self) -> bool:
        """True when the trajectory is over."""
        return self.terminated or self.truncated

    @property
    def commands(self) -> Sequence[str] | None:
        """What can be done now; None when the answer is free text."""
        return self.info.get("admissible_commands")


def broken(rule: str, cause: str, found: object) -> EnvError:
    """The error for a broken rule, in one line: ``rule; likely cause; value found``."""
    text = " ".join((found if isinstance(found, str) and found else repr(found)).split())
    return EnvError(f"{rule}; likely cause: {cause}; found {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '…'}")


def require(holds: bool, rule: str, cause: str, found: object) -> None:
    """Raise ``broken(rule, cause, found)`` unless ``holds``."""
    if not holds:
        raise broken(rule, cause, found)


def checked_reset(env: TextEnv, stage: str, task: str | None, seed: int) -> Step:
    """Reset ``env``; ``task=None`` leaves the choice to the seed.

    Raises:
        EnvError: What came back breaks the contract.
    """
    result: object = env.reset(seed=seed, options={"stage": stage} if task is None else {"stage": stage, "task": task})
    if not isinstance(result, tuple) or len(result) != 2:
        raise broken("reset() returns (observation, info)", "the observation alone is Gym's old interface", result)
    step = Step(None, result[0], 0.0, False, False, result[1])
    _check_texts(step)
    require(step.info["stage"] == stage, "info['stage'] is the stage that was asked for", "reset() ignores its options", step.info["stage"])
    asked = env.tasks(stage) if task is None else [task]
    require(step.info["task"] in asked, "info['task'] is the task that was asked for", "reset() ignores its options", step.info["task"])
    require(
        not step.info["success"],
        "success is False at the start",
        "it is left over from the last trajectory, or the start is solved",
        step.info,
    )
    return step


def checked_step(env: TextEnv, command: str) -> Step:
    """Carry out one command.

    Raises:
        EnvError: What came back breaks the contract.
    """
    result: object = env.step(command)
    if not isinstance(result, tuple) or len(result) != 5:
        raise broken("step() returns (observation, reward, terminated, truncated, info)", "four values are Gym's old interface", result)
    step = Step(command, *result)
    for name, value in (("terminated", step.terminated), ("truncated", step.truncated)):
        require(type(value) is bool, f"{name} is True or False", "a number or a numpy value", value)
    require(
        type(step.reward) is float and math.isfinite(step.reward),
        "the reward is a finite float",
        "an overflow or a numpy value",
        step.reward,
    )
    require(
        not (step.terminated and step.truncated),
        "terminated and truncated exclude each other",
        "the horizon is not left to TextEnv",
        command,
    )
    _check_texts(step)
    require(not step.info["success"] or step.terminated, "a solved task is over", "success is set without terminated", command)
    return step


def random_play(env: TextEnv, stage: str, task: str | None, seed: int) -> Iterator[Step]:
    """The start and then seeded random commands to the end of the trajectory.

    Raises:
        EnvError: Something that came back breaks the contract, or the end does not come within the horizon.
    """
    dice = generator(seed, "check", stage)
    step = checked_reset(env, stage, task, seed)
    yield step
    for _ in range(env.horizon):
        step = checked_step(env, FREE_TEXT if step.commands is None else step.commands[int(dice.integers(len(step.commands)))])
        yield step
        if step.ended:
            return
    raise broken("a trajectory ends within its horizon", "step() is overridden and never truncates", f"{env.horizon} turns and no end")


def _check_texts(step: Step) -> None:
    where = "reset()" if step.command is None else f"step({step.command!r})"
    seen = step.observation
    require(isinstance(seen, str) and bool(seen), "the observation is a non-empty text", f"{where} does not return observe()", seen)
    require(isinstance(step.info, dict), "info is a dictionary", f"{where} does not return self._info()", step.info)
    for key, kind in _INFO_TYPES.items():
        require(key in step.info, f"info has {key!r}", "_info() is overridden and leaves it out", sorted(step.info))
        require(type(step.info[key]) is kind, f"info[{key!r}] is of type {kind.__name__}", f"{where} gives another type", step.info[key])
        require(step.info[key] != "", f"info[{key!r}] is not empty", "it was never set", step.info[key])
    commands = step.commands
    if commands is not None and not step.ended:
        listed = isinstance(commands, tuple | list) and all(isinstance(command, str) and command.strip() for command in commands)
        require(
            listed and len(commands) > 0,
            "admissible commands are a tuple of non-empty texts",
            "a state without a way out must end",
            commands,
        )
        require(len(set(commands)) == len(commands), "admissible commands differ from each other", "one is listed twice", commands)
        shown = _lists_commands(seen, commands, at_start=step.command is None)
        require(not shown, "the observation does not contain the list of commands", "observe() appends it; the prompt adds it", seen)


def _lists_commands(text: str, commands: Sequence[str], *, at_start: bool) -> bool:
    if len(commands) < 2:
        return False
    words = [rf"(?<!\w){re.escape(command)}(?!\w)" for command in commands]
    # Later on the path so far may be shown, and it may have led through all of them.
    if at_start and len(commands) >= _SCATTERED and all(re.search(word, text) for word in words):
        return True
    return re.search(_LIST_GAP.join(words), text) is not None
