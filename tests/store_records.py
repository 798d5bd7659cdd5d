"""Trajectories and runs made up for tests of what is stored and shown."""

import math
from pathlib import Path

from workbench.config import RunConfig
from workbench.records import Reflection, Trajectory, Turn
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import Run
from workbench.store.writer import RunWriter

COMMANDS = ("south", "north", "pickup")


def make_turn(index: int, *, suggested: str | None = "south", text: str = "The passenger is south of here", last: bool = False) -> Turn:
    """A turn that chooses ``south`` with probability 0.5, exact in float32."""
    return Turn(
        index=index,
        observation=f"taxi at row {index}",
        state_key=f"state-{index}",
        admissible_commands=COMMANDS,
        labels=("A", "B", "C"),
        probabilities=(0.5, 0.25, 0.25),
        command="south",
        reflection=Reflection(text, (5, 6, index), (-0.5, -0.25, -0.125), not last, suggested),
        prompt_token_ids=tuple(range(10 + index)),
        label_token_ids=(7, 8, 9),
        log_prob=math.log(0.5),
        reward=1.0 if last else -0.05,
        terminated=last,
        truncated=False,
        prompt_was_cut=index == 1,
        oracle_command="north" if index else None,
        value=None if index else 0.1,
        advantage=None if index else -0.3,
    )


def make_trajectory(
    number: int,
    *,
    update: int = 0,
    turns: int = 3,
    phase: str = "rl",
    stage: str = "full",
    success: bool = True,
    suggested: str | None = "south",
) -> Trajectory:
    """Trajectory ``<phase>-<update>-<number>``."""
    played = tuple(make_turn(index, suggested=suggested, last=index == turns - 1) for index in range(turns))
    name = f"{phase}-{update:06d}-{number:04d}"
    return Trajectory(name, phase, update, f"task-{number}", stage, number, "Deliver the passenger.", played, success)


def make_run(root: Path, preset: str = "taxi-smoke", *, state: str = "queued") -> RunPaths:
    """An empty run."""
    return create_run(root, RunConfig(preset=preset, seed=3), state=state)


def names(folder: Path) -> list[str]:
    """What a folder holds, sorted."""
    return sorted(path.name for path in folder.iterdir())


def ids(run: Run) -> list[str]:
    """Ids of the trajectories of a run, in the order of writing."""
    return list(run.trajectories()["trajectory_id"])[::-1]


def write_parts(target: RunWriter, first: int, last: int) -> None:
    """Write trajectories ``first`` to ``last``, each as a part of its own."""
    for number in range(first, last + 1):
        target.trajectories([make_trajectory(number)])
        target.flush()
