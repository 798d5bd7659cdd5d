"""A plan for GPT-2 XL that is reckoned from a GPU's data sheet: nothing here was measured on a GPU.

What a turn costs is arithmetic where many tokens are read at once (the policy's prompt, forwards and backwards; the reflection
player's prompt) and memory traffic where one token is written at a time, but never less than starting the kernels takes.
"""

from typing import NamedTuple

GIGA = 1e9


class Gpu(NamedTuple):
    """A data sheet, and the share of it that is assumed to be reached."""

    name: str = "H100 (SXM, 80 GB)"
    flops: float = 989e12
    """Dense bfloat16, a second."""
    bandwidth: float = 3.35e12
    """Bytes a second."""
    flops_share: float = 0.35
    bandwidth_share: float = 0.6
    step_seconds: float = 0.003
    """Least time of a decoding step: about 600 kernels of 5 microseconds, as with CUDA graphs; without them several times that."""


class Model(NamedTuple):
    """GPT-2 XL in bfloat16 with LoRA adapters, both players over one base."""

    body: float = 1.475e9
    """48 blocks of 12 x 1600 x 1600 weights."""
    head: float = 0.080e9
    layers: int = 48
    hidden: int = 1600
    bytes: float = 2.0

    @property
    def weights(self) -> float:
        """Bytes of all weights."""
        return (self.body + self.head) * self.bytes

    @property
    def token_cache(self) -> float:
        """Bytes of keys and values that a token leaves."""
        return 2 * self.layers * self.hidden * self.bytes


class Task(NamedTuple):
    """What is to be learned; the numbers of DangerousTaxi with GPT-2's tokenizer are assumed, not counted."""

    prompt: int = 300
    answer: int = 40
    turns: int = 10
    trajectories: int = 64
    updates: int = 1000
    new_share: float = 1.0
    """Share of reflections that are not remembered: 1 for a player that samples."""
    env_seconds: float = 0.0005
    """Environment, prompts and records, a turn."""


def forward_flops(model: Model, tokens: int) -> float:
    """FLOPs of reading a text: two for a weight and token, and causal attention; logits at its end only.

    Example:
        >>> forward_flops(Model(body=1000, head=300, layers=2, hidden=10), 5)
        11600.0
    """
    return 2.0 * model.body * tokens + 2.0 * model.head + 2.0 * model.layers * model.hidden * tokens * tokens


def decode_seconds(gpu: Gpu, model: Model, task: Task, rows: int) -> float:
    """One step of ``rows`` texts: all weights and what their caches hold half-way through the answer go through memory once."""
    traffic = model.weights + rows * (task.prompt + task.answer / 2) * model.token_cache
    return max(gpu.step_seconds, traffic / (gpu.bandwidth * gpu.bandwidth_share))


def update_seconds(gpu: Gpu, model: Model, task: Task, gpus: int) -> dict[str, float]:
    """Seconds of one update with its trajectories shared out to ``gpus``; trajectories are played side by side.

    The all-reduce of a few million adapter weights is taken to cost nothing.
    """
    rows = max(1, -(-task.trajectories // gpus))
    reading = gpu.flops * gpu.flops_share
    prompt, whole = forward_flops(model, task.prompt), forward_flops(model, task.prompt + task.answer)
    reflect = task.turns * task.new_share * (rows * prompt / reading + task.answer * decode_seconds(gpu, model, task, rows))
    return {
        "reflect": reflect,
        "act": task.turns * max(gpu.step_seconds, rows * whole / reading),
        # Forwards once and backwards once: with LoRA the base's own gradients are not computed. Activations are computed again.
        "update": task.turns * rows * 3 * whole / reading,
        "env": task.turns * rows * task.env_seconds,
    }


def memory(model: Model, task: Task, rows: int, *, update_rows: int = 16) -> float:
    """Bytes on one GPU: weights, caches while decoding, or activations of a pass with gradient checkpointing."""
    length = task.prompt + task.answer
    caches = rows * length * model.token_cache
    activations = update_rows * length * model.hidden * (2 * model.layers + 34) * model.bytes / 2
    return model.weights + max(caches, activations)


def print_plan() -> None:
    """Tables in Markdown, with the assumptions."""
    gpu, model = Gpu(), Model()
    print("Reckoned, not measured. Assumed: " + ", ".join(f"{key} {value:g}" for key, value in gpu._asdict().items() if key != "name"))
    print(f"GPU: {gpu.name}. Task: " + ", ".join(f"{key} {value:g}" for key, value in Task()._asdict().items()) + "\n")
    print("| GPUs in one run | reflections | s per update: reflect / act / update / env | turns per second | hours | GB on a GPU |")
    print("| ---: | --- | --- | ---: | ---: | ---: |")
    for gpus in (1, 8, 64):
        for words, share in (("sampled", 1.0), ("greedy, 5 % new", 0.05)):
            task = Task(new_share=share)
            parts = update_seconds(gpu, model, task, gpus)
            seconds = sum(parts.values())
            rows = max(1, -(-task.trajectories // gpus))
            print(
                f"| {gpus} | {words} | " + " / ".join(f"{parts[part]:.2f}" for part in ("reflect", "act", "update", "env")) + " | "
                f"{task.trajectories * task.turns / seconds:,.0f} | {seconds * task.updates / 3600:.2f} | "
                f"{memory(model, task, rows) / GIGA:.0f} |"
            )
