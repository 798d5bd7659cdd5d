"""Scoring answers in batches against a loop over single ones: the same answers, the same model, one process, taken in turns.

Both ways compute log-probabilities of the same tokens under the same
prompts (checked to a rounding error); the loop passes one prompt and answer at a time and takes all logits, as a first script does.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence

import torch

from workbench.config import TinyConfig
from workbench.envs.arithmetic.problems import make_problems
from workbench.models.language_model import LanguageModel
from workbench.models.loading import build_tiny
from workbench.models.responses import score_responses
from workbench.models.scoring import chosen_log_probs
from workbench.models.solution_ids import SolutionIds
from workbench.models.tokenizer import train_tokenizer
from workbench.solution_prompts import SOLUTION_MARKERS, policy_prompt, rewrite_prompt

ROUNDING = 1e-3
"""Nats by which the two ways may differ."""
CPU_TARGET, GPU_TARGET = 3.0, 8.0
"""Times that batches are to be faster."""


@torch.inference_mode()
def one_by_one(player: LanguageModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> list[list[float]]:
    """Log-probabilities of each answer's tokens, one forward pass an answer."""
    found = []
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = torch.tensor([[*prompt, *answer]], device=player.device)
        logits_TV = player.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        found.append(chosen_log_probs(logits_TV, ids[0, len(prompt) :]).tolist())
    return found


def task(
    count: int, *, stage: str, device: torch.device, width: int, layers: int
) -> tuple[LanguageModel, list[list[int]], list[list[int]]]:
    """A model, rewrite prompts and answers; each answer is the solution of another problem of the same kind."""
    problems = make_problems("arithmetic", count=count, stage=stage, seed=0)
    texts = [rewrite_prompt(problem, problem.solution) for problem in problems[:200]] + [
        policy_prompt(problem) for problem in problems[:200]
    ]
    tokenizer = train_tokenizer(texts, whole=SOLUTION_MARKERS, vocab_size=384, pieces="digits")
    size = TinyConfig(n_layer=layers, n_embd=width, n_head=4, n_positions=512)
    player = LanguageModel(build_tiny(size, tokenizer, seed=0).to(device).eval(), tokenizer, adapter=None, name="tiny")  # type: ignore[arg-type]
    ids = SolutionIds(tokenizer)
    attempts = [problems[(place + 1) % count].solution for place in range(count)]
    prompts = [list(ids.rewrite(problem, attempt)) for problem, attempt in zip(problems, attempts, strict=True)]
    return player, prompts, [list(ids.answer(attempt)) for attempt in attempts]


def timed(function: object, *arguments: object) -> tuple[float, list[list[float]]]:
    """Seconds and result."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    found = function(*arguments)  # type: ignore[operator]
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, found


def main() -> None:
    """Measure and print; code 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--width", type=int, default=96, help="of the model; that of the preset arithmetic-rlmec by default")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--stage", default="short", help="of the problems; that of the preset arithmetic-rlmec by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    player, prompts, answers = task(
        options.answers, stage=options.stage, device=torch.device(options.device), width=options.width, layers=options.layers
    )
    player.activate()
    for way in (one_by_one, score_responses):
        way(player, prompts[:16], answers[:16])
    loops, batches = [], []
    for _ in range(options.repeats):
        seconds, alone = timed(one_by_one, player, prompts, answers)
        loops.append(seconds)
        seconds, together = timed(score_responses, player, prompts, answers)
        batches.append(seconds)
    difference = max(abs(x - y) for one, other in zip(alone, together, strict=True) for x, y in zip(one, other, strict=True))
    if difference > ROUNDING:
        raise SystemExit(f"the two ways differ by {difference} nats")
    tokens = sum(map(len, answers))
    faster = statistics.median(one / other for one, other in zip(loops, batches, strict=True))
    target = GPU_TARGET if options.device.startswith("cuda") else CPU_TARGET
    found = {
        "answers": options.answers,
        "tokens of answers": tokens,
        "weights of the model": sum(weight.numel() for weight in player.model.parameters()),
        "device, threads": f"{options.device}, {options.threads}",
        "one by one, seconds": f"{statistics.median(loops):.3f}",
        "in batches, seconds": f"{statistics.median(batches):.3f}",
        "in batches, tokens of answers a second": f"{tokens / statistics.median(batches):,.0f}",
        "times faster": f"{faster:.2f} (target {target})",
        "largest difference, nats": f"{difference:.1e}",
    }
    print("\n".join(f"{name:<40} {value}" for name, value in found.items()))
    sys.exit(faster < target)


if __name__ == "__main__":
    main()
