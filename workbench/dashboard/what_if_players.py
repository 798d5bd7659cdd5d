"""The one place where the app loads models: on a person's click, never before. Nothing is trained here."""

import streamlit as st

from workbench.rollout.what_if import Players
from workbench.store.checkpoints import Checkpoint, list_checkpoints, named_checkpoint
from workbench.store.layout import RunPaths

_KEY = "what_if_loaded"
_KEPT = 2
"""Loaded checkpoints that stay in memory."""


def wants(paths: RunPaths, checkpoint: str, device: str) -> bool:
    """Whether this session asked for these players, so that they are loaded now or are there already."""
    return st.session_state.get(_KEY) == (paths.run_id, checkpoint, device)


def ask_for(paths: RunPaths, checkpoint: str, device: str) -> None:
    """Note that this session wants these players."""
    st.session_state[_KEY] = (paths.run_id, checkpoint, device)


def forget() -> None:
    """Note that this session wants no players any more: they could not be loaded."""
    st.session_state.pop(_KEY, None)


def players(paths: RunPaths, checkpoint: str, device: str) -> Players:
    """The players of a run at a checkpoint, loaded once for all sessions.

    Raises:
        WorkbenchError: They cannot be loaded.
    """
    found = named_checkpoint(list_checkpoints(paths, role="policy"), checkpoint)
    with st.spinner(f"Loading PyTorch and the players of checkpoint {checkpoint.replace('/', ' ')} …", show_time=True):
        changed = found.path.stat().st_mtime_ns
        return _loaded(str(paths.folder.resolve()), found.name, device, changed, paths, found)


@st.cache_resource(max_entries=_KEPT, show_spinner=False)
def _loaded(folder: str, name: str, device: str, changed: int, _paths: RunPaths, _checkpoint: Checkpoint) -> Players:
    from workbench.recipes.what_if import open_players  # torch takes seconds, and no other page needs it

    return open_players(_paths, _checkpoint, device=device)
