"""A run that a page made from another: it finds its parent's data and players when its process begins."""

import shutil

import pytest

from tests.small_runs import lines
from workbench.config import apply_overrides, load_config
from workbench.errors import StoreError
from workbench.recipes.execute import execute
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import Run


@pytest.fixture
def parent(short_run, tmp_path):
    return RunPaths(shutil.copytree(short_run.folder, tmp_path / short_run.run_id))


def forked(parent):
    config = apply_overrides(load_config(parent.config), ["phases=[evaluate]", "evaluation.trajectories=4"])
    return create_run(parent.folder.parent, config, parent=parent.run_id)


def test_a_fork_plays_with_its_parents_players(parent):
    child = forked(parent)
    found = execute(child, queue=False, show_progress=False)
    assert found["trajectories"] == 4
    (line,) = lines(child.evaluations)
    assert line["update"] == 0 and set(Run(child).trajectories()["update"]) == {0}, "no update was made here"
    weights = next((parent.checkpoints / "rl").glob("[0-9]*/policy/*.safetensors"))
    taken = next((child.checkpoints / "start").glob("[0-9]*/policy/*.safetensors"))
    newest = max((parent.checkpoints / "rl").glob("[0-9]*")) / "policy" / weights.name
    assert taken.read_bytes() == newest.read_bytes()


def test_a_fork_without_its_parent_says_so(parent):
    child = forked(parent)
    shutil.rmtree(parent.folder)
    with pytest.raises(StoreError, match="unknown run"):
        execute(child, queue=False, show_progress=False)
