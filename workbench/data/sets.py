"""The five SFT sets, as text for people (JSON lines and Parquet) and as token ids with exactly the loss that is meant.

=============================  ==========================================================  =======================
set                            prompt → completion                                         examples
=============================  ==========================================================  =======================
sft                            situation and list → label                                  positive and negative
sft_reflection                 situation → reflection and end-of-text                      positive and negative
sft_policy                     situation, reflection and list → label                      positive and negative
sft_reflection_positive        as sft_reflection                                           positive only
sft_policy_positive            as sft_policy                                               positive only
=============================  ==========================================================  =======================
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pyarrow
from pyarrow import parquet

from workbench.config import DataConfig
from workbench.data.generate import Example
from workbench.errors import DataError
from workbench.prompts import ACTION, Label, PromptBuilder, assign_labels, policy_text, reflection_text
from workbench.seeding import generator

SETS = ("sft", "sft_reflection", "sft_policy", "sft_reflection_positive", "sft_policy_positive")
EXAMPLES_FILE, CARD_FILE = "examples.jsonl", "card.json"
COLUMNS = ("prompt", "completion", "kind", "split", "stage", "task", "state_key")
IGNORED = -100
CARD_COMMANDS = 30


class Row(NamedTuple):
    """One training row: ``labels`` repeats the ids that carry loss and is -100 elsewhere."""

    input_ids: list[int]
    labels: list[int]


def taught_command(example: Example, config: DataConfig) -> str:
    """What the policy is taught to choose in this example; the noise is drawn from the example's place in the data."""
    if config.policy_label_noise:
        dice = generator(example.trajectory, "label-noise", example.turn, example.kind)
        if dice.random() < config.policy_label_noise:
            return example.commands[int(dice.integers(len(example.commands)))]
    return example.oracle_command if config.policy_labels == "oracle" else example.behaviour_command


def example_labels(example: Example, number: int, labels: Sequence[Label], *, seed: int) -> list[Label]:
    """The labels of the example's commands, shuffled by its number."""
    return assign_labels(labels, len(example.commands), generator(seed, "sft-labels", number))


def reflection_row(example: Example, prompts: PromptBuilder, eos_id: int, *, max_new_tokens: int) -> Row:
    """Prompt, reflection, end-of-text; the loss covers exactly the reflection and its end-of-text.

    Raises:
        DataError: The reflection is longer than the player may write.
    """
    prompt = prompts.reflection(example.task_statement, example.observation).token_ids
    answer = [*prompts.encode(example.reflection), eos_id]
    if len(answer) > max_new_tokens:
        raise DataError(f"a teacher's reflection has {len(answer)} tokens but reflection.max_new_tokens is {max_new_tokens}; raise it")
    return Row([*prompt, *answer], [IGNORED] * len(prompt) + answer)


def policy_row(
    example: Example, number: int, prompts: PromptBuilder, config: DataConfig, *, seed: int, with_reflection: bool, speaks: bool = False
) -> Row:
    """Prompt and label, or with ``speaks`` the whole command; the loss covers exactly that, and the :func:`line_answers` where wanted."""
    labels = example_labels(example, number, prompts.labels, seed=seed)
    ids = prompts.encode(example.reflection) if with_reflection else None
    prompt = prompts.policy(example.task_statement, example.observation, ids, example.commands, labels).token_ids
    taught = taught_command(example, config)
    answer = list(prompts.command(taught)) if speaks else [labels[example.commands.index(taught)].token_id]
    lines = [IGNORED] * len(prompt)
    if config.line_answers and not speaks:
        lines = line_answers(len(prompt), prompts, example.commands, answer[0], example.commands.index(taught))
    return Row([*prompt, *answer], lines + answer)


def line_answers(length: int, prompts: PromptBuilder, commands: Sequence[str], label: int, chosen: int) -> list[int]:
    """What is asked at the end of every listed command: its label if it is the one, and otherwise how ``# Action:`` begins.

    One label at the end of a prompt says little about where to look. Asked line by line, a model that starts from nothing learns to
    compare commands with the reflection in about a third of the steps. Nothing of it is fed: the prompt's own tokens stay.

    Args:
        length: Of the prompt, in tokens.
        prompts: Its builder.
        commands: Listed in it.
        label: Token of the chosen command's label.
        chosen: Its place in the list.

    Returns:
        A label per token of the prompt as ``transformers`` counts them (what is said after a line belongs to the next token).
    """
    other = prompts.encode(ACTION)[0]
    targets = [IGNORED] * length
    place = length - len(prompts.encode(ACTION))
    for number in reversed(range(len(commands))):
        targets[place] = label if number == chosen else other
        place -= 1 + len(prompts.encode(f" {commands[number]}\n"))
    return targets


