"""What one update of the policy learns from: responses with a reward for every token, and targets of imitation with a weight for every
token.

Every method is one way to fill in these numbers, so that all share one loop, one budget and one loss.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.config import ObjectiveSettings, RlmecConfig
from workbench.errors import DataError
from workbench.models.solution_ids import SolutionIds
from workbench.seeding import generator
from workbench.solutions import Problem, Response, Rewrite, Span, is_edited
from workbench.store.solutions import Score
from workbench.trainers.rlmec.edits import edit_weights, edited_places
from workbench.trainers.rlmec.rewards import (
    first_step_blamed,
    oracle_rewards,
    process_rewards,
    sequence_advantages,
    token_rewards,
    uniform_rewards,
)


@dataclass(frozen=True)
class Sample:
    """One response and what becomes of it. Axis letters: T tokens of the response, U of the target."""

    number: int
    """Place among the responses of its round."""
    problem_id: str
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    old_log_probs_T: Tensor
    """Under the policy that wrote it, nats."""
    rewards_T: Tensor
    target_ids: tuple[int, ...]
    """What is imitated; the response itself where that is right; empty where nothing is."""
    weights_U: Tensor
    reward_model_probs: tuple[float, ...] | None = None
    """Of the response's tokens; None where no reward model was asked."""
    edited: tuple[bool, ...] | None = None
    """Which tokens of the response the true edit set touches; None when it is not known."""
    target_edited: tuple[bool, ...] = ()
    """Which tokens of the target a shortest edit puts there."""

    @property
    def repeats(self) -> bool:
        """True where the response is its own target."""
        return self.target_ids == self.response_ids


@dataclass(frozen=True)
class Sources:
    """The responses of one round with everything that is known about them, in one order."""

    problems: Mapping[str, Problem]
    responses: Sequence[Response]
    rewrites: Sequence[Rewrite]
    scores: Sequence[Score]


def make_samples(sources: Sources, config: RlmecConfig, ids: SolutionIds, *, seed: int) -> list[Sample]:
    """The samples of a method, in a fixed order.

    Raises:
        DataError: Nothing is left to learn from, or the reward asks for an edit set that nobody knows.
    """
    makers: dict[str, Callable[[], list[Sample]]] = {
        "rlmec": lambda: _rlmec(sources, config.objective, config.policy.max_right_per_problem, ids, seed),
        "sft": lambda: _references(sources, ids),
        "rft": lambda: _own_right(sources, config.policy.max_right_per_problem, ids),
        "ppo-sequence": lambda: _sequences(sources, ids, grouped=False),
        "grpo-sequence": lambda: _sequences(sources, ids, grouped=True),
    }
    samples = makers[config.method]()
    if not samples:
        right = sum(response.is_right for response in sources.responses)
        raise DataError(
            f"method {config.method} has nothing to learn from: of {len(sources.responses)} solutions {right} are right and "
            f"{sum(score.status == 'repaired' for score in sources.scores)} were repaired; sample more, or train the reward model longer"
        )
    return samples


def token_edits(spans: Sequence[Span], edited_spans: tuple[Span, ...] | None) -> tuple[bool, ...] | None:
    """For every token, by its range of characters, whether the true edit set touches it; None when that is not known."""
    return None if edited_spans is None else tuple(is_edited(span, edited_spans) for span in spans)


def _rlmec(sources: Sources, settings: ObjectiveSettings, most_right: int, ids: SolutionIds, seed: int) -> list[Sample]:
    found = []
    for number in _different(sources, most_right):
        response, rewrite, score = sources.responses[number], sources.rewrites[number], sources.scores[number]
        target = _target(response, rewrite, score, settings, ids)
        if target is None:  # what nobody could mend is not learnt from
            continue
        spans = ids.spans(response.token_ids)
        edited = token_edits(spans, () if response.is_right else rewrite.edited_spans)
        probabilities = tuple(min(1.0, float(value)) for value in torch.tensor(score.reward_model_log_probs).exp())
        new = set(edited_places(response.token_ids, target))
        found.append(
            Sample(
                number=number,
                problem_id=response.problem_id,
                prompt_ids=ids.policy(sources.problems[response.problem_id]),
                response_ids=response.token_ids,
                old_log_probs_T=torch.tensor(score.policy_log_probs),
                rewards_T=_rewards(response, rewrite, probabilities, spans, edited, settings, seed, number),
                target_ids=target,
                weights_U=edit_weights(
                    response.token_ids, target, edited=settings.edited_weight, kept=settings.kept_weight, variant=settings.edit_weights
                ),
                reward_model_probs=probabilities,
                edited=edited,
                target_edited=tuple(place in new for place in range(len(target))),
            )
        )
    return found


