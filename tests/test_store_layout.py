import json
import re
import secrets
from pathlib import Path

import pytest

from tests.store_records import make_run
from workbench.config import RunConfig, load_config
from workbench.errors import StoreError
from workbench.store import layout
from workbench.store.checkpoints import list_checkpoints
from workbench.store.layout import RunPaths, create_run, find_run, run_names, run_root
from workbench.store.provenance import without_secrets


def test_run_root_prefers_the_argument_then_the_environment(monkeypatch):
    monkeypatch.delenv("WORKBENCH_RUNS", raising=False)
    assert run_root() == Path("runs")
    monkeypatch.setenv("WORKBENCH_RUNS", "/elsewhere")
    assert run_root() == Path("/elsewhere")
    assert run_root("here") == Path("here")


def test_a_new_run_is_whole(tmp_path):
    config = RunConfig(preset="taxi-smoke", seed=5)
    paths = create_run(tmp_path / "deep" / "runs", config, parent="older")
    assert re.fullmatch(r"taxi-smoke-\d{8}-\d{6}-[0-9a-f]{4}", paths.run_id)
    assert load_config(paths.config) == config
    meta = json.loads(paths.meta.read_text())
    assert meta["schema_version"] == 1 and meta["parent"] == "older" and meta["seed"] == 5 and meta["model"] == "tiny"
    assert {"torch", "transformers", "numpy"} <= set(meta["packages"])
    assert json.loads(paths.status.read_text())["state"] == "queued"
    assert all(folder.is_dir() for folder in (paths.trajectories, paths.data, paths.checkpoints, paths.logs))
    assert run_names(paths.folder.parent) == [paths.run_id]
    assert [path.name for path in paths.folder.parent.iterdir()] == [paths.run_id]


def test_a_run_that_cannot_be_completed_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(layout, "write_whole", refuse)
    with pytest.raises(StoreError, match=r"the disk is full; free space"):
        make_run(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("preset", "start"), [("../../evil", "evil-"), ("my preset/x", "my-preset-x-"), ("", "run-"), ("..", "run-")])
def test_the_preset_name_cannot_lead_out_of_the_root(tmp_path, preset, start):
    paths = make_run(tmp_path / "runs", preset)
    assert paths.folder.parent == tmp_path / "runs" and paths.run_id.startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_two_runs_of_one_second_get_two_folders(tmp_path, monkeypatch):
    answers = iter(["a" * 16, "beef", "b" * 16, "beef", "cafe"])
    monkeypatch.setattr(secrets, "token_hex", lambda size: next(answers))

    class Clock:
        @staticmethod
        def now(zone: object) -> "Clock":
            return Clock()

        def strftime(self, form: str) -> str:
            return "20260101-000000"

    monkeypatch.setattr(layout, "datetime", Clock)
    assert [make_run(tmp_path).run_id[-4:] for _ in range(2)] == ["beef", "cafe"]


def test_find_run_by_id_and_by_path(tmp_path, monkeypatch):
    paths = make_run(tmp_path / "runs")
    assert find_run(tmp_path / "runs", paths.run_id) == paths
    assert find_run(tmp_path / "other", str(paths.folder)) == paths
    assert find_run(tmp_path / "other", f"{paths.folder}/").run_id == paths.run_id
    monkeypatch.chdir(paths.folder)
    assert RunPaths(Path(".")).run_id == paths.run_id
    assert find_run("x", ".").config.exists()


def test_unknown_run_names_the_nearest(tmp_path):
    paths = make_run(tmp_path)
    with pytest.raises(StoreError, match=f"unknown run '{paths.run_id[:-1]}'; did you mean '{paths.run_id}'"):
        find_run(tmp_path, paths.run_id[:-1])
    with pytest.raises(StoreError, match=r"there are no runs in .*; start one with `workbench train PRESET`"):
        find_run(tmp_path / "empty", "x")


@pytest.mark.parametrize("name", ["../outside", "..", ".", "/", "a/../../outside", "x\x00y", "", ".hidden", "n" * 5000, "link"])
def test_names_from_a_browser_cannot_leave_the_root(tmp_path, name):
    outside = make_run(tmp_path / "all").folder.rename(tmp_path / "outside")
    root = tmp_path / "runs"
    root.mkdir()
    (root / "link").symlink_to(outside)
    make_run(root).folder.rename(root / ".hidden")
    with pytest.raises(StoreError) as caught:
        find_run(root, name, allow_paths=False)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_path_needs_a_run_at_its_end(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(StoreError, match=r"not a run folder: it has no meta.json"):
        find_run(tmp_path, "notes")
    with pytest.raises(StoreError, match="not a run folder"):
        find_run(tmp_path, str(tmp_path / "notes"))


def test_a_newer_schema_is_refused(tmp_path):
    paths = make_run(tmp_path)
    paths.meta.write_text('{"schema_version": 2}')
    with pytest.raises(StoreError, match=r"written by a newer workbench \(schema 2, this one reads up to 1\); upgrade"):
        find_run(tmp_path, paths.run_id)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"schema_version": "1"}', '{"schema_version": true}', "{}", "\xff\xfe"])
def test_a_damaged_meta_is_refused(tmp_path, content):
    paths = make_run(tmp_path)
    paths.meta.write_text(content, encoding="latin-1")
    with pytest.raises(StoreError, match="damaged run folder"):
        find_run(tmp_path, paths.run_id)


def test_secrets_stay_out_of_the_recorded_command():
    said = [
        "workbench",
        "--api-key",
        "s3cret",
        "--set",
        "teacher.api_key=s3cret",
        "hf_abcdefgh12345",
        "https://me:pw@host/x",
        "--hub-token=t",
    ]
    kept = " ".join(without_secrets(said))
    assert not any(secret in kept for secret in ("s3cret", "abcdefgh12345", "me:pw", "=t"))
    harmless = ["train", "taxi-smoke", "--set", "reflection.max_new_tokens=40", "--seed", "1"]
    assert without_secrets(harmless) == harmless


def test_checkpoints_of_every_phase_are_listed_once_they_are_whole(tmp_path):
    paths = make_run(tmp_path)
    for place in (
        "policy/000100/policy",
        "policy/000050/policy",
        "reward-model/000006/reward",
        "sft-policy/000008/policy",
        "start/000001/reflection",
    ):
        (paths.checkpoints / place).mkdir(parents=True)
        (paths.checkpoints / place).with_name("manifest.json").write_text("{}")
    (paths.checkpoints / "rl" / "000002" / "policy").mkdir(parents=True)
    assert [one.name for one in list_checkpoints(paths)] == ["start/1", "sft-policy/8", "reward-model/6", "policy/50", "policy/100"]
    assert [one.name for one in list_checkpoints(paths, role="policy")] == ["sft-policy/8", "policy/50", "policy/100"]
    assert list_checkpoints(paths, role="reward")[0].roles == ("reward",)
