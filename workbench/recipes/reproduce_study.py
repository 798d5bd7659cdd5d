"""What a study of a paper is: arms on worlds, how their runs follow from one another, which number is read, what the paper says.

A study is data. An *arm* is a preset with other settings; one that names a parent starts from the data and players of that arm's run
of the same world and seed, so that arms share data and warm-ups. `workbench reproduce` carries out any :class:`Study` in `STUDIES`.
No torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.config import RunConfig, apply_overrides, load_preset
from workbench.errors import ConfigError, nearest
from workbench.store.layout import RunPaths
from workbench.store.reader import Run


class Outcome(NamedTuple):
    """What one run got in one evaluation."""

    tasks: tuple[str, ...]
    """What was played or answered, in order; the same for every arm of a world and seed."""
    scores: NDArray[np.float64]
    """Of each task in [0, 1], repeated plays averaged, (tasks,)."""


Outcomes = Mapping[str, Outcome]
"""By measure."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of training, or a part of the work that several ways share."""

    name: str
    title: str
    settings: tuple[str, ...] = ()
    """Beside the world's, as ``--set`` takes them; ``phases`` has to be among them where there is a parent."""
    parent: str | None = None
    """Arm whose run gives data and players."""


@dataclass(frozen=True, slots=True)
class World:
    """Where the arms are compared."""

    name: str
    title: str
    presets: Mapping[str, str]
    """By scale."""
    settings: Mapping[str, tuple[str, ...]]
    """By scale, beside the preset's."""
    measures: Mapping[str, str]
    """What is measured, with its title: a stage, a test set."""
    arms: tuple[str, ...]
    """Those that are shown; what they start from is done as well."""
    seeds: int
    arm_settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of single arms in this world, after the arm's own."""


_Part = TypeVar("_Part", Arm, World)


class Known(NamedTuple):
    """A number of the paper as we know it."""

    world: str
    measure: str
    arm: str
    """Of the study, or any other name for a line that only the paper has."""
    value: float


class Claim(NamedTuple):
    """Something the paper leads one to expect."""

    better: str
    worse: str
    words: str


@dataclass(frozen=True, slots=True)
class Study:
    """A paper's comparison.

    Attributes:
        name: As on the command line.
        title: For people.
        reference: The arm that others are compared with.
        arms: In the order of the table; parents before their children.
        worlds: Where.
        read: The outcomes of a finished run.
        curve: Its learning curve: the score of validation by update.
        budget: What an arm was given, in words, by quantity, from the configurations of its line of runs, the first parent first.
        agents: Outcomes of agents that are not trained (random, oracle) on the tasks that a configuration is judged on, by agent.
        known: The paper's numbers.
        known_source: Where these come from and how far they can be trusted.
        claims: What is expected.
    """

    name: str
    title: str
    reference: str
    arms: tuple[Arm, ...]
    worlds: tuple[World, ...]
    read: Callable[[RunPaths], Outcomes]
    curve: Callable[[RunPaths], "pd.Series[float]"]
    budget: Callable[[Sequence[RunConfig]], Mapping[str, str]]
    agents: Callable[[RunConfig], Mapping[str, Outcomes]] | None = None
    known: tuple[Known, ...] = ()
    known_source: str = ""
    claims: tuple[Claim, ...] = ()

    def arm(self, name: str) -> Arm:
        """The arm of that name.

        Raises:
            ConfigError: There is none.
        """
        return self._named("arm", name, self.arms)

    def world(self, name: str) -> World:
        """The world of that name.

        Raises:
            ConfigError: There is none.
        """
        return self._named("world", name, self.worlds)

    def _named(self, kind: str, name: str, among: Sequence[_Part]) -> _Part:
        found = next((one for one in among if one.name == name), None)
        if found is None:
            raise ConfigError(f"{self.name} has no {kind} {name!r}; {nearest(name, [one.name for one in among])}")
        return found

    def with_parents(self, names: Sequence[str]) -> list[Arm]:
        """The arms of these names and all that they start from, parents first."""
        wanted: set[str] = set()
        for name in names:
            arm: Arm | None = self.arm(name)
            while arm is not None:
                wanted.add(arm.name)
                arm = self.arm(arm.parent) if arm.parent else None
        return [one for one in self.arms if one.name in wanted]

    def config(self, world: World, arm: Arm, *, scale: str, seed: int, overrides: Sequence[str] = ()) -> RunConfig:
        """The whole configuration of one run.

        Raises:
            ConfigError: A setting is refused, or the world has no such scale.
        """
        if scale not in world.presets:
            raise ConfigError(f"{self.name}: world {world.name} has no scale {scale!r}; it has {', '.join(world.presets)}")
        own = [*world.settings.get(scale, ()), *arm.settings, *world.arm_settings.get(arm.name, ()), *overrides]
        config = apply_overrides(load_preset(world.presets[scale]), [*own, f"seed={seed}"])
        name = f"{self.name}-{scale}-{world.name}-{arm.name}"
        return config.model_copy(update={"preset": name, "description": f"{self.title}, {world.title}: {arm.title}"})


def validation_curve(paths: RunPaths, *, phase: str) -> "pd.Series[float]":
    """Success on a run's validation tasks while ``phase`` went on, by update."""
    frame = Run(paths).evaluations()
    if "success_rate" not in frame:
        return pd.Series(dtype=float)
    own = frame[frame["phase"] == phase].dropna(subset=["success_rate"])
    return own.set_index("update")["success_rate"].astype(float)
