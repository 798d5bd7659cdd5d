"""One trajectory, from reset to its end.

:func:`script` is a generator that asks its two questions, "what do you make of this?" and "which command?", and
is told the answers. :func:`play` answers them for one trajectory; ``collect`` answers them for many at once.
All randomness comes from the assignment's seed, so a trajectory meets the same task, labels and dice
whatever is played beside it.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.envs.breakage import naming
from workbench.envs.text_env import Info, TextEnv
from workbench.errors import EnvError
from workbench.models.policy import Decision, Judgement, Policy, asked
from workbench.models.reflection import ReflectionPlayer
from workbench.prompts import Label, PromptBuilder, assign_labels, suggested_command
from workbench.records import Reflection, Trajectory, Turn
from workbench.seeding import derived_seed, generator

Hint = Callable[[TextEnv, np.random.Generator], str]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a trajectory is to play, decided before it starts."""

    trajectory_id: str
    phase: str
    update: int
    task: str
    stage: str
    seed: int
    """Of world, labels and, for the first sample, all other dice."""
    sample: int = 0
    """Tells trajectories of one seed apart: same world and labels, other dice of both players."""

    @property
    def place(self) -> str:
        """Task, stage and seed in words, for messages."""
        return f"task {self.task!r} of stage {self.stage!r} (seed {self.seed})"

    def commands(self, info: Info) -> tuple[str, ...]:
        """What can be done now.

        Raises:
            EnvError: Nothing can, though the trajectory is not over.
        """
        commands = tuple(info.get("admissible_commands", ()))
        if not commands:
            raise EnvError(
                f"{self.place}: the environment offers no admissible command in an unfinished trajectory; end the trajectory or offer one"
            )
        return commands

    def trajectory(self, turns: Sequence[Turn], info: Info) -> Trajectory:
        """What was played of it; ``info`` is the environment's last."""
        return Trajectory(
            trajectory_id=self.trajectory_id,
            phase=self.phase,
            update=self.update,
            task=self.task,
            stage=self.stage,
            seed=self.seed,
            task_statement=info["task_statement"],
            turns=tuple(turns),
            success=bool(info["success"]),
        )


@dataclass(frozen=True, slots=True)
class Situation:
    """A question to the reflection player."""

    task_statement: str
    observation: str
    hint: str | None
    generator: np.random.Generator


@dataclass(frozen=True, slots=True)
class Rules:
    """How trajectories are played, the same for all of a batch.

    Attributes:
        prompts: Builder of the policy's prompts.
        reflects: False leaves out reflections and their marker.
        shares_tokens: True when both players use one tokenizer, so that sampled ids enter the policy's prompt as they are.
        temperature: Of the policy's choice; 0 takes the most probable command.
        hint: A teacher, for reflection players that want one.
        oracle_commands: Note a best command beside every turn where the environment knows one.
        speaks: The policy's choice is read from whole commands instead of their labels.
    """

    prompts: PromptBuilder
    reflects: bool
    shares_tokens: bool
    temperature: float = 1.0
    hint: Hint | None = None
    oracle_commands: bool = False
    speaks: bool = False

    @property
    def policy_temperature(self) -> float:
        """What the logits are divided by."""
        return self.temperature if self.temperature > 0 else 1.0

    def decision(self, prompt_token_ids: Sequence[int], labels: Sequence[Label], commands: Sequence[str]) -> Decision:
        """The question to the policy that a prompt with these labels and commands asks."""
        return asked(self.prompts, prompt_token_ids, labels, commands, speaks=self.speaks)


Question = Situation | Decision
Answer = Reflection | Judgement


