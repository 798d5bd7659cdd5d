"""Which instructions get an answer: many tasks, answers by program, a small model fine-tuned on the chosen ones.

The base model has read the pool's prompts, without answers, and some worked examples that are neither in the pool nor in the test: what
a pretrained model has picked up elsewhere. The test asks every task equally often, however rare it is in the pool.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from workbench.config import SFTSettings, TinyConfig
from workbench.data.sets import IGNORED, Row
from workbench.models.language_model import LanguageModel, left_padded
from workbench.models.loading import build_tiny
from workbench.models.tokenizer import train_tokenizer
from workbench.recipes.label_budget import Study
from workbench.recipes.label_budget_model import answer_log_likelihood, fine_tuned, steps
from workbench.recipes.label_budget_tasks import TASKS, Instruction, draw_instructions, shares_of, vocabulary
from workbench.seeding import derived_seed, generator
from workbench.selection.features import Features
from workbench.selection.pool import Pool, pool_from_rows
from workbench.selection.scores import score_prompts

BUDGETS = (64, 128, 256, 512)
ANSWER = "\nAnswer:"


@dataclass(frozen=True, slots=True)
class InstructionSettings:
    """Sizes of the study.

    Args:
        pool: Prompts to choose from.
        test: Prompts held out, a task.
        worked: Examples with answers that the base has seen, a task.
        tiny: The model.
        reading: Training of the base on prompts and worked examples.
        tuning: Fine-tuning on what was annotated.
        answer_tokens: Longest answer.
    """

    pool: int = 1200
    test: int = 15
    worked: int = 12
    tiny: TinyConfig = field(
        default_factory=lambda: TinyConfig(n_layer=2, n_embd=64, n_head=2, n_positions=64, vocab_size=1200, initializer_range=0.12)
    )
    reading: SFTSettings = field(default_factory=lambda: steps(400, 32, 5e-3))
    tuning: SFTSettings = field(default_factory=lambda: steps(120, 16, 5e-3))
    answer_tokens: int = 10


USUAL = InstructionSettings()


@dataclass
class InstructionArena:
    """One pool and seed; see :class:`~workbench.recipes.label_budget.Arena`.

    Attributes:
        settings: Sizes.
        seed: Of everything.
        instructions: The pool. Its answers stay unread until they are asked for.
        test: Held-out instructions, every task equally often.
        base: The model before any annotation.
    """

    settings: InstructionSettings
    seed: int
    instructions: Sequence[Instruction]
    test: Sequence[Instruction]
    base: LanguageModel
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        """The pool as designs may see it."""
        self.pool = pool_from_rows({"prompt": one.prompt + ANSWER, "task": one.task} for one in self.instructions)

    @cached_property
    def features(self) -> Features:
        """One pass of the base over the pool."""
        return score_prompts(self.base, self.pool.prompts, max_new_tokens=self.settings.answer_tokens, batch_size=256)

    def measure(self, places: Sequence[int]) -> dict[str, float]:
        """Exact match and log-likelihood of held-out answers, over tasks alike and weighed as the pool has them."""
        rows = [answer_row(self.instructions[place], self.base) for place in places]
        player = fine_tuned(self.base, rows, self.settings.tuning, seed=derived_seed(self.seed, "fine-tuning"))
        return self.tested(player) | {"answer_words": sum(len(self.instructions[place].answer.split()) for place in places)}

    def tested(self, player: LanguageModel) -> dict[str, float]:
        """How ``player`` answers the held-out instructions."""
        answers = greedy_answers(player, [one.prompt for one in self.test], max_new_tokens=self.settings.answer_tokens)
        right = Counter(one.task for one, answer in zip(self.test, answers, strict=True) if answer == one.answer)
        asked = Counter(one.task for one in self.test)
        counts = Counter(self.pool.tasks)
        as_pool = sum(right[task] / asked[task] * counts[task] for task in asked) / len(self.pool)
        return {
            "exact_match": round(sum(right.values()) / len(self.test), 4),
            "exact_match_as_pool": round(as_pool, 4),
            "log_likelihood": round(answer_log_likelihood(player, [answer_row(one, player) for one in self.test]), 4),
        }

    def facts(self) -> dict[str, float]:
        """Exact match of the base itself and of everything annotated, and how its scores go with length."""
        base, every = self.tested(self.base), self.measure(range(len(self.pool)))
        told = self.features.length_correlations()
        found = {"base_exact_match": base["exact_match"], "everything_exact_match": every["exact_match"]}
        return found | {f"length_{name}": round(told[name] or 0.0, 3) for name in ("entropy-mean", "margin-max", "surprisal-sum")}


def prompt_ids(prompt: str, player: LanguageModel) -> list[int]:
    """Token ids of an instruction as the model is asked it."""
    return list(player.tokenizer.encode(prompt + ANSWER, split_special_tokens=True))


def answer_row(one: Instruction, player: LanguageModel) -> Row:
    """An instruction and its answer; the loss covers the answer and its end-of-text."""
    told = prompt_ids(one.prompt, player)
    answer = [*player.tokenizer.encode(f" {one.answer}"), int(player.tokenizer.eos_token_id)]
    return Row([*told, *answer], [IGNORED] * len(told) + answer)


def reading_row(prompt: str, player: LanguageModel) -> Row:
    """An instruction without an answer, as text to be predicted."""
    told = prompt_ids(prompt, player)
    return Row(told, [IGNORED, *told[1:]])


@torch.inference_mode()
def greedy_answers(player: LanguageModel, prompts: Sequence[str], *, max_new_tokens: int) -> list[str]:
    """The most probable answer to every prompt, token by token, without surrounding spaces."""
    player.activate()
    batch = left_padded([prompt_ids(prompt, player) for prompt in prompts], player.pad_id, player.device)
    mask_BT = batch.mask_BT if batch.mask_BT is not None else torch.ones_like(batch.token_ids_BT)
    model: Any = player.model  # transformers' types take `generate` for a tensor
    ids_BT = model.generate(
        input_ids=batch.token_ids_BT,
        attention_mask=mask_BT,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=player.pad_id,
        eos_token_id=player.tokenizer.eos_token_id,
    )
    return [str(text).strip() for text in player.tokenizer.batch_decode(ids_BT[:, batch.token_ids_BT.shape[1] :], skip_special_tokens=True)]


def prepare(pool: str, seed: int, settings: InstructionSettings = USUAL) -> InstructionArena:
    """Draw the pool, the test and the worked examples, and train the base model."""
    dice, taken = generator(seed, "instructions", pool), set[str]()
    test = draw_instructions(dict.fromkeys(TASKS, settings.test), dice, taken)
    worked = draw_instructions(dict.fromkeys(TASKS, settings.worked), dice, taken)
    shares = shares_of(pool, dice)
    counts = {task: max(1, round(settings.pool * share)) for task, share in shares.items()}
    instructions = draw_instructions(counts, dice, taken)
    texts = [one.prompt + ANSWER for one in instructions] + [f"{one.prompt}{ANSWER} {one.answer}" for one in worked]
    # Words without what belongs to what: a tokenizer of all English knows them.
    texts += [f" {word}" for word in vocabulary() for _ in range(3)]
    tokenizer = train_tokenizer(texts, whole=[ANSWER], vocab_size=settings.tiny.vocab_size, pieces="bare-words")
    model = build_tiny(settings.tiny, tokenizer, seed=derived_seed(seed, "weights"))
    start = LanguageModel(model.eval(), tokenizer, adapter=None, name="tiny")
    # Worked examples as often as a tenth of the prompts, or they would drown.
    again = max(1, len(instructions) // (10 * len(worked)))
    rows = [reading_row(one.prompt, start) for one in instructions] + [answer_row(one, start) for one in worked] * again
    base = fine_tuned(start, rows, settings.reading, seed=derived_seed(seed, "reading"))
    return InstructionArena(settings, seed, instructions, test, base)


INSTRUCTIONS = Study("instructions", "exact_match", ("long-tailed", "balanced"), BUDGETS, prepare)
