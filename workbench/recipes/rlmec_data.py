"""What RLMEC learns from: problems by purpose, the tokenizer of `tiny` players, and rows of token ids."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from workbench.config import ProblemSettings, RunConfig
from workbench.data.sets import IGNORED, Row
from workbench.data.solutions.files import formats, read_problems
from workbench.data.solutions.pairs import Pair, reward_model_pairs
from workbench.envs.arithmetic.problems import make_problems, task_names
from workbench.errors import ConfigError, DataError, nearest
from workbench.models.language_model import LanguageModel
from workbench.models.loading import load_tokenizer
from workbench.models.solution_ids import SolutionIds
from workbench.models.tokenizer import train_tokenizer
from workbench.seeding import generator
from workbench.solution_prompts import SOLUTION_MARKERS, locate_prompt, locate_target, policy_prompt, rewrite_prompt
from workbench.solutions import Problem, Rewrite

PURPOSES = ("warm-up", "train", "validation", "test", "held-out")
"""``Problem.split`` in a run. ``held-out`` has numbers or names of its own and exists for generated problems only."""


def problems_of(settings: ProblemSettings, *, seed: int) -> list[Problem]:
    """All problems of a run; ``split`` says what each is for.

    Raises:
        WorkbenchError: There is no such task, a file cannot be read, or there are too few problems.
    """
    if settings.train_file:
        return _from_files(settings)
    if settings.task not in task_names():
        known = ", ".join(formats())
        raise ConfigError(
            f"rlmec.problems.task={settings.task} is not generated here ({nearest(settings.task, task_names())}); "
            f"for a file of the form {known} also set rlmec.problems.train_file"
        )
    taught = _made(settings, settings.warm_up + settings.train, "train", seed)
    wanted = {"validation": settings.validation, "test": settings.test, "held-out": settings.held_out}
    return [
        *_named(taught[: settings.warm_up], "warm-up"),
        *_named(taught[settings.warm_up :], "train"),
        *(problem for split, count in wanted.items() if count for problem in _named(_made(settings, count, split, seed), split)),
    ]


def _made(settings: ProblemSettings, count: int, split: str, seed: int) -> Sequence[Problem]:
    return make_problems(settings.task, count=count, stage=settings.stage, split=split, seed=seed)


def _named(problems: Iterable[Problem], split: str) -> list[Problem]:
    return [replace(problem, split=split) for problem in problems]


def _from_files(settings: ProblemSettings) -> list[Problem]:
    wanted = {"warm-up": settings.warm_up, "train": settings.train, "validation": settings.validation}
    rest: list[Problem] = []
    if settings.test_file:
        rest = _named(read_problems(Path(settings.test_file), settings.task, split="test", limit=settings.test), "test")
    else:
        wanted["test"] = settings.test
    problems = read_problems(Path(settings.train_file), settings.task, limit=sum(wanted.values()))
    if len(problems) < sum(wanted.values()):
        asked = ", ".join(f"{name} {count}" for name, count in wanted.items())
        raise ConfigError(
            f"{settings.train_file}: holds {len(problems)} problems, but {sum(wanted.values())} are asked for ({asked}); "
            "lower rlmec.problems.warm_up, train, validation or test"
        )
    found, start = [], 0
    for split, count in wanted.items():
        found += _named(problems[start : start + count], split)
        start += count
    ids = {problem.problem_id for problem in found}
    return found + [problem for problem in rest if problem.problem_id not in ids]


def tokenizer_of(config: RunConfig, problems: Sequence[Problem]) -> PreTrainedTokenizerBase:
    """The players' tokenizer: trained on the text of these problems for ``tiny``, loaded otherwise."""
    if config.policy.model != "tiny":
        return load_tokenizer(config.policy.model)
    taught = [problem for problem in problems if problem.split in ("warm-up", "train")]
    texts = [policy_prompt(problem) + problem.solution for problem in taught]
    texts += [locate_prompt(problem, problem.solution) + locate_target(0) for problem in taught[:100]]
    tiny = config.policy.tiny
    return train_tokenizer(texts, whole=SOLUTION_MARKERS, vocab_size=tiny.vocab_size, pieces=tiny.pieces)


def solution_rows(problems: Iterable[Problem], player: LanguageModel) -> list[Row]:
    """Question and reference solution; the loss covers exactly the solution and its end-of-text.

    Raises:
        DataError: One is longer than the model's context.
    """
    ids = SolutionIds(player.tokenizer)
    return [_row(ids.policy(problem), ids.answer(problem.solution), player, problem.problem_id) for problem in problems]


def pair_rows(pairs: Iterable[Pair], player: LanguageModel) -> list[Row]:
    """Prompt and completion of the reward model; the loss covers exactly the completion and its end-of-text.

    Raises:
        DataError: One is longer than the model's context.
    """
    ids = SolutionIds(player.tokenizer)
    return [_row(ids.prompt(pair.prompt), ids.answer(pair.completion), player, pair.problem_id) for pair in pairs]


def _row(prompt: tuple[int, ...], answer: tuple[int, ...], player: LanguageModel, name: str) -> Row:
    if len(prompt) + len(answer) > player.context:
        raise DataError(
            f"problem {name!r}: prompt and answer have {len(prompt) + len(answer)} tokens, but the context of {player.name} is "
            f"{player.context}; leave it out or use a model with a longer context (tiny: policy.tiny.n_positions)"
        )
    return Row([*prompt, *answer], [IGNORED] * len(prompt) + list(answer))


def held_out_ids(problem_ids: Iterable[str], share: float, *, seed: int) -> set[str]:
    """Problems whose rewrites the reward model never sees, so that it can be checked on them; at least one."""
    names = sorted(set(problem_ids))
    order = generator(seed, "held out of the reward model").permutation(len(names))
    return {names[place] for place in order[: max(1, round(share * len(names)))]}


def taught_pairs(config: RunConfig, problems: Sequence[Problem], rewrites: Sequence[Rewrite]) -> list[Pair]:
    """Training pairs of the reward model, those of held-out problems left out.

    Raises:
        DataError: Nothing is left.
    """
    settings = config.rlmec.reward_model
    held_out = held_out_ids((rewrite.problem_id for rewrite in rewrites), settings.held_out_share, seed=config.seed)
    known = {problem.problem_id: problem for problem in problems}
    taught = [rewrite for rewrite in rewrites if rewrite.problem_id not in held_out]
    if settings.rewrites == "reference":
        taught = [
            replace(rewrite, text=known[rewrite.problem_id].solution) if rewrite.status == "repaired" else rewrite for rewrite in taught
        ]
    return reward_model_pairs(
        problems,
        taught,
        seed=config.seed,
        identity_ratio=1.0 if settings.identity_pairs else 0.0,
        locate=settings.located_by == "label",
    )


def longest_prompt(problems: Sequence[Problem], tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens of the longest rewrite prompt whose attempt is the reference solution, and of that solution behind it."""
    ids = SolutionIds(tokenizer)
    return max(
        (len(ids.prompt(rewrite_prompt(problem, problem.solution))) + len(ids.answer(problem.solution)) for problem in problems), default=0
    )
