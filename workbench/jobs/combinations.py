"""The configurations of a sweep: every combination of the values of some settings. No torch."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from workbench.config import RunConfig, apply_overrides
from workbench.errors import ConfigError

MOST_COMBINATIONS = 1000


class Combination(NamedTuple):
    """One of a sweep's configurations."""

    over: dict[str, str]
    """The swept settings, as ``--set`` reads their values."""
    config: RunConfig

    def told(self) -> str:
        """The swept settings in a line."""
        return " ".join(f"{key}={value}" for key, value in self.over.items()) or self.config.preset


def combinations(base: RunConfig, over: Sequence[str]) -> list[Combination]:
    """Every combination of the values of ``over`` (``a.b=1,2,3``), the last setting changing fastest.

    Example:
        >>> [one.told() for one in combinations(RunConfig(), ["seed=0,1", "rl.gamma=0.9,1"])]
        ['seed=0 rl.gamma=0.9', 'seed=0 rl.gamma=1', 'seed=1 rl.gamma=0.9', 'seed=1 rl.gamma=1']

    Raises:
        ConfigError: A setting is unknown, a value is refused or given twice, or the combinations are too many.
    """
    values: dict[str, list[str]] = {}
    for text in over:
        key, equals, listed = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(f"--over {text!r} is not of the form a.b=value,value")
        if key in values:
            raise ConfigError(f"--over {key} is given twice; list all its values in one, --over {key}={','.join(values[key])},…")
        values[key] = _split(listed, key)
    count = 1
    for listed_values in values.values():
        count *= len(listed_values)
    if count > MOST_COMBINATIONS:
        raise ConfigError(f"--over makes {count} runs, more than {MOST_COMBINATIONS}; name fewer values")
    found = []
    for chosen in itertools.product(*values.values()):
        own = dict(zip(values, chosen, strict=True))
        found.append(Combination(own, apply_overrides(base, [f"{key}={value}" for key, value in own.items()])))
    for place, one in enumerate(found):
        same = next((other for other in found[:place] if other.config == one.config), None)
        if same is not None:
            raise ConfigError(f"--over: {same.told()!r} and {one.told()!r} are the same configuration; name each value once")
    return found


def _split(text: str, key: str) -> list[str]:
    """The values of a list; commas within brackets or quotes are part of a value."""
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += char
    values = [part.strip() for part in parts]
    if not all(values):
        raise ConfigError(f"--over {key}={text} holds an empty value; separate values by single commas")
    return values
