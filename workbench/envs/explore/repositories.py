"""Synthetic repositories: small, natural, and different from one another in what they hold and where.

Domains, areas, topics and facts are data (``domains.yaml``). Every repository draws some of its domain's; a fact becomes
a file of code, text, data or shell that states it in its first line and refers to another file. Repositories share
words, so what is learned in some helps in others that were never seen.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import yaml

from workbench.envs.explore.files import render
from workbench.envs.explore.tasks import Question, Repository
from workbench.envs.explore.tree import build_tree
from workbench.seeding import generator

DEEPEST = 8
_WRAPPERS = ("src", "core", "modules", "parts", "inner", "base")
_VAGUE = ("notes", "settings", "main", "values", "misc", "general")
_ASIDE = ("archive", "docs", "tools", "drafts")
_ASIDE_FILES = ("readme.md", "todo.txt", "history.txt", "setup.sh")
_CODE = {"firmware": ".c", "game-studio": ".cpp", "coffee-erp": ".java", "railway": ".go"}
_SUFFIXES = ((".md", ".txt", ".rst"), (".csv", ".json", ".yaml"), (".sh",))
_KIND_SHARES = (0.4, 0.25, 0.2, 0.15)
_QUESTIONS = (
    "Where is the {} set?",
    "Which file sets the {}?",
    "Tell me the {}.",
    "I need the {}.",
    "Who knows the {}?",
    "Somebody asks for the {}.",
)
QUESTIONS_PER_FILE = 2


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that one file of a repository states."""

    name: str
    thing: str
    unit: str
    topic: str


@dataclass(frozen=True, slots=True)
class _Place:
    fact: Fact
    folders: tuple[str, ...]
    file: str


@cache
def domains() -> dict[str, dict[str, dict[str, tuple[Fact, ...]]]]:
    """Facts by domain, area and topic."""
    return {
        domain: {area: {topic: _facts(topic, facts) for topic, facts in topics.items()} for area, topics in areas.items()}
        for domain, areas in _data()["domains"].items()
    }


@cache
def common_facts() -> tuple[Fact, ...]:
    """Facts for the root of any repository."""
    return _facts("the project", _data()["anywhere"])


def _data() -> dict[str, dict]:  # type: ignore[type-arg]  # YAML; the functions above give it types
    text = resources.files(__package__).joinpath("domains.yaml").read_text(encoding="utf-8")
    data: dict[str, dict] = yaml.safe_load(text)  # type: ignore[type-arg]
    return data


def _facts(topic: str, facts: dict[str, str]) -> tuple[Fact, ...]:
    parts = {name: text.partition(" | ") for name, text in facts.items()}
    return tuple(Fact(name, thing, unit, topic) for name, (thing, _, unit) in parts.items())


def generate_repository(number: int, *, seed: int, depth: int = 2, vague_names: float = 0.1, steady_suffixes: bool = False) -> Repository:
    """A repository; numbers go round the domains.

    Args:
        number: Which one, from 0.
        seed: Of everything drawn here, together with ``number``.
        depth: Folders above the deepest files, 0 to 8. Two are an area and a topic; further ones lie above some areas.
        vague_names: Share of files whose name tells nothing of what is in them.
        steady_suffixes: A fact's file has the same suffix in every repository.
    """
    names = tuple(domains())
    domain = names[number % len(names)]
    dice = generator(seed, "repository", number)
    places = _places(domain, depth, vague_names, dice, seed if steady_suffixes else None)
    paths = ["/".join((*place.folders, place.file)) for place in places]
    contents: dict[tuple[str, ...], tuple[str, str]] = {}
    questions: list[Question] = []
    for place, path in zip(places, paths, strict=True):
        value = int(dice.integers(2, 100))
        other = paths[int(dice.integers(len(paths)))]
        fact = place.fact
        contents[(*place.folders, place.file)] = (render(path, fact.name, fact.thing, value, fact.unit, other), "")
        for form in dice.permutation(len(_QUESTIONS))[:QUESTIONS_PER_FILE]:
            questions.append(Question(path, _QUESTIONS[form].format(fact.thing), f"{value} {fact.unit}", fact.topic))
    if depth:
        contents |= _aside(paths, dice)
    return Repository(f"{domain}-{number // len(names) + 1:02d}", build_tree(contents), tuple(questions))


def _places(domain: str, depth: int, vague_names: float, dice: np.random.Generator, suffix_seed: int | None) -> list[_Place]:
    """Which facts there are and where each lies; with a ``suffix_seed`` a fact's suffix is the same wherever it is found."""
    taken: set[tuple[str, ...]] = set()
    shared = common_facts()
    chosen = [((), shared[place]) for place in sorted(dice.permutation(len(shared))[: int(dice.integers(2, 4))])]
    areas = list(domains()[domain].items())
    order = dice.permutation(len(areas))[: int(dice.integers(3, len(areas) + 1))]
    found: list[tuple[tuple[str, ...], Fact]] = [*chosen]
    for rank, place in enumerate(order):
        area, topics = areas[int(place)]
        # Every other area lies below folders that only make the way longer.
        above = _WRAPPERS[: depth - 2] if depth > 2 and rank % 2 == 0 else ()
        names = list(topics)
        for index, topic in enumerate(dice.permutation(len(names))):
            # One topic of an area lies in the area itself, so that every depth has its share.
            folders = (*above, area) if index == 0 or depth == 1 else (*above, area, names[topic])
            facts = topics[names[topic]]
            kept = sorted(dice.permutation(len(facts))[: int(dice.integers(2, len(facts) + 1))])
            found += [(folders if depth else (), facts[number]) for number in kept]
    return [_Place(fact, folders, _file_name(fact, folders, domain, vague_names, taken, dice, suffix_seed)) for folders, fact in found]


def _file_name(
    fact: Fact,
    folders: tuple[str, ...],
    domain: str,
    vague_names: float,
    taken: set[tuple[str, ...]],
    dice: np.random.Generator,
    suffix_seed: int | None,
) -> str:
    suffix = _suffix(domain, dice if suffix_seed is None else generator(suffix_seed, "suffix", domain, fact.name))
    return _base_name(fact, folders, vague_names, taken, dice) + suffix


def _base_name(fact: Fact, folders: tuple[str, ...], vague_names: float, taken: set[tuple[str, ...]], dice: np.random.Generator) -> str:
    vague = [name for name in _VAGUE if (*folders, name) not in taken]
    is_vague = dice.random() < vague_names and bool(vague)
    name = vague[int(dice.integers(len(vague)))] if is_vague else fact.name
    taken.add((*folders, name))
    return name


def _suffix(domain: str, dice: np.random.Generator) -> str:
    kind = int(dice.choice(len(_KIND_SHARES), p=_KIND_SHARES))
    choices = (_CODE.get(domain, ".py"),) if kind == 0 else _SUFFIXES[kind - 1]
    return choices[int(dice.integers(len(choices)))]


def _aside(paths: list[str], dice: np.random.Generator) -> dict[tuple[str, ...], tuple[str, str]]:
    """A folder that answers nothing: its files only point to others."""
    folder = _ASIDE[int(dice.integers(len(_ASIDE)))]
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    for place in dice.permutation(len(_ASIDE_FILES))[: int(dice.integers(1, 3))]:
        name, other = _ASIDE_FILES[place], paths[int(dice.integers(len(paths)))]
        found[folder, name] = (f"# Nothing is set here.\nSee {other}\n", "")
    return found
