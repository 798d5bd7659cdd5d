"""Addresses of turns: made, and opened again from the store."""

import pytest

from workbench.errors import StoreError
from workbench.store.permalinks import open_permalink, permalink
from workbench.store.reader import Run


def test_an_address_opens_the_turn_it_was_made_of(short_run):
    name = Run(short_run).trajectories(phase="rl")["trajectory_id"].iloc[0]
    step = open_permalink(short_run.folder.parent, permalink(short_run.run_id, name, 0))
    assert (step.paths.run_id, step.trajectory.trajectory_id, step.turn.index) == (short_run.run_id, name, 0)


def test_what_needs_quoting_is_quoted():
    assert permalink("a&b", "c d", 3, app="https://elsewhere/app") == "https://elsewhere/app/trajectories?run=a%26b&trajectory=c+d&turn=3"


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("http://localhost:8501/runs", "no address of a trajectory"),
        ("not an address", "no address of a trajectory"),
        ("http://localhost:8501/trajectories?run=../x&trajectory=t", "leaves the run root"),
    ],
)
def test_other_addresses_are_refused(tmp_path, link, said):
    with pytest.raises(StoreError, match=said):
        open_permalink(tmp_path, link)


def test_a_turn_that_is_not_there_is_named(short_run):
    name = Run(short_run).trajectories(phase="rl")["trajectory_id"].iloc[0]
    with pytest.raises(StoreError, match="found turn '999'"):
        open_permalink(short_run.folder.parent, permalink(short_run.run_id, name, 999))
