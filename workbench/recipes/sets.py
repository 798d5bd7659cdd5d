"""The generate phase of Reflect-RL: play for data, have it explained, write the SFT sets."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from workbench.config import RunConfig
from workbench.data.generate import Example, generate
from workbench.data.sets import write_sets
from workbench.data.splits import Splits
from workbench.data.teach import explain, fit_reflections, open_tutor
from workbench.data.teacher_play import TeacherPlay, play_with_teacher
from workbench.data.teachers import make_teacher
from workbench.data.teachers.base import Tutor
from workbench.data.teachers.endpoint import Watch, never
from workbench.data.teachers.outside import OutsideTutor
from workbench.envs.catalog import make_env
from workbench.envs.text_env import TextEnv
from workbench.models.loading import load_tokenizer
from workbench.models.spending import Spending
from workbench.models.tokenizer import train_tokenizer
from workbench.prompts import MARKERS, single_token_labels
from workbench.recipes.scope import must_play


def make_sets(
    config: RunConfig,
    env: TextEnv,
    tasks: dict[str, Splits],
    folder: Path,
    *,
    on_progress: Callable[[int], object] | None = None,
    should_stop: Callable[[], bool] = never,
    watch: Watch | None = None,
) -> tuple[list[Example], PreTrainedTokenizerBase]:
    """Play for data, have it explained, and write the SFT sets into ``folder``; gives the examples and the policy's tokenizer.

    What is played does not depend on the teacher. An endpoint's answers are kept in ``folder`` as they come, so that a generation
    that was killed, stopped or out of budget goes on with what it has.

    Args:
        config: A run's configuration.
        env: The environment to play in.
        tasks: Tasks by stage and split.
        folder: Where everything is written.
        on_progress: Called with 1 after every trajectory.
        should_stop: True ends the work of an endpoint gracefully.
        watch: Told how far an endpoint is and what was spent.

    Raises:
        RunStopped: A stop was asked for.
        WorkbenchError: The environment, the teacher or the disk does not play along.
    """
    must_play(config)
    rules = make_teacher(env)
    with open_tutor(config, rules, folder, should_stop=should_stop, watch=watch) as tutor:
        own = _teacher_play(config, tutor, tasks)
        played = generate(env, tasks, rules, config.data, seed=config.seed, on_progress=on_progress, paths=own.paths)
        examples = explain(played, tutor) + own.examples
        facts = {"seed": config.seed, "environment": config.env.name, **tutor.facts(), "groups_in_two_splits": _shared_groups(env, tasks)}
        if config.data.teacher.trajectories:
            facts["teacher_trajectories"] = own.outcomes
    tokenizer = tokenizer_for(examples, config)
    if config.data.teacher.kind != "rules":
        examples, facts["reflections_shortened"] = fit_reflections(
            examples, lambda text: len(tokenizer.encode(text, add_special_tokens=False)), config.reflection.max_new_tokens - 1
        )
    write_sets(folder, examples, single_token_labels(tokenizer), config.data, seed=config.seed, facts=facts)
    return examples, tokenizer


def tokenizer_for(examples: list[Example], config: RunConfig) -> PreTrainedTokenizerBase:
    """The policy's tokenizer: trained on these examples for ``tiny``, loaded otherwise."""
    if config.policy.model != "tiny":
        return load_tokenizer(config.policy.model)
    statements = {example.task_statement for example in examples}
    constant = [f"{statement}\n" for statement in statements] if len(statements) == 1 else []
    texts = [f"{example.observation}\n" for example in examples] + [example.reflection for example in examples]
    texts += [f"{statement}\n" for statement in statements if not constant]
    texts += [f" {command}\n" for example in examples for command in example.commands]
    tiny = config.policy.tiny
    return train_tokenizer(texts, whole=[*constant, *MARKERS], vocab_size=tiny.vocab_size, pieces=tiny.pieces)


def _teacher_play(config: RunConfig, tutor: Tutor, tasks: dict[str, Splits]) -> TeacherPlay:
    settings = config.data.teacher
    if not settings.trajectories or not isinstance(tutor, OutsideTutor):
        return TeacherPlay([], [], {})
    return play_with_teacher(
        tutor.source,
        partial(make_env, config.env.name, **config.env.options),
        tasks,
        settings,
        max_words=tutor.max_words,
        seed=config.seed,
        first_number=config.data.trajectories + config.data.negatives,
    )


def _shared_groups(env: TextEnv, tasks: dict[str, Splits]) -> int:
    """Groups of tasks (a repository, a room) that more than one split holds: leakage, if there were any."""
    homes: dict[str, set[str]] = {}
    for splits in tasks.values():
        for split in ("train", "validation", "test"):
            for task in splits[split]:
                homes.setdefault(env.task_group(task), set()).add(split)
    return sum(len(found) > 1 for found in homes.values())


@contextmanager
def asking_bar(beat: Callable[[str, int, int], object] | None = None, *, show: bool) -> Iterator[Watch]:
    """A progress bar of requests with what was spent so far; it appears with the first request.

    Args:
        beat: Told the phase, how many requests are answered and how many there are: a run's heartbeat.
        show: False draws nothing.
    """
    bar: tqdm[Any] | None = None

    def watch(done: int, total: int, spending: Spending) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(desc="teacher", unit="request", disable=not show, dynamic_ncols=True)
        bar.total = total
        bar.set_postfix_str(spending.told(), refresh=False)
        bar.update(done - bar.n)
        if beat is not None:
            beat("generate", done, total)

    try:
        yield watch
    finally:
        if bar is not None:
            bar.close()
