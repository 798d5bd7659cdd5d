"""Does a run hold trained players? Told from its folders, without loading any."""

from workbench.store.layout import RunPaths

_ROLES = ("policy", "reflection")
"""Folders of a checkpoint that hold a player's weights."""


def has_players(paths: RunPaths) -> bool:
    """True once the run has a checkpoint of either player, so that another run can start from it."""
    try:
        return any(next(paths.checkpoints.glob(f"*/[0-9]*/{role}"), None) is not None for role in _ROLES)
    except OSError:
        return False
