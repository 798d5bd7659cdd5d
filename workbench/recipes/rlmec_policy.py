"""RLMEC's policy phase."""

import logging
from typing import Any

from workbench.models.language_model import LanguageModel
from workbench.models.loading import POLICY
from workbench.models.solution_ids import SolutionIds
from workbench.recipes.rlmec_judge import judge
from workbench.recipes.session import Session
from workbench.store.solutions import forget_tokens, read_problems, read_rewrites, read_samples, read_scores
from workbench.trainers.rlmec.preferences import PreferenceTraining, preferences
from workbench.trainers.rlmec.samples import Sources, make_samples
from workbench.trainers.rlmec.training import PHASE, PolicyTraining

log = logging.getLogger("workbench")


def train_policy(session: Session, number: int) -> None:
    """Train the policy on the answers of a round, from its newest checkpoint to the last update of the round."""
    settings = session.config.rlmec
    player = session.model(POLICY)
    training = _training(session, player, number)
    newest = session.newest(PHASE)
    if newest is not None and newest[1]["step"] > training.first:
        training.restore(*newest)
    forget_tokens(session.paths, training.update)
    total = settings.rounds * settings.policy.max_steps
    with session.bar(PHASE, total, training.update, "update") as bar:

        def progress(done: int, metrics: dict[str, float]) -> None:
            log.info("policy update %d of %d: loss %.4f", done, total, metrics["loss/total"])
            bar.set_postfix(loss=f"{metrics['loss/total']:.3f}")
            bar.update(done - bar.n)

        training.run(progress)


def _training(session: Session, player: LanguageModel, number: int) -> PolicyTraining:
    settings, seed, ids = session.config.rlmec, session.config.seed, SolutionIds(player.tokenizer)
    found = sources(session, number)
    by_preferences = settings.method == "dpo"
    shared: dict[str, Any] = {
        "config": settings,
        "player": player,
        "samples": [] if by_preferences else make_samples(found, settings, ids, seed=seed),
        "round_number": number,
        "paths": session.paths,
        "writer": session.writer,
        "checkpoints": session.checkpoints(PHASE),
        "judge": lambda update: _validate(session, player, update),
        "seed": seed,
    }
    return PreferenceTraining(**shared, pairs=preferences(found, ids)) if by_preferences else PolicyTraining(**shared)


def sources(session: Session, number: int) -> Sources:
    """The answers of a round with what its method needs to know about them."""
    method, paths = session.config.rlmec.method, session.paths
    return Sources(
        problems={problem.problem_id: problem for problem in read_problems(paths)},
        responses=read_samples(paths, number),
        rewrites=read_rewrites(paths, number) if method == "rlmec" else [],
        scores=read_scores(paths, number) if method not in ("sft", "rft") else [],
    )


def _validate(session: Session, player: LanguageModel, update: int) -> dict[str, float]:
    return {"evaluation/success_rate": judge(session, player, ["validation"], phase=PHASE, update=update)["success_rate"]}