def _target(response: Response, rewrite: Rewrite, score: Score, settings: ObjectiveSettings, ids: SolutionIds) -> tuple[int, ...] | None:
    if response.is_right:
        return response.token_ids
    if settings.rewriter == "teacher":
        return ids.answer(rewrite.text) if rewrite.status == "repaired" else None
    return score.rewrite_token_ids if score.status == "repaired" else None


def _rewards(
    response: Response,
    rewrite: Rewrite,
    probabilities: tuple[float, ...],
    spans: Sequence[Span],
    edited: tuple[bool, ...] | None,
    settings: ObjectiveSettings,
    seed: int,
    number: int,
) -> Tensor:
    limits = {"floor": settings.floor, "ceiling": settings.ceiling}
    lines = [response.text.count("\n", 0, start) for start, _ in spans]
    if settings.reward == "uniform":
        return uniform_rewards(response.is_right, len(spans), **limits)
    if settings.reward == "process":
        return process_rewards(lines, rewrite.first_wrong_step, response.is_right, **limits)
    if settings.reward == "oracle-mask":
        if edited is None:
            raise DataError(
                "objective.reward=oracle-mask needs the true edit set, which only the teacher `program` knows; use another reward"
            )
        rewards_T = oracle_rewards(edited, response.is_right, **limits)
    else:
        rewards_T = token_rewards(probabilities, response.is_right, threshold=settings.threshold, **limits)
    if settings.blamed == "first-step":
        rewards_T = first_step_blamed(rewards_T, lines)
    if settings.reward == "shuffled":
        rewards_T = rewards_T[torch.from_numpy(generator(seed, "shuffled rewards", number).permutation(len(spans)))]
    return rewards_T


def _different(sources: Sources, most_right: int) -> list[int]:
    """Places of the responses without repetitions: the same problem and text, spaces and full stops aside."""
    seen: set[tuple[str, str]] = set()
    right: dict[str, int] = {}
    places = []
    for number, response in enumerate(sources.responses):
        key = (response.problem_id, "".join(response.text.split()).replace(".", ""))
        if key in seen or not response.token_ids:
            continue
        seen.add(key)
        if response.is_right:
            right[response.problem_id] = right.get(response.problem_id, 0) + 1
            if most_right and right[response.problem_id] > most_right:
                continue
        places.append(number)
    return places


def _imitation(number: int, problem: Problem, target: tuple[int, ...], ids: SolutionIds) -> Sample:
    nothing = torch.zeros(len(target))
    return Sample(number, problem.problem_id, ids.policy(problem), target, nothing, nothing, target, torch.ones(len(target)))


def _references(sources: Sources, ids: SolutionIds) -> list[Sample]:
    asked = dict.fromkeys(response.problem_id for response in sources.responses)
    problems = [sources.problems[name] for name in asked]
    return [_imitation(number, problem, ids.answer(problem.solution), ids) for number, problem in enumerate(problems)]


def _own_right(sources: Sources, most_right: int, ids: SolutionIds) -> list[Sample]:
    return [
        _imitation(number, sources.problems[sources.responses[number].problem_id], sources.responses[number].token_ids, ids)
        for number in _different(sources, most_right)
        if sources.responses[number].is_right
    ]


def _sequences(sources: Sources, ids: SolutionIds, *, grouped: bool) -> list[Sample]:
    places = {name: place for place, name in enumerate(dict.fromkeys(response.problem_id for response in sources.responses))}
    groups = [places[response.problem_id] for response in sources.responses] if grouped else None
    scores_S = torch.tensor([float(response.is_right) for response in sources.responses])
    advantages = sequence_advantages(scores_S, groups).tolist() if sources.responses else []
    return [
        Sample(
            number,
            response.problem_id,
            ids.policy(sources.problems[response.problem_id]),
            response.token_ids,
            torch.tensor(score.policy_log_probs),
            torch.full((len(response.token_ids),), advantage),
            (),
            torch.zeros(0),
        )
        for number, (response, score, advantage) in enumerate(zip(sources.responses, sources.scores, advantages, strict=True))
        if response.token_ids and advantage != 0
    ]
