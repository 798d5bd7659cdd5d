"""Labels of runs, and deleting runs."""

import json

import pytest

from workbench.config import RunConfig
from workbench.errors import RunBusyError, StoreError
from workbench.store.labels import Labels, read_labels, relabel
from workbench.store.layout import create_run, run_names
from workbench.store.reader import list_runs
from workbench.store.remove import delete_run
from workbench.store.writer import RunLock, RunWriter


@pytest.fixture
def run(tmp_path):
    paths = create_run(tmp_path / "runs", RunConfig(preset="taxi-smoke"))
    RunWriter(paths).status("finished")
    return paths


def test_labels_change_one_by_one_and_the_configuration_stays(run):
    config = run.config.read_bytes()
    assert read_labels(run) == Labels()
    relabel(run, name="  best\nso far ")
    relabel(run, tags=["paper", "a", "paper", " "])
    assert relabel(run, archived=True) == Labels("best so far", ("a", "paper"), archived=True)
    assert read_labels(run) == Labels("best so far", ("a", "paper"), archived=True)
    assert relabel(run, name="").name == ""
    assert run.config.read_bytes() == config
    assert [one.run for one in list_runs(run.folder.parent)] == [run.run_id]


def test_labels_that_do_not_fit_are_refused_and_the_old_ones_stay(run):
    relabel(run, name="kept", tags=["kept"])
    for change in ({"name": "x" * 81}, {"tags": ["y" * 31]}, {"tags": [str(number) for number in range(21)]}):
        with pytest.raises(StoreError, match=r"at most|more than"):
            relabel(run, **change)
    assert read_labels(run) == Labels("kept", ("kept",))


@pytest.mark.parametrize("text", ["", "[1]", '{"na', '{"name": 5, "tags": "all", "archived": "yes"}', '{"tags": [1, null]}'])
def test_damaged_labels_are_no_labels(run, text):
    run.labels.write_text(text)
    assert read_labels(run) == Labels()


def test_labels_of_a_foreign_hand_are_cut_and_cannot_turn_a_line_around(run):
    run.labels.write_text(json.dumps({"name": "a\u202eb\x1b[0m" + "c" * 500, "tags": ["t" * 500]}))
    labels = read_labels(run)
    assert labels.name.startswith("a b [0mcc") and len(labels.name) == 80
    assert labels.tags == ("t" * 30,)


def test_a_deleted_run_is_gone_and_the_others_are_not(run):
    other = create_run(run.folder.parent, RunConfig(preset="taxi-smoke"))
    delete_run(run.folder.parent, run.run_id)
    assert [path.name for path in run.folder.parent.iterdir()] == [other.run_id]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_live_run_is_not_deleted(run, state):
    RunWriter(run).status(state)
    with pytest.raises(RunBusyError, match="stop it first"):
        delete_run(run.folder.parent, run.run_id)
    assert run.config.exists()


def test_a_run_that_a_process_holds_is_not_deleted_whatever_its_status_says(run):
    with RunLock(run), pytest.raises(RunBusyError):
        delete_run(run.folder.parent, run.run_id)
    assert run.config.exists()


def test_nothing_outside_the_root_is_deleted(run, tmp_path):
    root, outside = run.folder.parent, tmp_path / "outside"
    run.folder.rename(outside)
    (root / "link").symlink_to(outside)
    for name in ("link", "../outside", str(outside), "..", ".", "", ".hidden"):
        with pytest.raises(StoreError):
            delete_run(root, name)
    assert (outside / "config.yaml").exists()


def test_links_inside_a_run_are_not_followed(run, tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept.txt").write_text("kept")
    (run.data / "file").symlink_to(tmp_path / "kept.txt")
    (run.data / "folder").symlink_to(tmp_path / "folder")
    delete_run(run.folder.parent, run.run_id)
    assert (tmp_path / "kept.txt").exists() and (tmp_path / "folder" / "kept.txt").exists()


def test_foreign_and_damaged_folders_are_not_deleted(run):
    foreign = run.folder.parent / "holiday"
    foreign.mkdir()
    run.meta.write_text("{")
    for name in ("holiday", run.run_id):
        with pytest.raises(StoreError):
            delete_run(run.folder.parent, name)
    assert foreign.exists() and run.config.exists()


def test_what_a_killed_deletion_left_is_removed_with_the_next(run):
    root = run.folder.parent
    (root / ".gone-1234").mkdir()
    (root / ".gone-1234" / "file").write_text("x")
    assert run_names(root) == [run.run_id]
    delete_run(root, run.run_id)
    assert list(root.iterdir()) == []