def script(env: TextEnv, assignment: Assignment, rules: Rules) -> Generator[Question, Answer, Trajectory]:
    """Play ``assignment`` in ``env``: yields questions, is sent answers, returns the trajectory.

    Raises:
        EnvError: The environment broke; the message names the assignment's seed.
    """
    seed, sample = assignment.seed, assignment.sample
    dice = {name: generator(seed, name) for name in ("labels", "teacher")}
    # The first sample has the dice that a trajectory of this seed has anyway.
    dice |= {name: generator(seed, name, sample) if sample else generator(seed, name) for name in ("actions", "reflection")}
    turns: list[Turn] = []
    with naming(assignment.place):
        observation, info = env.reset(seed=derived_seed(seed, "env"), options={"task": assignment.task, "stage": assignment.stage})
    over = False
    while not over:
        commands = assignment.commands(info)
        reflection = yield from _reflect(env, assignment, observation, info, rules, dice)
        labels = assign_labels(rules.prompts.labels, len(commands), dice["labels"])
        ids = reflection_ids(reflection, rules)
        prompt = rules.prompts.policy(info["task_statement"], observation, ids, commands, labels)
        decision = rules.decision(prompt.token_ids, labels, commands)
        answer = yield decision
        assert isinstance(answer, Judgement)
        choice = choose(answer.log_probs, dice["actions"].random(), greedy=rules.temperature == 0)
        state_key = info["state_key"]
        seen = observation
        with naming(assignment.place):
            oracle = env.oracle() if rules.oracle_commands else None
            observation, reward, terminated, truncated, info = env.step(commands[choice])
        over = terminated or truncated
        turns.append(
            Turn(
                index=len(turns),
                observation=seen,
                state_key=state_key,
                admissible_commands=commands,
                labels=tuple(label.text for label in labels),
                probabilities=tuple(np.exp(answer.log_probs).tolist()),
                command=commands[choice],
                reflection=reflection,
                prompt_token_ids=prompt.token_ids,
                label_token_ids=tuple(label.token_id for label in labels),
                log_prob=float(answer.log_probs[choice]),
                reward=reward,
                terminated=terminated,
                truncated=truncated,
                prompt_was_cut=prompt.was_cut,
                oracle_command=oracle[0] if oracle else None,
                value=answer.value,
                command_token_ids=tuple(map(tuple, decision.command_token_ids)),
            )
        )
    return assignment.trajectory(turns, info)


def _reflect(
    env: TextEnv, assignment: Assignment, observation: str, info: Info, rules: Rules, dice: dict[str, np.random.Generator]
) -> Generator[Question, Answer, Reflection]:
    if not rules.reflects:
        return Reflection(text="")
    with naming(assignment.place):
        hint = rules.hint(env, dice["teacher"]) if rules.hint else None
    answer = yield Situation(info["task_statement"], observation, hint, dice["reflection"])
    assert isinstance(answer, Reflection)
    suggestion = suggested_command(answer.text, info["admissible_commands"])
    return Reflection(answer.text, answer.token_ids, answer.log_probs, answer.finished, suggestion)


def reflection_ids(reflection: Reflection, rules: Rules) -> Sequence[int] | None:
    """A reflection as ids of the policy's vocabulary; None when nobody reflects."""
    if not rules.reflects:
        return None
    if rules.shares_tokens and reflection.token_ids:
        return reflection.token_ids
    return rules.prompts.encode(reflection.text) if reflection.text else ()


def choose(log_probs: np.ndarray, uniform: float, *, greedy: bool) -> int:
    """Index drawn from ``log_probs`` (nats) by one uniform number in [0, 1), or the most probable one."""
    if greedy:
        return int(log_probs.argmax())
    cumulative = np.exp(log_probs).cumsum()
    return min(int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right")), len(log_probs) - 1)


def play(env: TextEnv, assignment: Assignment, rules: Rules, policy: Policy, reflection: ReflectionPlayer | None) -> Trajectory:
    """Play one trajectory, one question at a time."""
    running = script(env, assignment, rules)
    try:
        question = next(running)
        while True:
            if isinstance(question, Decision):
                question = running.send(policy.judge([question], temperature=rules.policy_temperature)[0])
            else:
                assert reflection is not None
                question = running.send(reflection.reflect([question])[0])
    except StopIteration as end:
        trajectory: Trajectory = end.value
        return trajectory
