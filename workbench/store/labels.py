"""What people call their runs: a display name, tags, archived or not. A run works the same without.

They lie in a file of their own beside the run's, which nothing else reads: the folder keeps its id, and
``config.yaml`` stays what the run was started with.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace

from workbench.errors import StoreError
from workbench.store.files import json_bytes, read_json, write_whole, writing
from workbench.store.layout import RunPaths

NAME_CHARACTERS = 80
TAG_CHARACTERS = 30
TAGS = 20


@dataclass(frozen=True)
class Labels:
    """What a person has said about a run."""

    name: str = ""
    """Shown instead of the run id; empty for none."""
    tags: tuple[str, ...] = ()
    """Sorted, each once."""
    archived: bool = False
    """Left out of lists unless asked for."""


def read_labels(paths: RunPaths) -> Labels:
    """The labels of a run; what is missing, damaged or too long is left out or cut, and nothing is raised."""
    found = read_json(paths.labels) or {}
    name, tags = found.get("name"), found.get("tags")
    words = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return Labels(
        name=_plain(name)[:NAME_CHARACTERS] if isinstance(name, str) else "",
        tags=_tidy(tag[:TAG_CHARACTERS] for tag in words)[:TAGS],
        archived=found.get("archived") is True,
    )


def relabel(paths: RunPaths, *, name: str | None = None, tags: Iterable[str] | None = None, archived: bool | None = None) -> Labels:
    """Change some labels of a run, the others stay; gives all of them as they are now.

    Args:
        paths: The run folder.
        name: Display name in one line; empty takes it away.
        tags: All tags that the run has from now on.
        archived: Leave the run out of lists.

    Raises:
        StoreError: A name or tag is too long, there are too many tags, or the folder cannot be written.
    """
    labels = read_labels(paths)
    if name is not None:
        labels = replace(labels, name=_short(_plain(name), NAME_CHARACTERS, "name"))
    if tags is not None:
        tidy = tuple(_short(tag, TAG_CHARACTERS, "tag") for tag in _tidy(tags))
        if len(tidy) > TAGS:
            raise StoreError(f"run {paths.run_id}: {len(tidy)} tags are more than {TAGS}; take some away")
        labels = replace(labels, tags=tidy)
    if archived is not None:
        labels = replace(labels, archived=archived)
    values = {"name": labels.name, "tags": list(labels.tags), "archived": labels.archived}
    with writing(paths.folder):
        write_whole(paths.labels, json_bytes(values, indent=2))
    return labels


def _tidy(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({tag for one in tags if (tag := _plain(one))}))


def _plain(text: str) -> str:
    """``text`` in one line, without characters that show nothing or turn the line around."""
    return " ".join("".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text).split())


def _short(text: str, longest: int, what: str) -> str:
    if len(text) > longest:
        raise StoreError(f"the {what} {text[:longest]!r}… has {len(text)} characters; at most {longest} fit")
    return text
