"""What several test modules share: one run of the smallest preset, made once."""

import pytest

from tests.small_runs import run_config
from workbench.config import apply_overrides, load_preset
from workbench.store.layout import RunPaths


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A finished run of taxi-smoke; tests that change it copy it first."""
    return run_config(tmp_path_factory.mktemp("smoke"), apply_overrides(load_preset("taxi-smoke"), ["device.num_threads=1"]))
