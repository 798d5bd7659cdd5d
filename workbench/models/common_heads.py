"""Prompts that begin alike: their common beginnings once, and what each has of its own.

Trajectories meet the same states again and again, and a prompt differs from another of the same state only from its list
of commands on. Keys and values of a beginning are then computed once for all that share it.
"""

from collections.abc import Sequence
from statistics import median_low
from typing import NamedTuple

TokenIds = tuple[int, ...]


class CommonHeads(NamedTuple):
    """Prompts in two parts; ``heads[head_of[row]] + tails[row]`` is the prompt of ``row``."""

    heads: list[TokenIds]
    """All different, none empty."""
    head_of: list[int]
    tails: list[TokenIds]
    """None empty."""

    @property
    def padded_tokens(self) -> int:
        """Tokens that are fed when heads and tails are each padded to their longest."""
        return len(self.heads) * max(map(len, self.heads)) + len(self.tails) * max(map(len, self.tails))


def common_heads(prompts: Sequence[TokenIds]) -> CommonHeads | None:
    """Split prompts where those that share at least half of themselves part; None when no two do.

    Example:
        >>> common_heads([(1, 2, 3, 4), (7, 8, 9), (1, 2, 3, 5)])
        CommonHeads(heads=[(1, 2, 3), (7, 8)], head_of=[0, 1, 0], tails=[(4,), (9,), (5,)])
    """
    shared = _shared_lengths(prompts)
    lengths = [length for length in shared if length]
    if not lengths:
        return None
    # One typical length for all keeps padding small; prompts with a beginning of their own are cut there too.
    usual = median_low(lengths)
    cuts = [min(length or len(prompt) - 1, usual) for length, prompt in zip(shared, prompts, strict=True)]
    places: dict[TokenIds, int] = {}
    head_of = [places.setdefault(prompt[:cut], len(places)) for prompt, cut in zip(prompts, cuts, strict=True)]
    return CommonHeads(list(places), head_of, [prompt[cut:] for prompt, cut in zip(prompts, cuts, strict=True)])


def _shared_lengths(prompts: Sequence[TokenIds]) -> list[int]:
    """For each prompt how many first tokens all of its kin share, one of each left over; 0 for a prompt without kin."""
    shared = [0] * len(prompts)
    kin: list[int] = []
    length = 0
    for row in sorted(range(len(prompts)), key=lambda row: prompts[row]):
        limit = min(length, len(prompts[row]) - 1) if kin else 0
        common = _common_length(prompts[kin[-1]], prompts[row], limit) if kin else 0
        if kin and 2 * common >= len(prompts[row]):
            kin.append(row)
            length = common
            for one in kin:
                shared[one] = length
        else:
            kin, length = [row], len(prompts[row]) - 1
    return shared


def _common_length(one: TokenIds, other: TokenIds, limit: int) -> int:
    for place in range(limit):
        if one[place] != other[place]:
            return place
    return limit
