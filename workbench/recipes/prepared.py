"""Runs that are made once and found again: notebooks that build on one another share them, in whichever order they are opened."""

import os
from pathlib import Path

from workbench.config import RunConfig, load_config
from workbench.errors import WorkbenchError
from workbench.recipes.execute import execute, prepare_run
from workbench.store.files import read_json
from workbench.store.layout import RunPaths, run_names, run_root
from workbench.store.status import LIVE, effective, read_status


def prepared_run(root: Path | str, config: RunConfig, *, parent: RunPaths | None = None) -> RunPaths:
    """A finished run of exactly these settings below ``root``: found, carried to its end, or made now.

    It is found by its settings and its parent, not by the code that made it: after a change of the library take a new run root.

    Args:
        root: The run root.
        config: All of its settings.
        parent: The run whose data and players it starts from.

    Raises:
        WorkbenchError: The configuration cannot work here, or the run broke.
    """
    same = [paths for name in run_names(Path(root)) if _is_of((paths := RunPaths(Path(root) / name)), config, parent)]
    states = {paths: effective(read_status(paths.status), paths.run_id)["state"] for paths in same}
    for paths in reversed(same):
        if states[paths] == "finished":
            return paths
    unfinished = [paths for paths in same if states[paths] not in LIVE]
    paths = unfinished[-1] if unfinished else prepare_run(root, config, parent=parent)
    execute(paths, queue=False, show_progress=False)
    return paths


def _is_of(paths: RunPaths, config: RunConfig, parent: RunPaths | None) -> bool:
    meta = read_json(paths.meta) or {}
    if meta.get("preset") != config.preset or meta.get("parent") != (parent.run_id if parent else None):
        return False
    try:
        return load_config(paths.config) == config
    except WorkbenchError:
        return False


def notebook_root(folder: Path | None = None) -> Path:
    """The run root of who works in ``folder``, the present one by default: that of the repository around it, which the app shows, too.

    ``WORKBENCH_RUNS`` goes before; without either it is ``runs`` in the folder.
    """
    if os.environ.get("WORKBENCH_RUNS"):
        return run_root()
    here = (folder or Path.cwd()).resolve()
    home = next((place for place in (here, *here.parents) if (place / "app.py").is_file() and (place / "workbench").is_dir()), here)
    return home / "runs"
