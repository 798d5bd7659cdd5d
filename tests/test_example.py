"""The recorded example that the app shows on a first visit, made anew from a run."""

import json

import pytest

from scripts.make_example import make_example
from workbench.store.checkpoints import list_checkpoints
from workbench.store.layout import RunPaths
from workbench.store.reader import Run
from workbench.store.tokens import token_texts, tokenizer_file


@pytest.fixture(scope="module")
def example(smoke_run, tmp_path_factory):
    target = RunPaths(tmp_path_factory.mktemp("example") / "smoke")
    (target.folder / "old").mkdir(parents=True)
    return target, make_example(smoke_run, target)


def test_it_is_a_whole_run_with_some_of_the_trajectories(example, smoke_run):
    target, count = example
    listed, all_of_it = Run(target).trajectories(), Run(smoke_run).trajectories()
    assert 0 < len(listed) == count <= len(all_of_it)
    assert set(listed["phase"]) == {"rl", "evaluate"}
    assert Run(target).metrics().equals(Run(smoke_run).metrics())
    assert Run(target).status()["state"] == "finished"
    assert not (target.folder / "old").exists()


def test_its_tokens_can_be_read(example, smoke_run):
    target, _ = example
    file = tokenizer_file(target, "tiny")
    assert file is not None and file.relative_to(target.folder).as_posix() == "checkpoints/generate/000001/tokenizer/tokenizer.json"
    run = Run(target)
    turn = run.trajectory(run.trajectories()["trajectory_id"].iloc[0]).turns[0]
    texts = token_texts(file, turn.prompt_token_ids)
    assert texts is not None and turn.observation in "".join(texts)


def test_it_has_no_weights_and_names_no_machine(example):
    target, _ = example
    assert list_checkpoints(target) == []
    assert not list(target.folder.rglob("*.safetensors"))
    assert not {"pid", "pid_started", "host"} & set(json.loads(target.status.read_text(encoding="utf-8")))
    meta = json.loads(target.meta.read_text(encoding="utf-8"))
    assert meta["command"] == ["workbench", "train", "taxi-quickstart"]
