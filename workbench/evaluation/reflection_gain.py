"""How much a reflection helps the policy: what the right command gains in probability by it."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.models.policy import Decision, Policy, asked
from workbench.prompts import Label, PromptBuilder


@dataclass(frozen=True, slots=True)
class GainQuestion:
    """A recorded turn, as far as the gain needs it."""

    task_statement: str
    observation: str
    commands: tuple[str, ...]
    labels: tuple[Label, ...]
    """Of the commands, in the same order, as they were recorded."""
    right: int
    """Position of the oracle's command."""
    prompt_token_ids: tuple[int, ...]
    """The recorded prompt, with the reflection."""
    other_ids: tuple[int, ...]
    """What was said of another state, in the policy's vocabulary."""


@dataclass(frozen=True, slots=True)
class Gain:
    """Log-probability of the right command under three prompts that differ in the reflection only, nats."""

    with_reflection: float
    without: float
    """Reflection and its marker left out, as a policy without a reflection player reads it."""
    with_other: float
    """With what was said of another state."""

    @property
    def gain(self) -> float:
        """log p(right command | reflection) - log p(right command | none): above 0 where the reflection helps, nats.

        Example:
            >>> round(Gain(with_reflection=-0.1, without=-1.1, with_other=-2.1).gain, 6)
            1.0
        """
        return self.with_reflection - self.without

    @property
    def gain_over_other(self) -> float:
        """The same against another state's reflection: a prompt of the form that the policy was trained on, nats.

        Example:
            >>> round(Gain(with_reflection=-0.1, without=-1.1, with_other=-2.1).gain_over_other, 6)
            2.0
        """
        return self.with_reflection - self.with_other


def reflection_gains(policy: Policy, prompts: PromptBuilder, questions: Sequence[GainQuestion]) -> list[Gain]:
    """The gain of every recorded turn under ``policy``, in order, at temperature 1.

    Args:
        policy: The policy player as one checkpoint has it.
        prompts: Builder of its prompts.
        questions: Recorded turns.

    Raises:
        PromptError: A prompt does not fit the policy's context.
    """
    decisions: list[Decision] = []
    for one in questions:
        for prompt in (one.prompt_token_ids, _prompt(prompts, one, None), _prompt(prompts, one, one.other_ids)):
            decisions.append(asked(prompts, prompt, one.labels, one.commands, speaks=policy.scoring != "label"))
    answers = policy.distributions(decisions)
    found = []
    for number, one in enumerate(questions):
        first, second, third = (float(answer[one.right]) for answer in answers[3 * number : 3 * number + 3])
        found.append(Gain(first, second, third))
    return found


def _prompt(prompts: PromptBuilder, question: GainQuestion, reflection_ids: Sequence[int] | None) -> tuple[int, ...]:
    return prompts.policy(question.task_statement, question.observation, reflection_ids, question.commands, question.labels).token_ids
