"""What the tokens of worked solutions were worth: sums against the logged loss, alignments, and how errors fade. Pure functions, no torch.

They read the tables of ``store/solution_tokens.py``: one row a token.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from rapidfuzz.distance import Levenshtein

TERMS = {"loss/total": "contribution", "loss/rl": "rl_contribution", "loss/imitation": "imitation_contribution"}
"""Logged metrics of an update, and the column whose sum each is."""
RELATIVE, ABSOLUTE = 1e-4, 1e-6
"""How far a sum of single numbers may be from what was logged: both are float32 sums, in different orders."""


class Aligned(NamedTuple):
    """A column of an alignment: a token of the original beside one of the rewrite; None where one has none."""

    original: int | None
    rewrite: int | None
    kept: bool
    """Whether both are the same token."""


def aligned(original_ids: Sequence[int], rewrite_ids: Sequence[int]) -> list[Aligned]:
    """Two token sequences side by side along a shortest sequence of edits.

    Example:
        >>> [tuple(column) for column in aligned([1, 2, 3], [1, 9, 3, 4])]
        [(0, 0, True), (1, 1, False), (2, 2, True), (None, 3, False)]
    """
    columns: list[Aligned] = []
    for edit in Levenshtein.opcodes(list(original_ids), list(rewrite_ids)):
        left, right = range(edit.src_start, edit.src_end), range(edit.dest_start, edit.dest_end)
        for place in range(max(len(left), len(right))):
            one, other = (own[place] if place < len(own) else None for own in (left, right))
            columns.append(Aligned(one, other, edit.tag == "equal"))
    return columns


def visited(tokens: pd.DataFrame) -> pd.DataFrame:
    """``tokens`` with ``visit``: 0 where an update took a solution for the first time, 1 where it took it again."""
    return tokens.assign(visit=tokens.groupby(["sample", "side", "place"], sort=False).cumcount())


def solution_table(tokens: pd.DataFrame) -> pd.DataFrame:
    """A row per solution of an update and visit: its tokens, rewards and part of the loss.

    Args:
        tokens: All tokens of one table, with ``visit``.
    """
    original = tokens["side"] == "original"
    parts = tokens.assign(
        tokens=original.astype(int),
        edited=(original & tokens["is_edited"].eq(True)).astype(int),
        earned=tokens["reward"].where(original).fillna(0.0),
        lowest=tokens["reward"].where(original),
    )
    return (
        parts.groupby(["sample", "visit"], sort=True)
        .agg(
            problem_id=("problem_id", "first"),
            tokens=("tokens", "sum"),
            edited=("edited", "sum"),
            reward=("earned", "sum"),
            lowest_reward=("lowest", "min"),
            rl=("rl_contribution", "sum"),
            imitation=("imitation_contribution", "sum"),
            contribution=("contribution", "sum"),
        )
        .reset_index()
    )


def loss_check(tokens: pd.DataFrame, logged: Mapping[str, float]) -> pd.DataFrame:
    """For every part of the loss: the sum over the tokens of an update, what was logged, and whether they agree.

    Args:
        tokens: All tokens of the update.
        logged: Its metrics; those that are missing or no number are left out.

    Returns:
        Columns ``metric``, ``sum of tokens``, ``logged``, ``difference``, ``agrees``.
    """
    rows = []
    for metric, column in TERMS.items():
        said = logged.get(metric)
        if said is None or not math.isfinite(said):
            continue
        found = float(tokens[column].sum())
        agrees = abs(found - said) <= ABSOLUTE + RELATIVE * abs(said)
        rows.append({"metric": metric, "sum of tokens": found, "logged": float(said), "difference": found - said, "agrees": agrees})
    return pd.DataFrame(rows, columns=["metric", "sum of tokens", "logged", "difference", "agrees"])


def wrong_tokens(tokens: pd.DataFrame) -> pd.Series:
    """True for the tokens of originals that must change; where the true edit set is not known, for those that were punished."""
    original = tokens["side"] == "original"
    known = (tokens["is_edited"].notna() & original).groupby(tokens["sample"]).transform("any")
    wrong = tokens["is_edited"].eq(True).where(known, tokens["reward"] < 0)
    return wrong.astype(bool) & original


def fading(probes: pd.DataFrame, kinds: Mapping[int, str] | None = None) -> pd.DataFrame:
    """How likely the policy finds the wrong tokens of wrong solutions, and those that mend them, after more and more updates.

    Args:
        probes: Tokens of the solutions that are followed, of every update they were looked at.
        kinds: Of each sample, what to group by; samples that are not in it are left out. None groups by sample.

    Returns:
        A row per group, ``side`` and ``update``: ``probability``, the geometric mean over its tokens; ``tokens``, how many there are.
        ``side`` is ``original`` for the error and ``rewrite`` for what mends it.
    """
    chosen = probes[(wrong_tokens(probes) | ((probes["side"] == "rewrite") & probes["is_edited"].eq(True))).to_numpy()]
    group = chosen["sample"] if kinds is None else chosen["sample"].map(dict(kinds))
    logs = np.log(chosen["policy_prob"].astype(float).clip(lower=1e-12))
    found = (
        chosen.assign(group=group, log=logs)
        .dropna(subset=["group"])
        .groupby(["group", "side", "update"], sort=True)
        .agg(log=("log", "mean"), tokens=("log", "size"))
        .reset_index()
    )
    return found.assign(probability=np.exp(found["log"])).drop(columns="log")
