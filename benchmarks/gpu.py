"""What a GPU makes of the players: turns per second, decode tokens per second, memory, and the share of its arithmetic that is used.

    python benchmarks/gpu.py [--models gpt2-xl Qwen/Qwen2.5-0.5B] [--rows 64] [--tokens 300] [--answer 40] [--bits 8] [--update-rows 16]

A turn here is what a turn of online learning asks for: a sampled reflection of ``--answer`` tokens after a prompt of ``--tokens``, the
policy's choice after prompt and reflection, and its part in the update (forwards and backwards, with LoRA). Prompts are random tokens, all
of them different, so that nothing is spared by sharing. Where a model cannot be had, one of its shape with random weights stands in for
it, and the table says so. Decoding is measured with a cache that grows, with one of fixed sizes, and with that one compiled; where vLLM
is installed, it decodes the same prompts.

Model FLOPs: 2 for every weight that a token passes, and attention; backwards as much again, since the base's own gradients are not
computed with LoRA. The share is that of the dense bfloat16 peak of the data sheet where the GPU is known, and of a large matrix product
measured here.

Without a CUDA device it says so and ends with code 2; ``--smoke`` runs the same program on the CPU in small, which tells nothing of a GPU.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from gpu_players import Bench, Shape, bench_of, vllm_rate

from workbench.config import CacheImplementation
from workbench.errors import WorkbenchError
from workbench.models.decoding import FixedCache

MODELS = ("gpt2-xl", "Qwen/Qwen2.5-0.5B")
PEAKS = {
    "H200": 989e12,
    "H100": 989e12,
    "H100 PCIe": 756e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Dense bfloat16 with float32 sums, FLOP/s, of the vendor's data sheets, by words of the device's name."""
KINDS: tuple[CacheImplementation, ...] = ("dynamic", "static", "compiled")
RUNS = 3


class Row(NamedTuple):
    """One model's line."""

    model: str
    weights: str
    turns_per_second: float
    decode: dict[CacheImplementation, float]
    """Tokens per second by ``KINDS``."""
    vllm: float | None
    memory_gb: float | None
    reckoned_gb: float
    flops_per_turn: float
    share_of_peak: float | None
    share_of_matrix: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; gives the exit code."""
    options = _options(argv)
    if not options.smoke and not torch.cuda.is_available():
        print("gpu: this PyTorch finds no CUDA device; --smoke runs the same program on the CPU in small", file=sys.stderr)
        return 2
    device = torch.device("cpu" if options.smoke else "cuda")
    shape = Shape(options.rows, options.tokens, options.answer, options.update_rows, options.bits)
    if options.smoke:
        shape = Shape(4, 24, 6, 2, None)
    name = "CPU" if options.smoke else torch.cuda.get_device_name()
    peak = peak_of(name)
    matrix = matrix_rate(device, side=256 if options.smoke else 8192)
    rows = []
    for model in options.models:
        try:
            rows.append(measure(model, shape, device, peak=peak, matrix=matrix, smoke=options.smoke))
        except (WorkbenchError, torch.OutOfMemoryError) as error:
            print(f"gpu: {model}: {' '.join(str(error).split())[:300]}", file=sys.stderr)
            return 2
    if options.json:
        print(json.dumps({"device": name, "smoke": options.smoke, "rows": [row._asdict() for row in rows]}))
    else:
        print_table(name, shape, rows, matrix=matrix, smoke=options.smoke)
    return 0


def peak_of(name: str) -> float | None:
    """The data sheet's peak of a device, by most words of its name; None where it is not known.

    Example:
        >>> peak_of("NVIDIA A100-SXM4-80GB"), peak_of("NVIDIA H100 PCIe"), peak_of("NVIDIA A10G")
        (312000000000000.0, 756000000000000.0, None)
    """
    words = set(name.replace("-", " ").split())
    fitting = [known for known in PEAKS if set(known.split()) <= words]
    return PEAKS[max(fitting, key=len)] if fitting else None


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--rows", type=int, default=64, help="trajectories in play at once (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=300, help="of a prompt (default: %(default)s)")
    parser.add_argument("--answer", type=int, default=40, help="tokens of a reflection (default: %(default)s)")
    parser.add_argument("--update-rows", type=int, default=16, help="turns of one pass of the update (default: %(default)s)")
    parser.add_argument("--bits", type=int, choices=(4, 8), help="quantise the base (bitsandbytes)")
    parser.add_argument("--smoke", action="store_true", help="small shapes on the CPU: does the program run?")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    return parser.parse_args(argv)


def measure(model: str, shape: Shape, device: torch.device, *, peak: float | None, matrix: float, smoke: bool) -> Row:
    """Everything of one model.

    Raises:
        WorkbenchError: It cannot be loaded.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    bench = bench_of(model, shape, device, smoke=smoke)
    decode: dict[CacheImplementation, float] = {}
    for kind in KINDS:
        bench.reflection.fixed_cache = None
        bench.reflection.cache_implementation = kind
        if smoke and kind == "compiled":  # a compiler of kernels is not what a smoke test is about
            bench.reflection.fixed_cache = FixedCache(bench.reflection, compiled=True, backend="eager")
        decode[kind] = decode_rate(bench, shape, device)
    best = max(decode, key=decode.__getitem__)
    bench.reflection.cache_implementation = best
    seconds = timed(bench.turn, device)
    memory = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None
    rate = shape.rows / seconds
    work = bench.flops_per_turn()
    vllm = None if smoke else vllm_rate(bench, shape)
    return Row(
        model,
        bench.weights,
        rate,
        decode,
        vllm,
        memory,
        bench.reckoned_bytes() / 1e9,
        work,
        rate * work / peak if peak else None,
        rate * work / matrix,
    )


