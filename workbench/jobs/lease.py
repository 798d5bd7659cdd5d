"""One training per device: the others wait in state ``queued``."""

import fcntl
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from workbench.store.files import writing
from workbench.store.layout import RunPaths
from workbench.store.reader import list_runs
from workbench.store.status import read_status

_POLL_SECONDS = 0.5


class DeviceLease:
    """The right to train on one device of this machine, among the runs of one root.

    The kernel takes it back when the process dies. The file ``.lease-<device>`` stays and means nothing by
    itself.
    """

    def __init__(self, root: Path | str, device: str) -> None:
        """``device`` is a resolved name such as ``cpu`` or ``cuda:0``."""
        self.path = Path(root) / f".lease-{re.sub(r'[^a-z0-9]+', '-', device.lower())}"
        self._descriptor: int | None = None

    def acquire(self, wait: bool, should_give_up: Callable[[], bool], may_try: Callable[[], bool] = lambda: True) -> bool:
        """Take the device; False when it is taken and ``wait`` is false, or when ``should_give_up()`` says so.

        Args:
            wait: Stay until the device is free.
            should_give_up: Asked about twice a second while waiting.
            may_try: False leaves the device to a run that has waited longer.

        Raises:
            StoreError: The run root cannot be written.
        """
        while not (may_try() and self._try()):
            if not wait or should_give_up():
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        """Let the next run have the device."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "DeviceLease":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def _try(self) -> bool:
        if self._descriptor is not None:
            return True
        with writing(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True


def other_live_runs(root: Path | str, device: str) -> list[str]:
    """Ids of the runs that another process is training on ``device`` now."""
    running = [summary for summary in list_runs(root) if summary.state in ("running", "stopping") and summary.device == device]
    return [summary.run for summary in running if (read_status(RunPaths(summary.path).status) or {}).get("pid") != os.getpid()]
