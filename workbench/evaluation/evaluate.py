"""Success over many trajectories of one stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import ConfigError
from workbench.evaluation.statistics import wilson_interval
from workbench.records import Interval, Trajectory
from workbench.rollout.collect import Collector
from workbench.rollout.play import Assignment
from workbench.seeding import derived_seed, generator


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found."""

    trajectories: list[Trajectory]
    success: Interval

    def values(self) -> dict[str, float | int | str]:
        """The numbers of an evaluation line: rate and interval, mean reward and length, and how turns were chosen."""
        return {
            "success_rate": self.success.rate,
            "low": self.success.low,
            "high": self.success.high,
            "trajectories": len(self.trajectories),
            "successes": sum(trajectory.success for trajectory in self.trajectories),
            **summary(self.trajectories),
        }


def summary(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """Means over a batch: reward and length per trajectory, agreement with suggestion and oracle per turn."""
    turns = [turn for trajectory in trajectories for turn in trajectory.turns]
    suggested = [turn.command == turn.reflection.suggested_command for turn in turns if turn.reflection.suggested_command is not None]
    right = [turn.reflection.suggested_command == turn.oracle_command for turn in turns if turn.oracle_command is not None]
    result = {
        "mean_reward": float(np.mean([trajectory.total_reward for trajectory in trajectories])),
        "mean_length": float(np.mean([len(trajectory.turns) for trajectory in trajectories])),
    }
    if suggested:
        result["followed_suggestion"] = float(np.mean(suggested))
    if right:
        result["suggestion_is_oracle"] = float(np.mean(right))
    return result


def evaluate(
    collector: Collector,
    tasks: Sequence[str],
    *,
    stage: str,
    count: int,
    seed: int,
    temperature: float,
    phase: str,
    update: int,
    name: str = "",
    on_done: Callable[[Trajectory], object] | None = None,
) -> Evaluation:
    """Play ``count`` trajectories over ``tasks``, each task as often as any other up to one; their ids begin with ``name``, or the phase.

    Raises:
        ConfigError: There are no tasks.
    """
    assignments = assignments_for(tasks, stage=stage, count=count, seed=seed, phase=phase, update=update, name=name)
    trajectories = collector.collect(assignments, rules=replace(collector.rules, temperature=temperature), on_done=on_done)
    return Evaluation(trajectories, wilson_interval(sum(trajectory.success for trajectory in trajectories), count))


def evaluation_name(stage: str, stages: Sequence[str]) -> str:
    """What seeds the evaluation of ``stage`` at the end of a run; the last of the environment's ``stages`` goes without its name."""
    return "evaluate" if stage == stages[-1] else f"evaluate-{stage}"


def assignments_for(
    tasks: Sequence[str], *, stage: str, count: int, seed: int, phase: str, update: int, name: str = ""
) -> list[Assignment]:
    """What an evaluation plays, whoever plays it: the same tasks in the same order for the same seed.

    Raises:
        ConfigError: There are no tasks.
    """
    if not tasks:
        raise ConfigError(
            "there are no start states to evaluate on; raise data.test_share or data.validation_share, or use evaluation.split=all"
        )
    order: list[str] = []
    while len(order) < count:
        order += [tasks[place] for place in generator(seed, "evaluation-order", len(order)).permutation(len(tasks))]
    return [
        Assignment(
            f"{name or phase}-{update:06d}-e{number:04d}", phase, update, order[number], stage, derived_seed(seed, "evaluation", number)
        )
        for number in range(count)
    ]