def decode_rate(bench: Bench, shape: Shape, device: torch.device) -> float:
    """Tokens per second after the prompts have been read: the time of long answers less that of answers of one token."""
    whole = timed(lambda: bench.decode(shape.answer), device)
    reading = timed(lambda: bench.decode(1), device)
    return shape.rows * (shape.answer - 1) / max(whole - reading, 1e-9)


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds, the median of a few after two that are not counted: compiling and recording are over then."""
    seconds = []
    for _ in range(2 + RUNS):
        if device.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds[2:])[RUNS // 2]


def matrix_rate(device: torch.device, *, side: int) -> float:
    """FLOP/s of a product of two square matrices, in bfloat16 on CUDA and float32 elsewhere."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / timed(lambda: one @ other, device)


def print_table(name: str, shape: Shape, rows: Sequence[Row], *, matrix: float, smoke: bool) -> None:
    """A column for each model."""
    print(f"{name}; {shape.rows} rows, prompts of {shape.tokens} tokens, reflections of {shape.answer}, random prompts")
    if smoke:
        print("smoke: small models on the CPU; these numbers say nothing about a GPU")
    print(f"matrix product: {matrix / 1e12:.3g} TFLOP/s\n")
    lines: dict[str, Callable[[Row], str]] = {
        "weights": lambda row: row.weights,
        "turns per second": lambda row: f"{row.turns_per_second:,.1f}",
        **{f"decode tokens per second, {kind}": lambda row, kind=kind: f"{row.decode[kind]:,.0f}" for kind in KINDS},  # type: ignore[misc]
        "share of vLLM's decode": lambda row: "vLLM is not installed" if row.vllm is None else f"{max(row.decode.values()) / row.vllm:.0%}",
        "memory at its fullest, GB": lambda row: "not measured" if row.memory_gb is None else f"{row.memory_gb:.1f}",
        "memory reckoned by the preflight, GB": lambda row: f"{row.reckoned_gb:.2f}",
        "model GFLOP a turn": lambda row: f"{row.flops_per_turn / 1e9:,.3g}",
        "share of the data sheet's peak (MFU)": lambda row: "peak unknown" if row.share_of_peak is None else f"{row.share_of_peak:.1%}",
        "share of the matrix product measured": lambda row: f"{row.share_of_matrix:.1%}",
    }
    print(f"{'':<40}" + "".join(f"{row.model:>28}" for row in rows))
    for what, told in lines.items():
        print(f"{what:<40}" + "".join(f"{told(row):>28}" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
