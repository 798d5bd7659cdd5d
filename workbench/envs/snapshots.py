"""Snapshots may come from a file: what is wrong with one is said before anything is restored."""

from collections.abc import Mapping

SHOWN_CHARACTERS = 60


def shape_problem(snapshot: object, kinds: Mapping[str, tuple[type, ...]]) -> str | None:
    """What is wrong with a snapshot's entries, in a few words; None when all are there, of their types, and no others.

    Args:
        snapshot: What was handed to ``restore``.
        kinds: The types that each entry may have, exactly: True is no number of turns.
    """
    if not isinstance(snapshot, dict):
        return f"expected a dictionary, found {type(snapshot).__name__}"
    for key, kind in kinds.items():
        if key not in snapshot:
            return f"{key!r} is missing"
        if type(snapshot[key]) not in kind:
            return f"{key} is {repr(snapshot[key])[:SHOWN_CHARACTERS]}"
    if unknown := set(snapshot) - set(kinds):
        return f"unknown entry {min(map(str, unknown))[:SHOWN_CHARACTERS]!r}"
    return None
