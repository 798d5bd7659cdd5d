"""Starting the analysis of a run as a process of its own."""

from pathlib import Path

from workbench.errors import RunBusyError
from workbench.jobs.launch import detach
from workbench.store.analysis import UNDER_WAY, analysis_state, note_state
from workbench.store.layout import find_run
from workbench.store.status import LIVE, effective, read_status


def start_analysis(root: Path | str, run_id: str) -> None:
    """Start ``workbench analyse`` on a run; how far it is, ``workbench.store.analysis.analysis_state`` tells.

    Raises:
        RunBusyError: The run is being trained, or analysed already.
        StoreError: There is no such run, or no process can be started.
    """
    paths = find_run(root, run_id)
    if effective(read_status(paths.status), paths.run_id)["state"] in LIVE:
        raise RunBusyError(f"run {paths.run_id} is being trained; wait until it ends, or stop it, then analyse it")
    if analysis_state(paths)["state"] in UNDER_WAY:
        raise RunBusyError(f"run {paths.run_id} is being analysed already; wait until that ends")
    note_state(paths, "starting")
    detach(paths, "analyse", log=paths.analysis_log)
