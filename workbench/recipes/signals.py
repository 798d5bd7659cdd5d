"""Signals to the process of a run: the first asks for a stop, the second ends it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from workbench.errors import RunStopped
from workbench.store.layout import RunPaths


@contextmanager
def signals_stop(paths: RunPaths) -> Iterator[None]:
    """Let the first interrupt or termination signal save and stop; the second one ends the process.

    Raises:
        RunStopped: Says whether a signal was what asked for the stop.
    """
    asked = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        paths.stop.touch()
        signal.signal(number, signal.default_int_handler)

    try:
        previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread (a notebook's, a test's): signals are somebody else's
        yield
        return
    try:
        yield
    except RunStopped as stopped:
        stopped.by_signal = bool(asked)
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
