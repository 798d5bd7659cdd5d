"""The benchmark of the GPU path on a CPU, in small, and what is reckoned for GPUs, against sums done by hand."""

import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def on_path():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


def module(name: str) -> Any:
    return importlib.import_module(name)


def test_without_a_cuda_device_there_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert module("gpu").main([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err == "gpu: this PyTorch finds no CUDA device; --smoke runs the same program on the CPU in small\n"


def test_the_smoke_run_goes_the_whole_way(capsys):
    gpu = module("gpu")
    assert gpu.main(["--smoke", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["smoke"] is True and [row["model"] for row in found["rows"]] == ["gpt2-xl", "Qwen/Qwen2.5-0.5B"]
    for row in found["rows"]:
        assert (
            row["weights"] == "random, of its shape" and row["vllm"] is None and row["memory_gb"] is None and row["share_of_peak"] is None
        )
        assert set(row["decode"]) == {"dynamic", "static", "compiled"} and all(rate > 0 for rate in row["decode"].values())
        assert row["turns_per_second"] > 0 and 0 < row["share_of_matrix"] < 1 and row["reckoned_gb"] > 0
    # Two blocks of 12 x 32 x 32 weights with their biases and norms; 24 tokens of prompt and 6 of reflection.
    block = 4 * 32 * 32 + 2 * 32 * 128 + 4 * 32 + 128 + 32 + 4 * 32
    body = 2 * block + 2 * 32 + 1024 * 32
    reading = 2 * body * 30 + 2 * 2 * 32 * 30**2
    assert found["rows"][0]["flops_per_turn"] == pytest.approx(4 * reading + (6 + 3) * 2 * 400 * 32)


def test_the_table_says_what_it_is(capsys):
    gpu = module("gpu")
    row = gpu.Row("m", "random, of its shape", 12.0, {"dynamic": 10.0, "static": 20.0, "compiled": 50.0}, 100.0, 3.0, 4.0, 2e9, 0.3, 0.4)
    gpu.print_table("NVIDIA X", module("gpu_players").Shape(64, 300, 40, 16, None), [row], matrix=5e14, smoke=True)
    told = capsys.readouterr().out
    assert "smoke: small models on the CPU; these numbers say nothing about a GPU" in told
    for part in ("random, of its shape", "50%", "30.0%", "40.0%", "500 TFLOP/s"):
        assert part in told


def test_a_model_whose_shape_nobody_knows_is_told(capsys):
    assert module("gpu").main(["--smoke", "--models", "nobody/nothing"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "nobody/nothing: no shape of that name is known; name one of gpt2-xl" in error


def test_peaks_go_by_the_devices_name():
    gpu = module("gpu")
    assert gpu.peak_of("NVIDIA H200") == 989e12 and gpu.peak_of("NVIDIA A100-SXM4-80GB") == 312e12
    assert gpu.peak_of("NVIDIA H100 PCIe") == 756e12 and gpu.peak_of("NVIDIA A10G") is None and gpu.peak_of("CPU") is None


def test_the_work_of_a_model():
    work = module("gpu_players").Work(body=1000, head=300, layers=2, hidden=10)
    assert work.forward(5, answers=1) == 2 * 1000 * 5 + 2 * 300 + 2 * 2 * 10 * 25 == 11600
    assert work.forward(5, answers=3) == 12800
    plan = module("scale_plan")
    assert plan.forward_flops(plan.Model(body=1000, head=300, layers=2, hidden=10), 5) == 11600


def test_a_decoding_step_is_memory_traffic_or_the_start_of_its_kernels():
    plan = module("scale_plan")
    gpu = plan.Gpu(bandwidth=1000.0, bandwidth_share=0.5, step_seconds=0.1)
    model = plan.Model(body=90, head=10, layers=1, hidden=5, bytes=2.0)
    assert (model.weights, model.token_cache) == (200, 20)
    # 200 bytes of weights and 3 rows of 10 + 4 / 2 tokens of 20 bytes, at 500 bytes a second.
    task = plan.Task(prompt=10, answer=4)
    assert plan.decode_seconds(gpu, model, task, 3) == pytest.approx((200 + 3 * 12 * 20) / 500)
    assert plan.decode_seconds(gpu._replace(step_seconds=9.0), model, task, 3) == 9.0


def test_an_update_by_parts_and_its_share_on_many_gpus():
    plan = module("scale_plan")
    gpu = plan.Gpu(flops=1000.0, flops_share=0.5, bandwidth=1000.0, bandwidth_share=0.5, step_seconds=0.1)
    model = plan.Model(body=1, head=0, layers=0, hidden=0, bytes=2.0)
    task = plan.Task(prompt=10, answer=5, turns=2, trajectories=8, new_share=0.5, env_seconds=0.01)
    # Reading costs 2 FLOPs a token: 20 for a prompt, 30 with its reflection; 500 a second. Weights of 2 bytes: starting decides a step.
    assert plan.update_seconds(gpu, model, task, 1) == pytest.approx(
        {"reflect": 2 * 0.5 * (8 * 20 / 500 + 5 * 0.1), "act": 2 * 8 * 30 / 500, "update": 2 * 8 * 3 * 30 / 500, "env": 0.16}
    )
    assert plan.update_seconds(gpu, model, task, 4) == pytest.approx(
        {"reflect": 2 * 0.5 * (2 * 20 / 500 + 0.5), "act": 2 * 2 * 30 / 500, "update": 2 * 2 * 3 * 30 / 500, "env": 0.04}
    )
    assert plan.update_seconds(gpu, model, task, 64)["act"] == 2 * 0.1, "one trajectory each; a pass takes no less than its start"
    # 2 bytes of weights; activations of 16 rows of 15 tokens, or keys and values: none here.
    assert plan.memory(plan.Model(body=1, head=0, layers=1, hidden=2), task, 8) == 2 + max(8 * 15 * 8, 16 * 15 * 2 * (2 + 34) * 1)


def test_the_plan_says_that_it_is_reckoned(capsys):
    assert module("scale").main(["--plan"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Reckoned, not measured.") and told.count("\n| ") == 2 + 6
    speeds = [float(line.split("|")[4].replace(",", "")) for line in told.splitlines() if line.startswith(("| 1 ", "| 8 ", "| 64 "))]
    assert len(speeds) == 6 and all(map(math.isfinite, speeds)) and speeds[0] < speeds[2] < speeds[4]


@pytest.mark.slow
def test_scale_measures_an_iteration(capsys):
    assert module("scale").main(["--sizes", "0.6", "--trajectories", "4", "--counts", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[-2:]] == ["4", "2"] and all(float(line.split()[4]) > 0 for line in lines[-2:])
