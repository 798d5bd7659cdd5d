"""Ctrl+C while a sweep or a study works in this process ends all of it; a stop that a person asked of one run ends that run alone."""

import os
import signal

import pytest

from workbench.errors import RunStopped
from workbench.recipes import execute
from workbench.recipes.signals import signals_stop
from workbench.recipes.sweep_command import Foreground
from workbench.store.layout import RunPaths


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "run").mkdir()
    return RunPaths(tmp_path / "run")


def stopped_run(paths, asks):
    """What `execute` does when a stop is asked for: notice the file, say so."""

    def stand_in(given, **_):
        with signals_stop(given):
            asks()
            assert given.stop.exists()
            raise RunStopped("rl", 3)

    return stand_in


def test_a_signal_ends_what_would_come_after_the_run(paths, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(execute, "execute", stopped_run(paths, lambda: os.kill(os.getpid(), signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        Foreground(show_progress=False).launch(paths)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stop_from_elsewhere_is_for_the_run_alone(paths, monkeypatch):
    monkeypatch.setattr(execute, "execute", stopped_run(paths, paths.stop.touch))
    Foreground(show_progress=False).launch(paths)
