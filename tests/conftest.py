"""What several test modules share: runs that are made once. Tests that change one copy it first."""

import shutil
from pathlib import Path

import pytest

from workbench.config import apply_overrides, load_preset
from workbench.store.layout import RunPaths


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A finished run of the smallest preset, taxi-smoke."""
    from tests.small_runs import run_config  # imports torch, which most tests do without

    return run_config(tmp_path_factory.mktemp("smoke"), apply_overrides(load_preset("taxi-smoke"), ["device.num_threads=1"]))


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A finished run of every phase on ChainWorld."""
    from tests.small_runs import run_config, short_config

    return run_config(tmp_path_factory.mktemp("short"), short_config())


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run root that the app shows, empty, and no recorded example beside it."""
    from workbench.dashboard import cache

    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setenv("WORKBENCH_RUNS", str(folder))
    monkeypatch.setattr(cache, "example_root", lambda: tmp_path / "examples")
    cache.forget_summaries()
    return folder


@pytest.fixture
def run(root: Path, recorded: RunPaths) -> RunPaths:
    """A copy, in the app's run root, of the run that the test module recorded once."""
    return RunPaths(Path(shutil.copytree(recorded.folder, root / recorded.run_id)))
