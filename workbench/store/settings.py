"""Settings of several runs side by side: what differs, and which runs differ in their seed only."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_NAMES = ("preset", "description")
"""Say what a configuration is called and change nothing."""


def flat(config: Mapping[str, Any], *, below: str = "") -> dict[str, str]:
    """Every setting by its dotted name, such as ``rl.learning_rate``, its value as JSON text.

    Example:
        >>> flat({"seed": 3, "env": {"name": "taxi", "options": {}}})
        {'seed': '3', 'env.name': '"taxi"', 'env.options': '{}'}
    """
    found: dict[str, str] = {}
    for key, value in config.items():
        name = f"{below}{key}"
        if isinstance(value, Mapping) and value:
            found.update(flat(value, below=f"{name}."))
        else:
            found[name] = json.dumps(value, ensure_ascii=False, default=str)
    return found


def changed(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str | None]]:
    """The settings that are not the same in all ``configs``: a value for each of them, None where one has no such setting."""
    flats = [flat(config) for config in configs]
    names = dict.fromkeys(name for one in flats for name in one)
    values = {name: [one.get(name) for one in flats] for name in names}
    return {name: found for name, found in values.items() if len(set(found)) > 1}


def groups_but_seed(configs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Places of ``configs`` in groups that differ in nothing but the seed and what they are called; in order of first appearance."""
    groups: dict[str, list[int]] = {}
    for place, config in enumerate(configs):
        settings = {name: value for name, value in flat(config).items() if name != "seed" and name not in _NAMES}
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(place)
    return list(groups.values())
