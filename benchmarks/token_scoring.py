"""Scoring answers in batches against a loop over single ones: the same answers, the same model, one process, taken in turns.

What the phase ``score`` of RLMEC does: several answers to each problem, every token of them under the policy's prompt and under the reward
model's. Both ways compute log-probabilities of the same tokens under the same prompts (checked to a rounding error); the loop passes one
prompt and answer at a time and takes all logits, as a first script does. Batches are sorted by length, compute what prompts share once,
and logits where answers are alone.
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
from workbench.seeding import generator
from workbench.solution_prompts import SOLUTION_MARKERS, policy_prompt, rewrite_prompt

ROUNDING = 1e-3
"""Nats by which the two ways may differ."""
CPU_TARGET, GPU_TARGET = 3.0, 8.0
"""Times that batches are to be faster."""
Ids = Sequence[int]


@torch.inference_mode()
def one_by_one(player: LanguageModel, prompts: Sequence[Ids], answers: Sequence[Ids]) -> list[list[float]]:
    """Log-probabilities of each answer's tokens, one forward pass an answer."""
    found = []
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = torch.tensor([[*prompt, *answer]], device=player.device)
        logits_TV = player.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        found.append(chosen_log_probs(logits_TV, ids[0, len(prompt) :]).tolist())
    return found


def attempts(solution: str, count: int, name: str) -> list[str]:
    """Different answers to one problem: its solution with another digit here or there."""
    dice = generator(0, "attempts", name)
    places = [place for place, char in enumerate(solution) if char.isdigit()]
    found = [solution]
    while len(found) < count:
        place = int(dice.choice(places))
        text = solution[:place] + str(int(dice.integers(10))) + solution[place + 1 :]
        if text not in found:
            found.append(text)
    return found


def task(
    problems_wanted: int, samples: int, *, stage: str, device: torch.device, width: int, layers: int
) -> tuple[LanguageModel, dict[str, list[Ids]], list[Ids]]:
    """A model, the prompts of policy and reward model, and answers: those to one problem beside each other."""
    problems = make_problems("arithmetic", count=problems_wanted, stage=stage, seed=0)
    texts = [prompt for one in problems[:200] for prompt in (rewrite_prompt(one, one.solution), policy_prompt(one))]
    tokenizer = train_tokenizer(texts, whole=SOLUTION_MARKERS, vocab_size=384, pieces="digits")
    size = TinyConfig(n_layer=layers, n_embd=width, n_head=4, n_positions=512)
    player = LanguageModel(build_tiny(size, tokenizer, seed=0).to(device).eval(), tokenizer, adapter=None, name="tiny")  # type: ignore[arg-type]
    ids = SolutionIds(tokenizer)
    cases = [(problem, text) for problem in problems for text in attempts(problem.solution, samples, problem.problem_id)]
    prompts: dict[str, list[Ids]] = {
        "policy": [ids.policy(problem) for problem, _ in cases],
        "reward model": [ids.rewrite(problem, text) for problem, text in cases],
    }
    return player, prompts, [ids.answer(text) for _, text in cases]


def timed(function: object, *arguments: object) -> tuple[float, list[list[float]]]:
    """Seconds and result."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    found = function(*arguments)  # type: ignore[operator]
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, found


def compare(player: LanguageModel, prompts: list[Ids], answers: list[Ids], repeats: int) -> tuple[list[float], list[float], float]:
    """Seconds of the loop and of batches, taken in turns, and the largest difference of their numbers, nats."""
    for way in (one_by_one, score_responses):
        way(player, prompts[:16], answers[:16])
    loops, batches = [], []
    for _ in range(repeats):
        seconds, alone = timed(one_by_one, player, prompts, answers)
        loops.append(seconds)
        seconds, together = timed(score_responses, player, prompts, answers)
        batches.append(seconds)
    difference = max(abs(x - y) for one, other in zip(alone, together, strict=True) for x, y in zip(one, other, strict=True))
    if difference > ROUNDING:
        raise SystemExit(f"the two ways differ by {difference} nats")
    return loops, batches, difference


def main() -> None:
    """Measure and print; code 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--samples", type=int, default=3, help="answers to each problem; as in the preset arithmetic-rlmec by default")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--width", type=int, default=64, help="of the model; that of the preset arithmetic-rlmec by default")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--stage", default="easy", help="of the problems; that of the preset arithmetic-rlmec by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    player, prompts, answers = task(
        options.problems,
        options.samples,
        stage=options.stage,
        device=torch.device(options.device),
        width=options.width,
        layers=options.layers,
    )
    player.activate()
    print(f"{'weights of the model':<40} {sum(weight.numel() for weight in player.model.parameters()):,}")
    print(f"{'device, threads':<40} {options.device}, {options.threads}")
    print(f"{'answers, their tokens':<40} {len(answers):,}, {sum(map(len, answers)):,}")
    loops, batches = [0.0] * options.repeats, [0.0] * options.repeats
    for name, own in prompts.items():
        alone, together, difference = compare(player, own, answers, options.repeats)
        loops, batches = ([x + y for x, y in zip(one, other, strict=True)] for one, other in ((loops, alone), (batches, together)))
        faster = statistics.median(one / other for one, other in zip(alone, together, strict=True))
        told = f"one by one {statistics.median(alone):.3f} s, in batches {statistics.median(together):.3f} s, {faster:.2f} times faster"
        print(f"{f'prompts of the {name}':<40} {told} (largest difference {difference:.1e} nats)")
    faster = statistics.median(one / other for one, other in zip(loops, batches, strict=True))
    target = GPU_TARGET if options.device.startswith("cuda") else CPU_TARGET
    print(f"{'tokens of answers a second, in batches':<40} {2 * sum(map(len, answers)) / statistics.median(batches):,.0f}")
    print(f"{'times faster':<40} {faster:.2f} (target {target})")
    sys.exit(faster < target)


if __name__ == "__main__":
    main()
