"""A run's reflection player as a plain folder: it says what the player says, and the commands that serve it."""

import json
import shutil
import socket
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.chain_world import ChainWorld
from tests.small_models import save_small
from tests.small_runs import short_config
from workbench.cli import main
from workbench.config import load_config
from workbench.models.loading import REFLECTION, build_players
from workbench.models.reflection import ModelReflection
from workbench.prompts import reflection_text
from workbench.recipes.serve import export_reflection_player
from workbench.recipes.session import open_session
from workbench.rollout.play import Situation
from workbench.seeding import generator
from workbench.store.layout import RunPaths, create_run
from workbench.trainers.checkpoint import save_checkpoint


@pytest.fixture
def trained(short_run, tmp_path):
    return RunPaths(shutil.copytree(short_run.folder, tmp_path / short_run.run_id))


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def observations():
    world = ChainWorld()
    return [world.reset(seed=0, options={"task": task, "stage": "long"})[0] for task in world.tasks("long")]


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main(["serve", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("workbench: ") and error.count("\n") == 1
    return error


def test_the_folder_says_what_the_player_says(trained, free_port, capsys):
    assert main(["serve", trained.run_id, "--runs-dir", str(trained.folder.parent), "--port", str(free_port), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["serve"] == ["transformers", "serve", str(trained.served), "--host", "127.0.0.1", "--port", str(free_port)]
    assert found["use"][:5] == ["workbench", "train", "chain", "--from", trained.run_id]
    assert f"reflection.endpoint.base_url=http://127.0.0.1:{free_port}/v1" in found["use"]

    session = open_session(trained)
    steps = session.config.reflection.max_new_tokens
    player = session.players().reflection
    assert player is not None
    seen = [Situation(ChainWorld().task_statement(), text, None, generator(0, number)) for number, text in enumerate(observations())]
    expected = [one.text for one in ModelReflection(player, greedy=True, max_new_tokens=steps).reflect(seen)]

    model: Any = AutoModelForCausalLM.from_pretrained(trained.served)
    tokenizer = AutoTokenizer.from_pretrained(trained.served)
    said = []
    for one in seen:  # as `transformers serve` answers a bare prompt at temperature 0
        ids = tokenizer(reflection_text(one.task_statement, one.observation), return_tensors="pt")
        assert tuple(ids["input_ids"][0].tolist()) == player.prompts(room=steps).reflection(one.task_statement, one.observation).token_ids
        out = model.generate(**ids, do_sample=False, max_new_tokens=steps)[0, ids["input_ids"].shape[1] :]
        said.append(tokenizer.decode(out, skip_special_tokens=True))
    assert said == expected and any(said)


def test_the_folder_is_replaced_and_nothing_else_is_left(trained):
    before = sorted(path.name for path in trained.folder.iterdir())
    for _ in range(2):
        export_reflection_player(trained)
    assert sorted(path.name for path in trained.folder.iterdir()) == sorted([*before, "served"])


@torch.no_grad()
def test_adapters_are_merged_into_their_base(tmp_path):
    base = save_small(tmp_path / "gpt2", "gpt2")
    config = short_config(f"policy.model={base}", "device.device=cpu")
    paths = create_run(tmp_path / "runs", config)
    player = build_players(config, None).reflection
    assert player is not None
    dice = torch.Generator().manual_seed(0)
    for _, weight in player.trainable_parameters():
        weight.copy_(torch.randn(weight.shape, generator=dice) * 0.2)
    save_checkpoint(paths.checkpoints / "sft-reflection", 1, state={}, players={REFLECTION: player})
    ids = torch.arange(5, 25)[None]
    expected = player.model(input_ids=ids).logits
    merged = AutoModelForCausalLM.from_pretrained(export_reflection_player(paths))
    plain = AutoModelForCausalLM.from_pretrained(base)
    torch.testing.assert_close(merged(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(plain(input_ids=ids).logits, expected, atol=1e-2), "the adapter says something"
    assert not list(paths.served.glob("adapter*"))


def test_a_run_without_a_player_and_a_port_in_use_are_told(tmp_path, capsys, free_port):
    paths = create_run(tmp_path, short_config("reflection.kind=none"))
    root = ["--runs-dir", str(tmp_path)]
    error = refused(capsys, paths.run_id, "--port", str(free_port), *root)
    assert f"run {paths.run_id} has no trained reflection player (reflection.kind=none" in error
    assert not paths.served.exists() and load_config(paths.config).reflection.kind == "none"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"--port {port} cannot be used on 127.0.0.1" in refused(capsys, paths.run_id, "--port", port, *root)
    assert "--port must be between 1 and 65535, found 70000" in refused(capsys, paths.run_id, "--port", "70000", *root)