def write_sets(
    folder: Path, examples: Sequence[Example], labels: Sequence[Label], config: DataConfig, *, seed: int, facts: dict[str, Any]
) -> None:
    """Write the examples, the five sets in TRL's prompt/completion form, and the data card (last: it vouches for the rest)."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / EXAMPLES_FILE, (example.as_json() for example in examples))
    for name in SETS:
        rows = list(_text_rows(name, examples, labels, config, seed))
        _write_lines(folder / f"{name}.jsonl", rows)
        _write_parquet(folder / f"{name}.parquet", rows)
    _write_text(folder / CARD_FILE, json.dumps({**data_card(examples, config), **facts}, indent=2) + "\n")


def read_examples(folder: Path) -> list[Example]:
    """The examples of a run.

    Raises:
        DataError: The file is missing or damaged.
    """
    path = folder / EXAMPLES_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Example(**{**values, "commands": tuple(values["commands"])}) for values in map(json.loads, lines)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}: the warm-up data cannot be read ({str(error).splitlines()[0]}); delete the folder's data/ and resume to make it again"
        ) from None


def data_card(examples: Sequence[Example], config: DataConfig) -> dict[str, Any]:
    """Counts by command, stage, kind and split, lengths, and whether any start state is in two splits.

    Where a world has more than ``CARD_COMMANDS`` commands they are counted by their first word.
    """
    homes: dict[str, set[str]] = {}
    for example in examples:
        homes.setdefault(example.task, set()).add(example.split)
    lengths = Counter(example.trajectory for example in examples if example.kind == "positive")
    negatives = Counter(example.turn for example in examples if example.kind == "negative")
    return {
        "examples": len(examples),
        "by_kind": dict(Counter(example.kind for example in examples)),
        "by_split": dict(Counter(example.split for example in examples)),
        "by_stage": dict(Counter(example.stage for example in examples)),
        "by_taught_command": _commands(Counter(taught_command(example, config) for example in examples)),
        "negatives_by_stage": dict(Counter(example.stage for example in examples if example.kind == "negative")),
        "negatives_by_turn": {str(turn): count for turn, count in sorted(negatives.items())},
        "trajectories": len(lengths),
        "trajectory_turns": _spread(list(lengths.values())),
        "reflection_characters": _spread([len(example.reflection) for example in examples]),
        "states": len({example.state_key for example in examples}),
        "reflection_characters_mean": round(sum(len(example.reflection) for example in examples) / max(1, len(examples)), 1),
        "tasks_in_two_splits": sum(len(splits) > 1 for splits in homes.values()),
    }


def _commands(counts: Counter[str]) -> dict[str, int]:
    if len(counts) <= CARD_COMMANDS:
        return dict(counts)
    verbs: Counter[str] = Counter()
    for command, count in counts.items():
        verbs[f"{command.partition(' ')[0]} …"] += count
    return dict(verbs)


def _spread(values: Sequence[int]) -> dict[str, float]:
    return {"min": min(values), "median": float(median(values)), "max": max(values)} if values else {}


def _text_rows(
    name: str, examples: Sequence[Example], labels: Sequence[Label], config: DataConfig, seed: int
) -> Iterable[dict[str, object]]:
    for number, example in enumerate(examples):
        if name.endswith("_positive") and example.kind != "positive":
            continue
        facts = {"kind": example.kind, "split": example.split, "stage": example.stage, "task": example.task, "state_key": example.state_key}
        if name.startswith("sft_reflection"):
            yield {"prompt": reflection_text(example.task_statement, example.observation), "completion": example.reflection, **facts}
            continue
        own = example_labels(example, number, labels, seed=seed)
        texts, thought = [label.text for label in own], example.reflection if name.startswith("sft_policy") else None
        prompt = policy_text(example.task_statement, example.observation, thought, example.commands, texts)
        yield {"prompt": prompt, "completion": texts[example.commands.index(taught_command(example, config))], **facts}


def _write_lines(path: Path, rows: Iterable[dict[str, object]]) -> None:
    _write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _write_parquet(path: Path, rows: Sequence[dict[str, object]]) -> None:
    schema = pyarrow.schema([(name, pyarrow.string()) for name in COLUMNS])
    part = path.with_name(f".{path.name}.part")
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), part, compression="zstd")
    os.replace(part, path)


def _write_text(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
