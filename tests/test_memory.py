"""What a run needs of memory: the estimate against sums done by hand, and what happens where it does not fit."""

import logging
from types import SimpleNamespace

import psutil
import pytest
import torch

from tests.small_models import save_small
from workbench.cli import main
from workbench.config import RunConfig, apply_overrides
from workbench.errors import DeviceError
from workbench.recipes import memory
from workbench.recipes.memory import Memory, Size, check_memory, decoding_bytes, needed_memory, sizes, training_bytes

SMALL = Size(parameters=1000, trained=1000, layers=3, hidden=10, cached=20, vocabulary=50, weight_bytes=4.0, number_bytes=4)
PASSES = ("sft_reflection.per_device_train_batch_size=2", "sft_policy.per_device_train_batch_size=4", "rl.per_device_train_batch_size=8")


def config_with(*overrides: str) -> RunConfig:
    return apply_overrides(RunConfig(), [*PASSES, "rl.rollout_batch_size=16", *overrides])


def test_the_fullest_pass_is_the_largest():
    # 8 turns of 7 tokens: 34 bytes in 16 bits, twice that in 32, for each of 3 blocks and 10 hidden units; logits at one place.
    online = 8 * 7 * 10 * 34 * 3 * 2 + 8 * 1 * 50 * (4 + 8)
    assert training_bytes(config_with(), SMALL, 7) == online
    # Checkpointed: the input of each block (2 bytes in 16 bits) and one block whole; then the warm-up of 4 rows is the fullest.
    reflection = 2 * 7 * 10 * 34 * 3 * 2 + 2 * 7 * 50 * 12
    policy = 4 * 7 * 10 * 34 * 3 * 2 + 4 * 50 * 12
    checkpointed = 8 * 7 * 10 * (2 * 3 + 34) * 2 + 8 * 50 * 12
    assert training_bytes(config_with("rl.gradient_checkpointing=true"), SMALL, 7) == max(reflection, policy, checkpointed) == policy
    solutions = config_with("recipe=rlmec", "phases=[sample, rewrite]", "rlmec.policy.per_device_train_batch_size=3")
    # Every token of a solution answers for itself; the warm-up of 4 rows is fuller than 3 solutions.
    assert training_bytes(solutions, SMALL, 7) == 4 * 7 * 10 * 34 * 3 * 2 + 4 * 7 * 50 * 12


def test_keys_and_values_of_those_that_are_decoded_together():
    assert decoding_bytes(config_with(), SMALL, 7) == 16 * 7 * 3 * 20 * 4
    assert decoding_bytes(config_with("device.cache_implementation=static"), SMALL, 7) == 3 * 16 * 7 * 3 * 20 * 4
    assert decoding_bytes(config_with("rl.rollout_batch_size=1000"), SMALL, 7) == 256 * 7 * 3 * 20 * 4


def test_the_whole():
    config = config_with("policy.tiny={n_layer: 2, n_embd: 32, n_head: 2, vocab_size: 400}")
    (one, other) = sizes(config, torch.bfloat16)
    # Four square matrices of attention, three of twice that width, two norms; the embedding and the last norm.
    count = 2 * (4 * 32**2 + 3 * 2 * 32**2 + 2 * 32) + 400 * 32 + 32
    assert one == other == Size(count, count, 2, 32, 64, 400, 4.0, 4), "tiny is float32 whatever the others are"
    found = needed_memory(config, tokens=50, dtype=torch.bfloat16)
    assert (found.weights, found.optimizer) == (2 * count * 4, count * 12), "one player is trained at a time"
    both = needed_memory(apply_overrides(config, ["rl.train_reflection=true"]), tokens=50, dtype=torch.bfloat16)
    assert both.optimizer == 2 * count * 12
    assert Memory(100.0, 50.0, 50.0).total == pytest.approx(220.0) and Memory(100.0, 50.0, 50.0).least == 150.0


@pytest.mark.parametrize(("settings", "size"), [([], 2.0), (["policy.load_in_8bit=true"], 1.0), (["policy.load_in_4bit=true"], 0.5)])
def test_a_base_and_its_adapters(tmp_path, settings, size):
    folder = save_small(tmp_path / "llama", "llama")
    (one,) = sizes(apply_overrides(RunConfig(), [f"policy.model={folder}", "policy.lora.lora_r=2", *settings]), torch.bfloat16)
    assert (one.layers, one.hidden, one.cached, one.weight_bytes, one.number_bytes) == (2, 32, 2 * 2 * 8, size, 2)
    assert one.trained == 8 * 2 * 32 * 2


def given(monkeypatch, gigabytes: float) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=gigabytes * 1e9, available=gigabytes * 1e9))


def test_what_does_not_fit_is_refused_before_a_run_exists(tmp_path, monkeypatch, capsys):
    given(monkeypatch, 0.5)
    root = tmp_path / "runs"
    words = ["--set", "policy.tiny={n_layer: 16, n_embd: 1024, n_head: 16}", "--set", "device.device=cpu", "--runs-dir", str(root)]
    assert main(["train", "taxi-smoke", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cpu has 0.5 GB, and weights (1.3 GB) and optimizer (2.0 GB) of policy.model=tiny do not fit" in error
    assert "use a smaller model" in error and not root.exists()


def test_an_estimate_that_does_not_fit_is_a_warning(monkeypatch, caplog):
    config = apply_overrides(RunConfig(), ["device.device=cpu", "rl.per_device_train_batch_size=4096"])
    given(monkeypatch, 2.0)
    with caplog.at_level(logging.WARNING, logger="workbench"):
        check_memory(config, tokens=128)
    (record,) = caplog.records
    assert "are needed at the fullest moment (an estimate) and cpu has 2.0 GB" in record.getMessage()
    assert "smaller per_device_train_batch_size" in record.getMessage()
    caplog.clear()
    given(monkeypatch, 2000.0)
    check_memory(config, tokens=128)
    assert not caplog.records
    monkeypatch.setattr(memory, "needed_memory", lambda *words, **how: Memory(3e12, 0.0, 0.0))
    with pytest.raises(DeviceError):
        check_memory(config, tokens=128)
