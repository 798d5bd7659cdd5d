"""Deleting runs: never a live one, never anything outside the run root."""

import secrets
import shutil
from pathlib import Path

from workbench.errors import RunBusyError, StoreError
from workbench.store.files import sync_folder, writing
from workbench.store.layout import find_run
from workbench.store.lock import RunLock
from workbench.store.status import LIVE, effective, read_status

_GONE = ".gone-"


def delete_run(root: Path | str, name: str) -> None:
    """Remove a run's folder and everything in it, for good.

    The folder leaves the lists at once and whole; what a killed process had not yet removed, the next call removes.
    Links inside the folder are removed, what they lead to is not.

    Args:
        root: The run root.
        name: A run id; a path is refused, and so is a link.

    Raises:
        RunBusyError: The run is live.
        StoreError: There is no such run below ``root``, the folder is foreign or damaged, or it cannot be removed.
    """
    root = Path(root)
    paths = find_run(root, name, allow_paths=False)
    with RunLock(paths):  # no process can take the run up meanwhile
        state = effective(read_status(paths.status), paths.run_id)["state"]
        if state in LIVE:
            raise RunBusyError(f"run {paths.run_id} is {state} and is not deleted; stop it first with `workbench stop {paths.run_id}`")
        with writing(root):
            paths.folder.rename(root / f"{_GONE}{secrets.token_hex(8)}")
            sync_folder(root)
    _sweep(root, paths.run_id)


def _sweep(root: Path, run_id: str) -> None:
    for folder in root.glob(f"{_GONE}*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:  # another process sweeps, too
            continue
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(f"run {run_id} is off the list, but files of it stay in {folder}: {reason}; remove them by hand") from None
