"""One step considered anew: what a policy would be asked, what it answered, and the turn that comes of a command. No torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from workbench.envs.replay import Scene
from workbench.envs.text_env import TextEnv
from workbench.prompts import suggested_command
from workbench.records import Reflection, Turn


@dataclass(frozen=True, slots=True)
class Question:
    """What the policy is asked; every part of it may have been edited."""

    task_statement: str
    observation: str
    reflection: Reflection | None
    """None when nobody reflects."""
    commands: tuple[str, ...]
    labels: tuple[str, ...]
    """Label of each command, in the same order."""


@dataclass(frozen=True, slots=True)
class Considered:
    """A question and the policy's answer."""

    question: Question
    log_probs: tuple[float, ...]
    """Of each command, nats."""
    prompt_token_ids: tuple[int, ...]
    label_token_ids: tuple[int, ...]
    prompt_was_cut: bool

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Of each command; sums to 1."""
        return tuple(math.exp(value) for value in self.log_probs)


def said(text: str, commands: tuple[str, ...]) -> Reflection:
    """A person's own words as a reflection."""
    return Reflection(text=text, suggested_command=suggested_command(text, commands))


def moved_share(before: tuple[float, ...], after: tuple[float, ...]) -> float:
    """Share of the probability that lies elsewhere now: the total variation distance of two distributions, in [0, 1].

    Example:
        >>> moved_share((0.5, 0.5), (1.0, 0.0))
        0.5
    """
    return sum(abs(new - old) for old, new in zip(before, after, strict=True)) / 2


def turn_from(env: TextEnv, scene: Scene, considered: Considered, command: str, *, index: int) -> Turn:
    """Carry ``command`` out in ``env``, which is at ``scene``, and give the turn that it made.

    Args:
        env: The world; it moves on by one turn.
        scene: Where it is before.
        considered: What the policy thought of it.
        command: What is done, whoever chose it.
        index: Number of the turn in its trajectory.

    Raises:
        EnvError: The command is not admissible here.
    """
    question = considered.question
    _, reward, terminated, truncated, _ = env.step(command)
    return Turn(
        index=index,
        observation=question.observation,
        state_key=scene.info["state_key"],
        admissible_commands=question.commands,
        labels=question.labels,
        probabilities=considered.probabilities,
        command=command,
        reflection=question.reflection or Reflection(text=""),
        prompt_token_ids=considered.prompt_token_ids,
        label_token_ids=considered.label_token_ids,
        log_prob=considered.log_probs[question.commands.index(command)],
        reward=reward,
        terminated=terminated,
        truncated=truncated,
        prompt_was_cut=considered.prompt_was_cut,
        oracle_command=scene.oracle_command,
    )


class Players(Protocol):
    """A run's players at one of its checkpoints, as pages know them."""

    reflects: bool
    """False where nobody reflects."""
    labels: tuple[str, ...]
    """Texts that may stand for a command."""

    def make_env(self) -> TextEnv:
        """A world of the run's own kind and options."""

    def question(self, env: TextEnv, scene: Scene, turns: Sequence[Turn], *, seed: int) -> Question:
        """What the policy would be asked at ``scene``, unedited, after ``turns``."""

    def consider(self, question: Question, *, temperature: float) -> Considered:
        """The policy's answer."""

    def take_turn(self, env: TextEnv, scene: Scene, considered: Considered, *, seed: int, index: int, luck: int, greedy: bool) -> Turn:
        """Let the agent choose, carry it out, and give the turn."""
