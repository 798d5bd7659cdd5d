"""What an update plays, and what it learns from of what was played."""

from collections.abc import Sequence

from workbench.config import RLSettings
from workbench.records import Trajectory
from workbench.rollout.play import Assignment
from workbench.seeding import derived_seed, generator
from workbench.trainers.advantages import returns_to_go
from workbench.trainers.replay import Step


def assignments(settings: RLSettings, tasks: Sequence[str], stage: str, *, seed: int, phase: str, update: int) -> list[Assignment]:
    """What an update plays; it follows from the seed and the update's number alone.

    Tasks come in an endless pass, reshuffled each time. Where an algorithm compares trajectories, ``group_size`` of them in a row share
    task, world and labels, and differ in the dice of the players.

    Args:
        settings: How many trajectories, and whether in groups.
        tasks: To choose from.
        stage: Of the curriculum.
        seed: The run's.
        phase: Named in the trajectories' ids.
        update: Counted from 0.
    """
    size = settings.group_size if settings.grouped else 1
    groups = settings.trajectories_per_update // size
    return [
        Assignment(
            trajectory_id=f"{phase}-{update + 1:06d}-{place:04d}",
            phase=phase,
            update=update + 1,
            task=tasks[_shuffled_place(seed, stage, update * groups + place // size, len(tasks))],
            stage=stage,
            seed=derived_seed(seed, "trajectory", update, place // size),
            sample=place % size,
        )
        for place in range(groups * size)
    ]


def steps_of(trajectory: Trajectory, settings: RLSettings, *, number: int = 0) -> list[Step]:
    """The turns of the ``number``-th trajectory of an update as an algorithm takes them."""
    returns = returns_to_go([turn.reward for turn in trajectory.turns], gamma=settings.gamma)
    return [
        Step(
            prompt_token_ids=turn.prompt_token_ids,
            label_token_ids=turn.label_token_ids,
            chosen=turn.chosen_index,
            log_prob=turn.log_prob,
            return_to_go=value,
            baseline_key=f"{trajectory.stage} {turn.state_key}",
            reward=turn.reward,
            value=turn.value,
            trajectory=number,
            group=number // (settings.group_size if settings.grouped else 1),
            success=trajectory.success,
            command_token_ids=turn.command_token_ids,
            command_words=tuple(len(command.split()) for command in turn.admissible_commands) if turn.command_token_ids else (),
        )
        for turn, value in zip(trajectory.turns, returns, strict=True)
    ]


def _shuffled_place(seed: int, stage: str, number: int, count: int) -> int:
    """Place of the ``number``-th start's task in an endless pass over ``count`` tasks, reshuffled each time."""
    epoch, place = divmod(number, count)
    return int(generator(seed, "tasks", stage, epoch).permutation(count)[place])
