"""All repositories and tasks of one set of options, built once in a process and shared by every environment."""

import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

from workbench.envs.explore.blocks import ask_about, some_files
from workbench.envs.explore.reading import read_source
from workbench.envs.explore.repositories import generate_repository
from workbench.envs.explore.tasks import Repository, Task, easy, stages_of, tasks_of
from workbench.envs.explore.tree import build_tree
from workbench.errors import EnvError

LIBRARIES_KEPT = 8


@dataclass(frozen=True, slots=True)
class Shelf:
    """Which repositories and tasks are wanted; see ``AutoExplore`` for what each option means."""

    source: str
    repositories: int
    seed: int
    depth: int
    vague_names: float
    steady_suffixes: bool
    questions: str
    tasks_per_repository: int
    merge_first_two: bool
    commands_per_file: int


@dataclass(frozen=True, eq=False)
class Library:
    """Tasks by id, and ids by stage."""

    tasks: Mapping[str, Task]
    stages: Mapping[str, tuple[str, ...]]
    repositories: int


@lru_cache(maxsize=LIBRARIES_KEPT)
def library(shelf: Shelf) -> Library:
    """The library of ``shelf``; a folder is read on the first call in a process, and not again.

    Raises:
        EnvError: The source cannot be read, or there is nothing to ask about it.
    """
    if shelf.source == "generated":
        found = [
            generate_repository(
                number, seed=shelf.seed, depth=shelf.depth, vague_names=shelf.vague_names, steady_suffixes=shelf.steady_suffixes
            )
            for number in range(shelf.repositories)
        ]
    else:
        found = [_real(shelf)]
    if shelf.questions == "easy":
        found = [easy(repository) for repository in found]
    tasks = [task for repository in found for task in tasks_of(repository)[: shelf.tasks_per_repository]]
    if not tasks:
        raise EnvError(f"explore: there is nothing to ask about {shelf.source!r}; choose a folder with more text or source files")
    return Library({task.id: task for task in tasks}, stages_of(tasks, merge_first_two=shelf.merge_first_two), len(found))


def _real(shelf: Shelf) -> Repository:
    path = source_path(shelf.source)
    tree = build_tree(read_source(path), commands_per_file=shelf.commands_per_file)
    ask = some_files if shelf.questions == "easy" else ask_about
    questions = ask(tree, count=shelf.tasks_per_repository, depth=shelf.depth, seed=shelf.seed)
    name = path.name.split(".")[0] or "repository"
    return Repository(name, tree, questions)


def source_path(source: str) -> Path:
    """The folder or archive that ``source`` names: a path, ``stdlib`` or ``package:NAME``.

    Raises:
        EnvError: No such package, or it is a single file.
    """
    if source == "stdlib":
        return Path(sysconfig.get_paths()["stdlib"])
    if not source.startswith("package:"):
        return Path(source).expanduser()
    name = source.removeprefix("package:")
    # Looked for, not imported: importing would run its code.
    spec = PathFinder.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise EnvError(f"explore: source {source!r} names no installed package with a folder; install it or give a path")
    return Path(next(iter(spec.submodule_search_locations)))
