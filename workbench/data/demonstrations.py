"""What a person chose, as training rows: the same text form as the SFT sets of a run."""

import json
from collections.abc import Sequence
from pathlib import Path

from workbench.errors import DataError
from workbench.prompts import policy_text
from workbench.records import Trajectory, Turn
from workbench.store.files import write_whole, writing
from workbench.store.layout import RunPaths

KIND = "demonstration"


def demonstration_rows(trajectory: Trajectory, turns: Sequence[Turn]) -> list[dict[str, object]]:
    """Prompt and completion of every turn, in the form of the ``sft_policy`` set (TRL's prompt/completion form).

    Args:
        trajectory: Where the turns are from.
        turns: Those that a person chose, with the reflection and the labels that were shown.
    """
    rows: list[dict[str, object]] = []
    for turn in turns:
        prompt = policy_text(
            trajectory.task_statement, turn.observation, turn.reflection.text or None, turn.admissible_commands, turn.labels
        )
        facts = {"kind": KIND, "split": "train", "stage": trajectory.stage, "task": trajectory.task, "state_key": turn.state_key}
        rows.append({"prompt": prompt, "completion": turn.labels[turn.chosen_index], **facts, "command": turn.command, "turn": turn.index})
    return rows


def write_demonstration(paths: RunPaths, trajectory: Trajectory, turns: Sequence[Turn]) -> Path:
    """Write a demonstration into the run's ``demonstrations/``: its rows, whole or not at all; gives the file.

    Raises:
        DataError: There is no turn to show.
        StoreError: The folder cannot be written.
    """
    if not turns:
        raise DataError("a demonstration needs at least one command that a person chose; play one, then save")
    path = paths.demonstrations / f"{trajectory.trajectory_id.removeprefix('branch-')}.jsonl"
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in demonstration_rows(trajectory, turns))
    with writing(paths.folder):
        paths.demonstrations.mkdir(exist_ok=True)
        write_whole(path, lines.encode("utf-8", "replace"))
    return path
