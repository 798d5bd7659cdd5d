"""RLMEC's score phase: policy and reward model look at every token of every answer, and the reward model is measured."""

import logging
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from workbench.envs.arithmetic.answers import is_right
from workbench.errors import ConfigError, RunStopped
from workbench.evaluation.reward_quality import calibration, calibration_error, edit_auroc, edit_share, shuffled_auroc
from workbench.models.language_model import LanguageModel
from workbench.models.loading import POLICY, REWARD
from workbench.models.responses import score_responses
from workbench.models.reward_model import Revision, RewardModel
from workbench.models.solution_ids import SolutionIds
from workbench.recipes.rlmec_data import held_out_ids
from workbench.recipes.session import Session
from workbench.solutions import Problem, Response, Rewrite, Status
from workbench.store.solutions import Score, read_problems, read_rewrites, read_samples, write_quality, write_scores
from workbench.trainers.checkpoint import save_checkpoint
from workbench.trainers.rlmec.samples import token_edits

log = logging.getLogger("workbench")
PHASE = "score"


class _Case(NamedTuple):
    problem: Problem
    response: Response


def score(session: Session, number: int) -> None:
    """Write what policy and reward model make of every answer of a round, and how good the reward model is on problems it has not seen."""
    started = time.perf_counter()
    known = {problem.problem_id: problem for problem in read_problems(session.paths)}
    responses = read_samples(session.paths, number)
    models = session.models(POLICY, REWARD) if session.weights(REWARD) is not None else {POLICY: session.model(POLICY)}
    if REWARD not in models and session.config.rlmec.method == "rlmec":
        raise ConfigError(
            "phases has score but no reward model was trained; add reward-model to phases, or train --from a run that has one"
        )
    # Equal answers to one problem are scored once.
    cases = {(response.problem_id, response.token_ids): _Case(known[response.problem_id], response) for response in responses}
    found = dict(zip(cases, _scores(session, models, list(cases.values()), number), strict=True))
    scores = [found[response.problem_id, response.token_ids] for response in responses]
    write_scores(session.paths, number, [response.problem_id for response in responses], scores)
    values = {"time/score_seconds": time.perf_counter() - started}
    if REWARD in models:
        quality = _quality(session, SolutionIds(models[REWARD].tokenizer), responses, read_rewrites(session.paths, number), scores)
        write_quality(session.paths, {"round": number, **quality})
        values |= {f"reward_model/{name}": value for name, value in quality.items() if isinstance(value, float)}
    session.writer.metrics(PHASE, number, values)
    log.info("score: %s", ", ".join(f"{name} {value:.3g}" for name, value in values.items()))
    save_checkpoint(session.checkpoints(PHASE), number, state={"store": session.writer.position()}, players={})


def _scores(session: Session, models: dict[str, LanguageModel], cases: Sequence[_Case], number: int) -> list[Score]:
    settings = session.config.rlmec
    problems, responses = [case.problem for case in cases], [case.response for case in cases]
    wrong = [place for place, case in enumerate(cases) if not case.response.is_right and REWARD in models]
    total = len(cases) * len(models) + len(wrong)
    with session.bar(PHASE, total, 0, "solution") as bar:

        def on_batch(count: int) -> None:
            bar.update(count)
            session.writer.beat(PHASE, int(bar.n), total)
            if session.writer.stop_requested():
                raise RunStopped(PHASE, number - 1)

        ids = SolutionIds(models[POLICY].tokenizer)
        policy = score_responses(
            models[POLICY],
            [ids.policy(problem) for problem in problems],
            [response.token_ids for response in responses],
            batch_tokens=settings.reward_model.batch_tokens,
            on_batch=on_batch,
        )
        if REWARD not in models:
            return [_score(case, own, [], None) for case, own in zip(cases, policy, strict=True)]
        judge = RewardModel(
            models[REWARD],
            max_new_tokens=settings.sampling.max_new_tokens,
            located_by=settings.reward_model.located_by,
            forced_prefix=settings.reward_model.forced_prefix,
            batch_size=settings.sampling.batch_size,
            batch_tokens=settings.reward_model.batch_tokens,
        )
        probabilities = judge.log_probs(problems, responses, on_batch=on_batch)
        revised = judge.revise([problems[place] for place in wrong], [responses[place] for place in wrong], on_batch=on_batch)
    revisions = dict(zip(wrong, revised, strict=True))
    return [
        _score(case, own, theirs, revisions.get(place))
        for place, (case, own, theirs) in enumerate(zip(cases, policy, probabilities, strict=True))
    ]


def _score(case: _Case, policy: list[float], reward_model: list[float], revision: Revision | None) -> Score:
    response = case.response
    if response.is_right:
        return Score(tuple(policy), tuple(reward_model), None, response.text, response.token_ids, "right")
    if revision is None:
        return Score(tuple(policy), tuple(reward_model), None, "", (), "failed")
    verified = revision.finished and is_right(case.problem, revision.text)
    status: Status = "repaired" if verified else "not-verified"
    return Score(tuple(policy), tuple(reward_model), revision.located, revision.text, revision.token_ids, status)


def _quality(
    session: Session, ids: SolutionIds, responses: Sequence[Response], rewrites: Sequence[Rewrite], scores: Sequence[Score]
) -> dict[str, Any]:
    """Measured on the problems whose rewrites the reward model has not seen; a number that cannot be had is left out."""
    held_out = held_out_ids(
        (one.problem_id for one in rewrites), session.config.rlmec.reward_model.held_out_share, seed=session.config.seed
    )
    own = [
        (response, rewrite, one)
        for response, rewrite, one in zip(responses, rewrites, scores, strict=True)
        if response.problem_id in held_out and rewrite.is_usable and response.token_ids
    ]
    wrong = [case for case in own if not case[0].is_right]
    found: dict[str, Any] = {"held_out_right": len(own) - len(wrong), "held_out_wrong": len(wrong)}
    probabilities, edited = _tokens(ids, own)
    if probabilities:
        table = calibration(probabilities, edited)
        found |= {"calibration_error": calibration_error(table), "calibration": [one._asdict() for one in table]}
    right, _ = _tokens(ids, [case for case in own if case[0].is_right])
    if right:
        found["right_probability"] = sum(right) / len(right)
    if wrong:
        found["located"] = sum(one.located_step == rewrite.first_wrong_step for _, rewrite, one in wrong) / len(wrong)
        found["repaired"] = sum(one.status == "repaired" for _, _, one in wrong) / len(wrong)
        found["edit_share"] = _mean([edit_share(response.token_ids, one.rewrite_token_ids) for response, _, one in wrong])
        found["teacher_edit_share"] = _mean([edit_share(response.token_ids, ids.answer(rewrite.text)) for response, rewrite, _ in wrong])
        probabilities, edited = _tokens(ids, wrong)
        for name, value in (
            ("auroc", edit_auroc(probabilities, edited)),
            ("auroc_shuffled", shuffled_auroc(probabilities, edited, seed=session.config.seed)),
        ):
            if value is not None:
                found[name] = value
    return found


def _tokens(ids: SolutionIds, cases: Sequence[tuple[Response, Rewrite, Score]]) -> tuple[list[float], list[bool]]:
    """Probability of every token under the reward model, and whether it must change, where that is known."""
    probabilities: list[float] = []
    edited: list[bool] = []
    for response, rewrite, one in cases:
        places = token_edits(ids.spans(response.token_ids), () if response.is_right else rewrite.edited_spans)
        if places is not None:
            probabilities += [min(1.0, math.exp(value)) for value in one.reward_model_log_probs]
            edited += places
    return probabilities, edited


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
