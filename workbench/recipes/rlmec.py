"""RLMEC, phase by phase (Chen et al., Findings of ACL 2024, arXiv 2401.06081).

1. ``generate``: problems with worked solutions, and the tokenizer of `tiny` players.
2. ``sft-policy``: the policy learns to solve some of them, by supervision.
3. ``sample``: it answers others several times each.
4. ``rewrite``: a teacher finds the first wrong step of each wrong answer and rewrites it with as few edits as possible.
5. ``reward-model``: another model learns to do the same.
6. ``score``: it rewrites every answer and gives each token a probability; how good it is, is measured on problems it has not seen.
7. ``policy``: the policy learns from token rewards and weighted imitation, or by a baseline on the same answers.
8. ``evaluate``: on problems that nothing was taught on.

Phases 3 to 7 may be repeated (``rlmec.rounds``). Each continues from its newest checkpoint, so :func:`run` is also how a killed run
resumes.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.config import Phase
from workbench.data.answers import AnswerFile
from workbench.data.solutions.asking import AskingTeacher
from workbench.data.solutions.program import ProgramTeacher
from workbench.data.teachers.endpoint import EndpointSource
from workbench.data.teachers.recorded import RecordedSource
from workbench.errors import RunStopped
from workbench.models.loading import POLICY, REWARD
from workbench.recipes.rlmec_data import pair_rows, problems_of, solution_rows, taught_pairs, tokenizer_of
from workbench.recipes.rlmec_judge import judge, splits_of
from workbench.recipes.rlmec_policy import train_policy
from workbench.recipes.rlmec_score import score
from workbench.recipes.session import Session
from workbench.recipes.supervised import supervise
from workbench.rollout.solutions import answer_problems
from workbench.seeding import derived_seed
from workbench.solutions import Problem, Rewrite
from workbench.store.layout import TOKENIZER
from workbench.store.solutions import read_problems, read_rewrites, read_samples, write_problems, write_rewrites, write_samples
from workbench.trainers.checkpoint import save_checkpoint, steps

log = logging.getLogger("workbench")
_REPEATED: tuple[Phase, ...] = ("sample", "rewrite", "reward-model", "score", "policy")


def run(session: Session) -> dict[str, Any]:
    """Go through every phase the configuration names, from wherever the run stands; gives its last evaluation.

    Raises:
        RunStopped: A stop was asked for; everything is saved.
        WorkbenchError: Something a person can mend; the run goes on from its last checkpoint afterwards.
    """
    session.rewind()
    stages: dict[Phase, Callable[[int], None]] = {
        "generate": lambda _: generate_problems(session),
        "sft-policy": lambda _: warm_up(session),
        "sample": lambda number: sample(session, number),
        "rewrite": lambda number: rewrite(session, number),
        "reward-model": lambda number: train_reward_model(session, number),
        "score": lambda number: score(session, number),
        "policy": lambda number: train_policy(session, number),
        "evaluate": lambda _: evaluate(session),
    }
    for phase, number in _plan(session):
        if _is_done(session, phase, number):
            continue
        if session.writer.stop_requested():
            raise RunStopped(phase, 0)
        rounds = session.config.rlmec.rounds
        session.writer.event("phase", f"{phase} begins" + (f" (round {number} of {rounds})" if rounds > 1 and phase in _REPEATED else ""))
        log.info("%s begins", phase)
        stages[phase](number)
    found = session.newest("evaluate")
    return dict(found[1]["evaluation"]) if found else {}


def _plan(session: Session) -> list[tuple[Phase, int]]:
    """Every phase with the round it belongs to, in the order in which they are gone through."""
    named = session.config.phases
    before = [(phase, 1) for phase in named if phase in ("generate", "sft-policy")]
    rounds = range(1, session.config.rlmec.rounds + 1)
    repeated = [(phase, number) for number in rounds for phase in named if phase in _REPEATED]
    return [*before, *repeated, *((phase, 1) for phase in named if phase == "evaluate")]


def _is_done(session: Session, phase: Phase, number: int) -> bool:
    config = session.config
    ends = {
        "sft-policy": config.sft_policy.max_steps,
        "reward-model": number * config.rlmec.reward_model.training.max_steps,
        "policy": number * config.rlmec.policy.max_steps,
    }
    end = ends.get(phase, number)
    return end == 0 or max(steps(session.checkpoints(phase)), default=0) >= end


def generate_problems(session: Session) -> None:
    """Make or read the problems; train the tokenizer of `tiny` players on them."""
    started, config = time.perf_counter(), session.config
    problems = problems_of(config.rlmec.problems, seed=config.seed)
    write_problems(session.paths, problems)
    tokenizer = tokenizer_of(config, problems)
    keeps = config.policy.model == "tiny"
    values = {"data/problems": float(len(problems)), "time/generate_seconds": time.perf_counter() - started}
    _finish(session, "generate", 1, values, extra=(lambda folder: tokenizer.save_pretrained(folder / TOKENIZER)) if keeps else None)


def warm_up(session: Session) -> None:
    """Teach the policy the reference solutions of the warm-up problems."""
    player = session.model(POLICY)
    rows = solution_rows((problem for problem in read_problems(session.paths) if problem.split == "warm-up"), player)
    supervise(session, "sft-policy", POLICY, player, rows, session.config.sft_policy)


def asked_problems(session: Session) -> list[Problem]:
    """The problems that the policy is asked, and trained on."""
    return [problem for problem in read_problems(session.paths) if problem.split == "train"]


def sample(session: Session, number: int) -> None:
    """Let the policy answer every training problem several times."""
    config, started = session.config, time.perf_counter()
    settings, problems = config.rlmec.sampling, asked_problems(session)
    total = len(problems) * settings.samples_per_problem
    with session.bar("sample", total, 0, "solution") as bar:

        def on_batch(count: int) -> None:
            bar.update(count)
            session.writer.beat("sample", int(bar.n), total)
            if session.writer.stop_requested():
                raise RunStopped("sample", number - 1)

        responses = answer_problems(
            session.model(POLICY),
            problems,
            samples=settings.samples_per_problem,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_new_tokens=settings.max_new_tokens,
            batch_size=settings.batch_size,
            seed=derived_seed(config.seed, "sample", number),
            on_batch=on_batch,
        )
    write_samples(session.paths, number, responses)
    count = len(responses)
    values = {
        "sample/solutions": float(count),
        "sample/right": sum(response.is_right for response in responses) / count,
        "sample/unfinished": sum(not response.finished for response in responses) / count,
        "sample/length": sum(len(response.token_ids) for response in responses) / count,
        "time/sample_seconds": time.perf_counter() - started,
    }
    _finish(session, "sample", number, values)


def rewrite(session: Session, number: int) -> None:
    """Have a teacher rewrite what is wrong."""
    started = time.perf_counter()
    known = {problem.problem_id: problem for problem in asked_problems(session)}
    responses = read_samples(session.paths, number)
    rewrites = _taught(session, [known[response.problem_id] for response in responses], [response.text for response in responses])
    # An answer that was cut off is wrong whatever its last line says; a program or a model that reads only the text cannot know.
    rewrites = [
        one if response.is_right or one.status != "right" else _unfinished(one) for one, response in zip(rewrites, responses, strict=True)
    ]
    write_rewrites(session.paths, number, rewrites)
    counts = {
        status: sum(one.status == status for one in rewrites) for status in ("right", "repaired", "not-located", "not-verified", "failed")
    }
    values = {f"rewrite/{status.replace('-', '_')}": count / len(rewrites) for status, count in counts.items()}
    _finish(session, "rewrite", number, {**values, "time/rewrite_seconds": time.perf_counter() - started})


def _unfinished(one: Rewrite) -> Rewrite:
    return Rewrite(one.problem_id, one.original, None, "", "not-located")


def _taught(session: Session, problems: list[Problem], texts: list[str]) -> list[Rewrite]:
    if session.config.rlmec.teacher == "program":
        return ProgramTeacher().rewrite_all(problems, texts)
    if session.config.data.teacher.kind == "recorded":
        return AskingTeacher(RecordedSource(Path(session.config.data.teacher.recording))).rewrite_all(problems, texts)
    with AnswerFile(session.paths.data) as answers:
        source = EndpointSource(
            session.config.data.teacher,
            answers,
            should_stop=session.writer.stop_requested,
            watch=lambda done, total, spending: session.writer.beat("rewrite", done, total),
            seed=session.config.seed,
        )
        return AskingTeacher(source).rewrite_all(problems, texts)


def train_reward_model(session: Session, number: int) -> None:
    """Teach the reward model to locate, to rewrite, and to leave what is right."""
    config, settings = session.config, session.config.rlmec.reward_model
    models = session.models(POLICY, REWARD)
    pairs = taught_pairs(config, asked_problems(session), read_rewrites(session.paths, number))

    def begin() -> None:
        own = settings.start == "policy" and config.policy.model == "tiny" and settings.model in (None, "tiny")
        if number == 1 and own:
            models[REWARD].model.load_state_dict(models[POLICY].model.state_dict())

    supervise(
        session,
        "reward-model",
        REWARD,
        models[REWARD],
        pair_rows(pairs, models[REWARD]),
        settings.training,
        first=(number - 1) * settings.training.max_steps,
        begin=begin,
    )


def evaluate(session: Session) -> None:
    """Judge the policy on problems that nothing was taught on."""
    config, started = session.config, time.perf_counter()
    update = max(steps(session.checkpoints("policy")), default=0)
    splits = splits_of(config.evaluation.split)
    if config.rlmec.problems.held_out and not config.rlmec.problems.train_file:
        judge(session, session.model(POLICY), ["held-out"], phase="evaluate", update=update)
    found = judge(session, session.model(POLICY), splits, phase="evaluate", update=update, keep=True)
    values = {"success/rate": found["success_rate"], "time/evaluate_seconds": time.perf_counter() - started}
    _finish(session, "evaluate", 1, values, {"evaluation": found})


def _finish(
    session: Session,
    phase: Phase,
    number: int,
    values: dict[str, float],
    state: dict[str, Any] | None = None,
    extra: Callable[[Path], object] | None = None,
) -> None:
    session.writer.metrics(phase, number, values)
    log.info("%s: %s", phase, ", ".join(f"{name} {value:.3g}" for name, value in values.items()))
    save_checkpoint(
        session.checkpoints(phase), number, state={**(state or {}), "store": session.writer.position()}, players={}, extra=extra
    )
