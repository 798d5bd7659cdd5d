"""What several test modules share: runs that are made once. Tests that change one copy it first."""

import pytest

from tests.small_runs import run_config, short_config
from workbench.config import apply_overrides, load_preset
from workbench.store.layout import RunPaths


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A finished run of the smallest preset, taxi-smoke."""
    return run_config(tmp_path_factory.mktemp("smoke"), apply_overrides(load_preset("taxi-smoke"), ["device.num_threads=1"]))


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A finished run of every phase on ChainWorld."""
    return run_config(tmp_path_factory.mktemp("short"), short_config())
