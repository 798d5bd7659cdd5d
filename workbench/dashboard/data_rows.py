"""What the Data page reads and draws: examples, training rows as the trainer makes them, and their tokens."""

import html
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from workbench.config import load_config
from workbench.dashboard.cache import Stamp, stamp
from workbench.data.generate import Example
from workbench.data.light_tokenizer import LightTokenizer
from workbench.data.sets import EXAMPLES_FILE, Row, policy_row, read_examples, reflection_row
from workbench.errors import DataError
from workbench.prompts import PromptBuilder
from workbench.store.checkpoints import list_checkpoints
from workbench.store.layout import RunPaths

_NO_LIMIT = 10**9


def examples(paths: RunPaths) -> tuple[Example, ...]:
    """The examples of a run in their order.

    Raises:
        DataError: The file is damaged.
    """
    return _examples(str(paths.data), stamp(paths.data / EXAMPLES_FILE))


@st.cache_resource(max_entries=4, show_spinner="Reading the examples …")
def _examples(folder: str, changed: Stamp) -> tuple[Example, ...]:
    return tuple(read_examples(Path(folder)))


def tokenizer_folder(paths: RunPaths) -> Path:
    """Where the policy's tokenizer is: beside its weights, or what the phase generate trained.

    Raises:
        DataError: The run has no checkpoint with one yet.
    """
    for checkpoint in reversed(list_checkpoints(paths)):
        for name in ("policy", "tokenizer"):
            if (checkpoint.path / name / "tokenizer.json").is_file():
                return checkpoint.path / name
    raise DataError(f"run {paths.run_id} has no checkpoint with a tokenizer yet")


@st.cache_resource(max_entries=4, show_spinner=False)
def _tokenizer(folder: str, changed: Stamp) -> LightTokenizer:
    return LightTokenizer(Path(folder))


def training_row(paths: RunPaths, name: str, example: Example, number: int) -> tuple[Row, LightTokenizer]:
    """An example of a set as token ids with their loss, by the functions that the trainer uses itself.

    Args:
        paths: The run.
        name: The set, such as ``sft_policy``.
        example: The example.
        number: Its number, which its labels are drawn from.

    Raises:
        DataError: There is no tokenizer, or the reflection is too long.
        WorkbenchError: The run's configuration cannot be read.
    """
    config = load_config(paths.config)
    folder = tokenizer_folder(paths)
    tokenizer = _tokenizer(str(folder), stamp(folder / "tokenizer.json"))
    context = config.policy.tiny.n_positions if config.policy.model == "tiny" else config.policy.max_prompt_tokens or _NO_LIMIT
    if name.startswith("sft_reflection"):
        if tokenizer.eos_token_id is None:
            raise DataError(f"{folder}: the tokenizer names no end-of-text token")
        longest = config.reflection.max_new_tokens
        prompts = PromptBuilder(tokenizer, context - longest)
        return reflection_row(example, prompts, tokenizer.eos_token_id, max_new_tokens=longest), tokenizer
    prompts = PromptBuilder(tokenizer, context - 1)
    thinks = name.startswith("sft_policy")
    return policy_row(example, number, prompts, config.data, seed=config.seed, with_reflection=thinks), tokenizer


def row_html(pieces: Sequence[str], carries_loss: Sequence[bool]) -> str:
    """Tokens in order, escaped, a line between them, those that carry loss on a coloured ground."""
    spans = []
    for piece, marked in zip(pieces, carries_loss, strict=True):
        ground = "background: rgba(230, 159, 0, 0.45); font-weight: 600;" if marked else ""
        text = html.escape(piece).replace("\n", "↵\n")
        spans.append(f'<span style="border-right: 1px solid rgba(138, 138, 138, 0.45); {ground}">{text}</span>')
    style = "white-space: pre-wrap; overflow-wrap: anywhere; font-family: monospace; line-height: 1.7;"
    return f'<div style="{style}">{"".join(spans)}</div>'


def example_table(every: Sequence[Example], numbers: Sequence[int]) -> pd.DataFrame:
    """A row per example."""
    return pd.DataFrame(
        [
            {
                "number": number,
                "kind": one.kind,
                "stage": one.stage,
                "split": one.split,
                "task": one.task,
                "turn": one.turn,
                "wrong move": one.mistake or "",
                "taught": one.oracle_command,
                "reflection": one.reflection,
            }
            for number in numbers
            for one in [every[number]]
        ]
    )
