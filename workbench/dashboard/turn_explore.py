"""The file tree of AutoExplore as far as a trajectory has seen it, read from its observations."""

import html
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.records import Turn

_MOST_ENTRIES = 40
_INDENT = "   "


@dataclass
class SeenTree:
    """What is known of a repository.

    Attributes:
        here: The present folder's path, with a slash at its end; empty for the top.
        entries: Names in each folder whose listing was seen; those of folders end in a slash.
        read: Paths of files that were shown.
        chosen: Path of the file or folder that the present command names, if it names one here.
    """

    here: str = ""
    entries: dict[str, list[str]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    chosen: str = ""


def seen_tree(turns: Sequence[Turn]) -> SeenTree | None:
    """The tree after the last of ``turns`` was observed and before its command; None when it is of another world."""
    tree = SeenTree()
    for turn in turns:
        found = place_and_listing(turn.observation)
        if found is None:
            return None
        tree.here, names = found
        tree.entries[tree.here] = names
        tree.chosen = ""
        words = _words(turn.command)
        if len(words) == 2:
            tree.chosen = tree.here + words[1]
            if words[0] in ("cat", "head", "tail") and turn is not turns[-1]:
                tree.read.add(tree.chosen)
    return tree if turns else None


def place_and_listing(observation: str) -> tuple[str, list[str]] | None:
    """The folder and the names in it, from either form of the observation; None for another world's."""
    lines = observation.split("\n")
    if lines[0] == "# Working directory" and len(lines) >= 4 and lines[2] == "# Files":
        return lines[1], _words(lines[3])
    if lines[0].startswith("At: ") and len(lines) >= 2 and lines[1].startswith("Here:"):
        return lines[0].removeprefix("At: ").removeprefix("/"), _words(lines[1].removeprefix("Here:"))
    return None


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is not closed: the observation was cut, or is somebody else's
        return text.split()


def tree_html(tree: SeenTree) -> str:
    """The tree as lines of escaped HTML: the present folder is marked, files that were read are ticked, the chosen entry is framed."""
    rows = [_row("", "/ (top)", "", tree)]
    _add_rows(rows, tree, "", _INDENT)
    style = (
        "font-family: 'Source Code Pro', monospace; font-size: 0.86rem; line-height: 1.55; white-space: pre-wrap; overflow-wrap: anywhere;"
    )
    return f'<div style="{style}">{"".join(rows)}</div>'


def _add_rows(rows: list[str], tree: SeenTree, folder: str, indent: str) -> None:
    names = tree.entries.get(folder)
    if names is None:
        inner = sorted({path[len(folder) :].split("/")[0] + "/" for path in tree.entries if path.startswith(folder) and path != folder})
        names = [*inner, "…"]
    # What was visited is always there, however long the listing is.
    kept = [
        name for place, name in enumerate(names) if place < _MOST_ENTRIES or folder + name in tree.entries or folder + name in tree.read
    ]
    for name in kept:
        rows.append(_row(indent, name, folder + name, tree))
        if name.endswith("/") and any(path.startswith(folder + name) for path in tree.entries):
            _add_rows(rows, tree, folder + name, indent + _INDENT)
    if len(kept) < len(names):
        rows.append(f'<div style="opacity: 0.6;">{indent}… and {len(names) - len(kept)} more</div>')


def _row(indent: str, name: str, path: str, tree: SeenTree) -> str:
    style, mark = "", "  "
    if path == tree.here:
        style, mark = "background: rgba(86, 180, 233, 0.3); border-radius: 3px; font-weight: 600;", "▶ "
    elif path in tree.read:
        mark = "✓ "
    if tree.chosen and path.rstrip("/") == tree.chosen:
        style += " outline: 2px solid rgba(0, 114, 178, 0.8); border-radius: 3px;"
    faint = " opacity: 0.75;" if name.endswith("/") and path not in tree.entries and path else ""
    return f'<div style="{faint}">{indent}<span style="{style}">{mark}{html.escape(name)}</span></div>'
