"""An outside chat model in both players' place, with the paper's in-context prompt: analyse, then choose (Reflect-RL, section 7).

It meets the same tasks under the same metrics as a trained policy. What the connection spoils is no failure of the model: a
trajectory whose request failed at every try is counted apart, and the rate is given both without it and with it as a failure.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from workbench.envs.breakage import naming
from workbench.envs.text_env import TextEnv
from workbench.errors import EndpointError
from workbench.evaluation.evaluate import Evaluation
from workbench.evaluation.statistics import wilson_interval
from workbench.instructions import Messages, analysis_messages, choice_messages, chosen_command, clean_answer
from workbench.models.endpoint import Completion, Passing
from workbench.prompts import Label, assign_labels, label_candidates, suggested_command
from workbench.records import Reflection, Trajectory, Turn
from workbench.rollout.play import Assignment
from workbench.seeding import derived_seed, generator

MAX_WORDS = 50
CHOICE_TRIES = 3
_AGAIN = "That was none of the labels. Answer with one label of the list, and nothing else."


class Chat(Protocol):
    """Anything that answers a conversation."""

    def complete(self, messages: Messages) -> Completion:
        """The answer.

        Raises:
            Passing: There is none this time, for no fault of the model.
            EndpointError: There will be none.
        """


class Played(NamedTuple):
    """One trajectory of an outside model."""

    trajectory: Trajectory
    invalid: bool
    """True when it ended because no answer was one of the labels."""


@dataclass(frozen=True, slots=True)
class OutsideEvaluation:
    """What an evaluation of an outside model found."""

    found: Evaluation
    """Over the trajectories that the connection let end."""
    api_failures: int
    """Trajectories that it did not."""
    invalid_choices: int
    """Trajectories that ended unsolved since the model named no label; they are failures of the task."""

    def values(self) -> dict[str, Any]:
        """The numbers of an evaluation line, with both ways of counting what the connection spoiled."""
        counted = wilson_interval(sum(one.success for one in self.found.trajectories), len(self.found.trajectories) + self.api_failures)
        return {
            **self.found.values(),
            "api_failures": self.api_failures,
            "success_rate_api_failures_counted": counted.rate,
            "invalid_choices": self.invalid_choices,
        }


def evaluate_outside(
    chat: Chat,
    make_env: Callable[[], TextEnv],
    assignments: Sequence[Assignment],
    *,
    concurrency: int,
    oracle_commands: bool = False,
    on_done: Callable[[], object] = lambda: None,
) -> OutsideEvaluation:
    """Play every assignment with an outside model, ``concurrency`` at once.

    Args:
        chat: The model.
        make_env: Makes one environment; each thread has its own.
        assignments: What to play.
        concurrency: Trajectories at once; no effect on what each meets.
        oracle_commands: Note a best command beside every turn where the environment knows one.
        on_done: Called after each trajectory, in the thread that played it.

    Raises:
        EndpointError: The endpoint refuses, the budget is used up, or not a single trajectory came to its end.
        EnvError: The environment broke.
    """
    local, closing = threading.local(), threading.Event()

    def one(assignment: Assignment) -> Played | str | None:
        if closing.is_set():
            return None
        if not hasattr(local, "env"):
            local.env = make_env()
        try:
            return play_outside(local.env, assignment, chat, oracle_commands=oracle_commands)
        except Passing as failure:
            return str(failure)
        except BaseException:
            closing.set()
            raise
        finally:
            on_done()

    with ThreadPoolExecutor(concurrency, thread_name_prefix="outside") as threads:
        results = list(threads.map(one, assignments))
    played = [result for result in results if isinstance(result, Played)]
    failures = [result for result in results if isinstance(result, str)]
    if not played:
        raise EndpointError(
            f"no trajectory came to its end: {len(failures)} of {len(assignments)} met a failure of the API ({failures[-1]})"
        )
    trajectories = [result.trajectory for result in played]
    found = Evaluation(trajectories, wilson_interval(sum(trajectory.success for trajectory in trajectories), len(trajectories)))
    return OutsideEvaluation(found, len(failures), sum(result.invalid for result in played))


def play_outside(env: TextEnv, assignment: Assignment, chat: Chat, *, oracle_commands: bool = False) -> Played:
    """Play one trajectory; its turns have no probabilities, since an endpoint tells none.

    Raises:
        EndpointError: A request was not answered.
        EnvError: The environment broke; the message names the assignment's seed.
    """
    seed, turns = assignment.seed, list[Turn]()
    dice = generator(seed, "labels")
    with naming(assignment.place):
        observation, info = env.reset(seed=derived_seed(seed, "env"), options={"task": assignment.task, "stage": assignment.stage})
    over = invalid = False
    while not over and not invalid:
        commands = assignment.commands(info)
        labels = assign_labels([Label(text, -1) for text in label_candidates()], len(commands), dice)
        asked = analysis_messages(info["task_statement"], observation, max_words=MAX_WORDS)
        text = clean_answer(chat.complete(asked).text)
        command = _choose(chat, choice_messages(asked, text, commands, labels), commands, labels)
        if command is None:
            invalid = True
            break
        with naming(assignment.place):
            oracle = env.oracle() if oracle_commands else None
        turn = _turn(len(turns), observation, info["state_key"], commands, labels, command, Reflection(text=text), oracle)
        with naming(assignment.place):
            observation, reward, terminated, truncated, info = env.step(command)
        over = terminated or truncated
        turns.append(replace(turn, reward=reward, terminated=terminated, truncated=truncated))
    return Played(assignment.trajectory(turns, info), invalid)


def _choose(chat: Chat, asked: Messages, commands: Sequence[str], labels: Sequence[Label]) -> str | None:
    for _ in range(CHOICE_TRIES):
        answer = chat.complete(asked).text
        command = chosen_command(answer, commands, labels)
        if command is not None:
            return command
        asked = [*asked, {"role": "assistant", "content": clean_answer(answer)}, {"role": "user", "content": _AGAIN}]
    return None


def _turn(
    index: int,
    observation: str,
    state_key: str,
    commands: tuple[str, ...],
    labels: Sequence[Label],
    command: str,
    reflection: Reflection,
    oracle: Sequence[str] | None,
) -> Turn:
    unknown = float("nan")
    return Turn(
        index=index,
        observation=observation,
        state_key=state_key,
        admissible_commands=commands,
        labels=tuple(label.text for label in labels),
        probabilities=(unknown,) * len(commands),
        command=command,
        reflection=replace(reflection, suggested_command=suggested_command(reflection.text, commands)),
        prompt_token_ids=(),
        label_token_ids=(),
        log_prob=unknown,
        reward=0.0,
        terminated=False,
        truncated=False,
        oracle_command=oracle[0] if oracle else None,
    )
