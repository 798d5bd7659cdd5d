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
    state is seen in an easier stage.

    Raises:
        DataError: A share asks for tasks but the environment has too few to give it any.
    """
    every = list(dict.fromkeys(task for stage in env.stages for task in env.tasks(stage)))
    order = [every[place] for place in generator(seed, "splits").permutation(len(every))]
    counts = {"validation": round(len(every) * config.validation_share), "test": round(len(every) * config.test_share)}
    for split, share in (("validation", config.validation_share), ("test", config.test_share)):
        if share and not counts[split]:
            raise DataError(
                f"data.{split}_share={share} of {len(every)} tasks is none; raise it, or set it to 0 and use evaluation.split=all"
            )
    home = dict.fromkeys(order, "train")
    home.update(dict.fromkeys(order[: counts["test"]], "test"))
    home.update(dict.fromkeys(order[counts["test"] : counts["test"] + counts["validation"]], "validation"))
    return {stage: _by_split(env.tasks(stage), home) for stage in env.stages}


def _by_split(tasks: Sequence[str], home: dict[str, str]) -> Splits:
    splits: Splits = {split: tuple(task for task in tasks if home[task] == split) for split in ("train", "validation", "test")}
    return {**splits, "all": tuple(tasks)}
