"""The GPU path on a real GPU: precision, one kernel for the optimizer, graphs of decoding, quantised bases, memory. Needs CUDA."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from tests.small_models import save_small
from tests.small_runs import carry_on, short_config
from tests.test_models_decoding import assert_same, prompts, written
from tests.test_models_loading import config_for, train
from workbench.config import apply_overrides
from workbench.models.loading import build_players
from workbench.models.policy import Decision, Policy
from workbench.recipes.execute import prepare_run
from workbench.store.reader import Run
from workbench.trainers.optimizers import adamw

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
ON_CUDA = ("device.device=cuda",)


def on_cuda(folder: Path, *overrides: str):
    return build_players(apply_overrides(config_for(folder), [*ON_CUDA, *overrides]), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("gpu") / "llama", "llama")


def test_pretrained_weights_are_bfloat16_and_adapters_float32(folder):
    policy = on_cuda(folder).policy
    kinds = {("lora" in name, value.dtype) for name, value in policy.model.named_parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}


def test_the_optimizer_is_one_kernel(folder):
    policy = on_cuda(folder).policy
    optimizer = adamw([value for _, value in policy.trainable_parameters()], learning_rate=1e-2, weight_decay=0.0)
    assert optimizer.defaults["fused"] is True
    train(policy)


@pytest.mark.parametrize("kind", ["static", "compiled"])
def test_fixed_and_compiled_decoding_say_what_a_growing_cache_says(folder, kind):
    players = on_cuda(folder, "device.dtype=float32")
    player = players.reflection
    assert player is not None
    expected = written(player, prompts(20), temperature=0.0)
    player.cache_implementation = kind
    for _ in range(3):  # plain, recorded, replayed
        assert_same(written(player, prompts(20), temperature=0.0), expected)


def test_nothing_is_compiled_after_the_first_batches(folder):
    player = on_cuda(folder, "device.dtype=float32", "device.cache_implementation=compiled").reflection
    assert player is not None
    for _ in range(3):
        written(player, prompts(20), temperature=0.0)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for seed in range(3):
        written(player, [prompt[:20] + (5,) * 10 for prompt in prompts(20, seed=seed)], temperature=0.0)
        written(player, prompts(20), temperature=0.0)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] - before <= 2, "at most the two sizes that were new"


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_a_quantised_base_learns_and_decodes(folder, bits):
    pytest.importorskip("bitsandbytes", reason="needs the extra quantization")
    players = on_cuda(folder, f"policy.load_in_{bits}=true")
    asked = [Decision(tuple(range(3, 20)), (10, 11, 12))]
    before = Policy(players.policy).distributions(asked)[0]
    train(players.policy)
    after = Policy(players.policy).distributions(asked)[0]
    assert after[0] > before[0], "the first label's probability was raised"
    assert players.reflection is not None and all(written(players.reflection, prompts(3), temperature=0.0))


def test_a_whole_run(tmp_path):
    paths = carry_on(prepare_run(tmp_path, short_config(*ON_CUDA, "device.cache_implementation=compiled")))
    assert Run(paths).status()["state"] == "finished"


def test_the_benchmark(folder, capsys):
    sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
    try:
        gpu = importlib.import_module("gpu")
        assert gpu.main(["--models", str(folder), "--rows", "8", "--tokens", "40", "--answer", "8", "--json"]) == 0
    finally:
        sys.path.pop(0)
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["weights"] == "pretrained" and row["memory_gb"] > 0 and row["turns_per_second"] > 0
