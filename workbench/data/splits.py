"""Which start states are for training, validation and the final evaluation: split by start state, never by row."""

from collections.abc import Sequence

from workbench.config import DataConfig
from workbench.envs.text_env import TextEnv
from workbench.errors import DataError
from workbench.seeding import generator

Splits = dict[str, tuple[str, ...]]


def split_tasks(env: TextEnv, config: DataConfig, *, seed: int) -> dict[str, Splits]:
    """Tasks of every stage by split: ``result[stage]["train" | "validation" | "test" | "all"]``.

    A task that exists in several stages falls into the same split in all of them, so that nothing of a held-out start
    state is seen in an easier stage. Tasks of one ``task_group`` stay together; the shares are shares of groups.

    Raises:
        DataError: A share asks for tasks but the environment has too few to give it any.
    """
    groups = {task: env.task_group(task) for stage in env.stages for task in env.tasks(stage)}
    every = list(dict.fromkeys(groups.values()))
    order = [every[place] for place in generator(seed, "splits").permutation(len(every))]
    counts = {"validation": round(len(every) * config.validation_share), "test": round(len(every) * config.test_share)}
    unit = "tasks" if len(every) == len(groups) else "groups of tasks"
    for split, share in (("validation", config.validation_share), ("test", config.test_share)):
        if share and not counts[split]:
            raise DataError(
                f"data.{split}_share={share} of {len(every)} {unit} is none; raise it, or set it to 0 and use evaluation.split=all"
            )
    split_of = dict.fromkeys(order, "train")
    split_of.update(dict.fromkeys(order[: counts["test"]], "test"))
    split_of.update(dict.fromkeys(order[counts["test"] : counts["test"] + counts["validation"]], "validation"))
    home = {task: split_of[group] for task, group in groups.items()}
    return {stage: _by_split(env.tasks(stage), home) for stage in env.stages}


def _by_split(tasks: Sequence[str], home: dict[str, str]) -> Splits:
    splits: Splits = {split: tuple(task for task in tasks if home[task] == split) for split in ("train", "validation", "test")}
    return {**splits, "all": tuple(tasks)}
