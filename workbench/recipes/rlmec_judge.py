"""Judging a policy that writes worked solutions: its answers to problems that nothing was taught on."""

from collections.abc import Sequence
from typing import Any

from workbench.errors import ConfigError
from workbench.evaluation.statistics import wilson_interval
from workbench.models.language_model import LanguageModel
from workbench.models.loading import POLICY
from workbench.recipes.scope import Wanted
from workbench.recipes.session import Session
from workbench.rollout.solutions import answer_problems
from workbench.solutions import Response
from workbench.store.solutions import read_problems, write_evaluated


def judge(session: Session, player: LanguageModel, splits: Sequence[str], *, phase: str, update: int, keep: bool = False) -> dict[str, Any]:
    """Answer the problems of some splits once each; write the evaluation line, and give it.

    Args:
        session: The run.
        player: The policy.
        splits: What is asked (``Problem.split``).
        phase: Who judges.
        update: Of the policy.
        keep: Write the answers as well.

    Raises:
        ConfigError: There are no such problems.
    """
    values, responses = _answered(session, player, splits, Wanted())
    if keep:
        write_evaluated(session.paths, update, responses)
    values = {"phase": phase, "update": update, **values}
    session.writer.evaluation(values)
    return values


def judge_run(session: Session, wanted: Wanted) -> dict[str, Any]:
    """Accuracy of a run's newest policy, without touching the run.

    Args:
        session: The run.
        wanted: How many problems, which split, and the seed of dice where the temperature is above 0.

    Raises:
        ConfigError: There are no such problems, or of another stage than the run's own were asked for.
    """
    if wanted.trajectories is not None and wanted.trajectories < 1:
        raise ConfigError(f"--trajectories must be at least 1, found {wanted.trajectories}")
    split = wanted.split or session.config.evaluation.split
    return _answered(session, session.model(POLICY), splits_of(split), wanted)[0]


def splits_of(split: str) -> list[str]:
    """The splits of problems that ``evaluation.split`` names."""
    return ["train", "validation", "test"] if split == "all" else [split]


def _answered(session: Session, player: LanguageModel, splits: Sequence[str], wanted: Wanted) -> tuple[dict[str, Any], list[Response]]:
    settings, sampling = session.config.evaluation, session.config.rlmec.sampling
    problems = [problem for problem in read_problems(session.paths) if problem.split in splits]
    stages = sorted({problem.stage for problem in problems})
    if wanted.stage is not None:
        problems = [problem for problem in problems if problem.stage == wanted.stage]
    if not problems:
        found = f" and stage {wanted.stage!r} (there are {', '.join(stages) or 'none'})" if wanted.stage is not None else ""
        raise ConfigError(
            f"there are no problems of the split {', '.join(splits)}{found}; raise rlmec.problems.{splits[0].replace('-', '_')}"
        )
    problems = problems[: wanted.trajectories or settings.trajectories]
    responses = answer_problems(
        player,
        problems,
        temperature=settings.temperature,
        max_new_tokens=sampling.max_new_tokens,
        batch_size=sampling.batch_size,
        seed=settings.seed if wanted.seed is None else wanted.seed,
    )
    right = sum(response.is_right for response in responses)
    rate = wilson_interval(right, len(responses))
    values = {
        "stage": problems[0].stage,
        "split": "+".join(splits),
        "success_rate": rate.rate,
        "low": rate.low,
        "high": rate.high,
        "trajectories": len(responses),
        "successes": right,
        "mean_reward": rate.rate,
        "mean_length": sum(len(response.token_ids) for response in responses) / len(responses),
        "unfinished": sum(not response.finished for response in responses) / len(responses),
    }
    return values, responses
