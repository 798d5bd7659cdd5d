"""One process per run."""

import fcntl
import os
from types import TracebackType

from workbench.errors import RunBusyError
from workbench.store.files import writing
from workbench.store.layout import RunPaths
from workbench.store.status import read_status


class RunLock:
    """Holds a run while the ``with`` block lasts.

    The lock lies on the run folder itself: no file is left behind, and the kernel lets go when the process
    dies, however it dies.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self._descriptor: int | None = None

    def __enter__(self) -> "RunLock":
        """Take the run.

        Raises:
            RunBusyError: Another process holds it.
            StoreError: The folder is gone or may not be opened.
        """
        with writing(self.paths.folder):
            descriptor = os.open(self.paths.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise self._busy() from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._descriptor is not None:
            # Unlocked by name: a forked child that still holds a copy of the descriptor must not keep the run.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def _busy(self) -> RunBusyError:
        run = self.paths.run_id
        pid = (read_status(self.paths.status) or {}).get("pid")
        holder = f"process {pid}" if isinstance(pid, int) else "another process"
        return RunBusyError(f"run {run} is held by {holder}; wait for it, or stop it with `workbench stop {run}`")
