"""How much annotation a design saves: the same fine-tuning on what each design chose, over budgets and seeds.

Label-efficient supervised fine-tuning (arXiv:2401.06692): a design chooses in one step, the chosen prompts are annotated, and the model
is fine-tuned once, from the same base weights. Within a budget all designs get the same number of optimizer steps, so that only the
choice differs. The studies are ``label_budget_states`` (which states get a teacher's reflection) and ``label_budget_instructions``.
"""

import csv
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pandas as pd

from workbench.errors import ConfigError, DataError, nearest
from workbench.evaluation.label_efficiency import KEYS, RANDOM, read_results
from workbench.seeding import generator
from workbench.selection.designs import Settings, choose
from workbench.selection.features import Features
from workbench.selection.inputs import Integers
from workbench.selection.pool import Pool


class Contestant(NamedTuple):
    """A design as the studies run it."""

    design: str
    """A key of ``selection.designs.DESIGNS``."""
    score: str | None = None
    shuffled: bool = False
    """Give every prompt the embedding of another one: a control that can know nothing."""


CONTESTANTS: dict[str, Contestant] = {
    RANDOM: Contestant("random"),
    "entropy": Contestant("top-k", "entropy-mean"),
    "min-margin": Contestant("top-k", "margin-max"),
    "k-center": Contestant("k-center"),
    "facility-location": Contestant("facility-location"),
    "facility-location-entropy": Contestant("facility-location", "entropy-mean"),
    "k-means": Contestant("k-means"),
    "even-per-task": Contestant("even-per-task"),
    "inverse-confidence": Contestant("inverse-confidence"),
    "shuffled": Contestant("facility-location", shuffled=True),
}
"""Names of the studies: every family of ``workbench select``, and facility location over shuffled embeddings."""


class Arena(Protocol):
    """One pool of one seed: what designs may see of it, and what their choice comes to."""

    @property
    def pool(self) -> Pool:
        """Prompts without labels."""

    @property
    def features(self) -> Features:
        """What the base model made of the prompts in one pass."""

    def measure(self, places: Sequence[int]) -> dict[str, float]:
        """Have ``places`` annotated, fine-tune the base model on them alone, and test it on what was held out."""

    def facts(self) -> dict[str, float]:
        """Numbers of the pool and its base model, before anything was annotated."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study: which pools, which budgets, and how an arena is made.

    Args:
        name: Of the study and its file of results.
        metric: The column that decides.
        pools: Names of its pools.
        budgets: Numbers of annotations, each twice the one before.
        prepare: Makes the arena of a pool and a seed.
    """

    name: str
    metric: str
    pools: tuple[str, ...]
    budgets: tuple[int, ...]
    prepare: Callable[[str, int], Arena]


def run_study(
    study: Study,
    path: Path,
    *,
    seeds: Sequence[int],
    designs: Sequence[str] = tuple(CONTESTANTS),
    pools: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    on_row: Callable[[Mapping[str, Any]], object] | None = None,
) -> pd.DataFrame:
    """Measure every design at every budget; rows that ``path`` holds already are not measured again.

    Seeds come one after the other, so that a study that is stopped has whole seeds. A seed draws all there is to draw: the pool, what
    is held out, the base model's weights, the random choice and the order of training.

    Args:
        study: What to run.
        path: CSV of results, a row per pool, design, budget and seed, appended as they come. Facts of the pools go beside it,
            into ``<name>-pools.csv``.
        seeds: Seeds to run.
        designs: Keys of ``CONTESTANTS``.
        pools: Some of the study's pools; None takes all.
        budgets: Other budgets than the study's.
        on_row: Called with each new row.

    Returns:
        Every row of the file.

    Raises:
        ConfigError: A design or pool is unknown.
        DataError: The file holds other columns, or a budget is larger than the pool.
    """
    for name in designs:
        if name not in CONTESTANTS:
            raise ConfigError(f"unknown design {name!r}; {nearest(name, CONTESTANTS)}")
    for name in pools or ():
        if name not in study.pools:
            raise ConfigError(f"the study {study.name} has no pool {name!r}; {nearest(name, study.pools)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    pool_path = path.with_name(f"{path.stem}-pools.csv")
    known = {tuple(row) for row in read_results(path)[list(KEYS)].itertuples(index=False)} if path.exists() else set()
    described = _described(pool_path)
    for seed in seeds:
        for name in pools or study.pools:
            keys = [(study.name, name, design, budget, seed) for budget in budgets or study.budgets for design in designs]
            missing = [key for key in keys if key not in known]
            if not missing:
                continue
            began = time.process_time()
            arena = study.prepare(name, seed)
            seen = {"study": study.name, "pool": name, "seed": seed, "prompts": len(arena.pool)}
            if (study.name, name, seed) not in described:
                add_row(pool_path, {**seen, **arena.facts(), "cpu_seconds": round(time.process_time() - began, 2)})
            for row in _measured(arena, missing):
                add_row(path, row)
                if on_row is not None:
                    on_row(row)
    return read_results(path)


def _measured(arena: Arena, keys: Sequence[tuple[str, str, str, int, int]]) -> Iterator[dict[str, Any]]:
    for key in keys:
        _, _, design, budget, seed = key
        began = time.process_time()
        places = chosen_places(arena.pool, arena.features, design, budget, seed=seed)
        chosen = time.process_time()
        found = arena.measure(places.tolist())
        seconds = {"select_cpu_seconds": round(chosen - began, 3), "measure_cpu_seconds": round(time.process_time() - chosen, 2)}
        tasks = len({arena.pool.tasks[place] for place in places}) if arena.pool.tasks is not None else 1
        yield {**dict(zip(KEYS, key, strict=True)), **found, "tasks_chosen": tasks, **seconds}


def chosen_places(pool: Pool, features: Features, name: str, budget: int, *, seed: int) -> Integers:
    """What the contestant ``name`` chooses, in order; nothing but prompts, tasks and features is looked at.

    Raises:
        DataError: The budget does not suit the pool.
    """
    contestant = CONTESTANTS[name]
    if contestant.shuffled:
        order_N = generator(seed, "shuffled-embeddings").permutation(len(pool))
        features = replace(features, embeddings=features.embeddings[order_N])
    return choose(contestant.design, pool, features, budget, Settings(seed=seed, score=contestant.score)).indices


def add_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append a line to a CSV with a header; half a line that a killed process left is cut off first.

    Raises:
        DataError: The file's columns are others.
    """
    columns = list(row)
    _cut_half_line(path)
    if path.exists() and path.stat().st_size:
        with path.open(newline="", encoding="utf-8") as file:
            header = next(csv.reader(file))
        if header != columns:
            raise DataError(f"{path}: has columns {', '.join(header)}, but the rows have {', '.join(columns)}; name another file")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)


def _described(path: Path) -> set[tuple[str, str, int]]:
    """Study, pool and seed of every whole row of a table of pools."""
    if not path.exists():
        return set()
    _cut_half_line(path)
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["study"], row["pool"], int(row["seed"])) for row in csv.DictReader(file)}


def _cut_half_line(path: Path) -> None:
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def without_copies(prompts: Sequence[str], taken: Collection[str] = ()) -> list[int]:
    """Places of the first of every prompt that is not in ``taken``: nobody pays for the same label twice."""
    seen, places = set(taken), []
    for place, prompt in enumerate(prompts):
        if prompt not in seen:
            seen.add(prompt)
            places.append(place)
    return places
