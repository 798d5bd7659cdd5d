"""Which examples a warm-up learns from, and with whose reflections."""

from collections.abc import Sequence
from dataclasses import replace

from workbench.config import DataConfig
from workbench.data.generate import Example
from workbench.errors import ConfigError
from workbench.seeding import generator

Numbered = tuple[int, Example]
"""An example and its place in the run's data."""


def warm_up_examples(examples: Sequence[Example], config: DataConfig, *, seed: int) -> list[Numbered]:
    """Those of training that ``config`` wants, in the order of the data; both players learn from the same ones.

    Raises:
        ConfigError: There are fewer than ``data.warm_up_rows`` asks for.
    """
    wanted = [
        (number, example)
        for number, example in enumerate(examples)
        if example.split == "train" and (config.warm_up_kinds == "all" or example.kind == "positive")
    ]
    count = config.warm_up_rows
    if count is None:
        return wanted
    if count > len(wanted):
        raise ConfigError(f"data.warm_up_rows={count}, but there are {len(wanted)} such examples; lower it or raise data.trajectories")
    drawn = generator(seed, "warm-up-rows").permutation(len(wanted))[:count]
    return [wanted[place] for place in sorted(int(place) for place in drawn)]


def with_other_reflections(examples: Sequence[Numbered], *, seed: int) -> list[Numbered]:
    """The same examples, each with the reflection of another one; every reflection is used once, none where it belongs.

    For the control of shuffled reflections: a policy that was taught with true ones would trust what it is then told wrongly.
    """
    order = [int(place) for place in generator(seed, "shuffled-warm-up").permutation(len(examples))]
    found = list(examples)
    for place, other in zip(order, [*order[1:], *order[:1]], strict=True):
        number, example = examples[place]
        found[place] = (number, replace(example, reflection=examples[other][1].reflection))
    return found
