"""Runs that are made once and found again."""

import shutil

from tests.small_runs import short_config
from workbench.recipes import prepared
from workbench.recipes.prepared import notebook_root, prepared_run
from workbench.store.files import json_bytes, read_json, write_whole
from workbench.store.layout import RunPaths, run_names


def carried_out(monkeypatch):
    """Runs that were carried out, instead of training them."""
    done: list[RunPaths] = []
    monkeypatch.setattr(prepared, "execute", lambda paths, **how: done.append(paths))
    return done


def copied(run: RunPaths, root, **status) -> RunPaths:
    folder = root / run.run_id
    shutil.copytree(run.folder, folder)
    paths = RunPaths(folder)
    write_whole(paths.status, json_bytes({**(read_json(paths.status) or {}), **status}))
    return paths


def test_a_finished_run_of_these_settings_is_found(short_run, tmp_path, monkeypatch):
    done, paths = carried_out(monkeypatch), copied(short_run, tmp_path)
    assert prepared_run(tmp_path, short_config()) == paths
    assert done == []


def test_other_settings_are_another_run(short_run, tmp_path, monkeypatch):
    done, paths = carried_out(monkeypatch), copied(short_run, tmp_path)
    made = prepared_run(tmp_path, short_config("seed=8"))
    assert made != paths
    assert done == [made]
    assert sorted(run_names(tmp_path)) == sorted([paths.run_id, made.run_id])


def test_a_stopped_run_is_carried_on(short_run, tmp_path, monkeypatch):
    done, paths = carried_out(monkeypatch), copied(short_run, tmp_path, state="stopped")
    assert prepared_run(tmp_path, short_config()) == paths
    assert done == [paths]


def test_a_run_from_another_parent_is_another_run(short_run, tmp_path, monkeypatch):
    done, parent = carried_out(monkeypatch), copied(short_run, tmp_path)
    config = short_config("phases=[rl, evaluate]")
    made = prepared_run(tmp_path, config, parent=parent)
    assert done == [made]
    assert (read_json(made.meta) or {})["parent"] == parent.run_id
    write_whole(made.status, json_bytes({"state": "finished"}))
    assert prepared_run(tmp_path, config, parent=parent) == made
    assert len(done) == 1


def test_a_damaged_run_is_passed_over(short_run, tmp_path, monkeypatch):
    done, paths = carried_out(monkeypatch), copied(short_run, tmp_path)
    paths.config.write_text("seed: [", encoding="utf-8")
    assert prepared_run(tmp_path, short_config()) != paths
    assert len(done) == 1


def test_notebooks_share_the_run_root_of_the_repository_around_them(tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_RUNS", raising=False)
    (tmp_path / "workbench").mkdir()
    (tmp_path / "app.py").touch()
    (tmp_path / "notebooks").mkdir()
    assert notebook_root(tmp_path / "notebooks") == tmp_path / "runs"
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "elsewhere"))
    assert notebook_root(tmp_path / "notebooks") == tmp_path / "elsewhere"


def test_without_a_repository_runs_are_where_one_works(tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_RUNS", raising=False)
    assert notebook_root(tmp_path) == tmp_path / "runs"
