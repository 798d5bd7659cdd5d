"""Reflect-RL, stage by stage (Zhou, Du, Li: ACL 2024, arXiv 2402.12621).

1. :func:`generate_data`: behaviours and negative examples with a teacher's reflections, the five SFT sets.
2. :func:`warm_up`: both players by supervision.
3. :func:`fine_tune`: the policy online, the reflection player frozen, a curriculum over stages.
4. :func:`judge`: the full task on held-out start states.

Each stage continues from its newest checkpoint, so :func:`run` is also how a killed run resumes.
"""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from workbench.config import Phase, PolicyConfig
from workbench.data.sets import EXAMPLES_FILE, Row, policy_row, read_examples, reflection_row
from workbench.data.teachers import make_teacher
from workbench.data.warm_up import warm_up_examples, with_other_reflections
from workbench.errors import ConfigError, RunStopped
from workbench.evaluation.evaluate import evaluate, evaluation_name
from workbench.models.commands import COMMAND_ROOM
from workbench.models.language_model import LanguageModel
from workbench.models.loading import POLICY, REFLECTION, Players
from workbench.models.policy import Policy
from workbench.models.reflection import HintReflection, ModelReflection, ReflectionPlayer, ShuffledReflection
from workbench.prompts import PromptBuilder
from workbench.recipes.remote import remote_player
from workbench.recipes.session import Session
from workbench.recipes.sets import asking_bar, make_sets
from workbench.recipes.supervised import supervise
from workbench.records import Reflection
from workbench.rollout.collect import Collector
from workbench.rollout.play import Rules, Situation
from workbench.rollout.together import shared
from workbench.seeding import generator
from workbench.store.layout import TOKENIZER
from workbench.trainers.checkpoint import save_checkpoint
from workbench.trainers.loop import OnlineLoop

SHUFFLED_POOL = 256
PLAYED: tuple[Phase, ...] = ("rl", "evaluate")
"""Phases that the processes of a team share; in the others the leader works and its partners wait."""

log = logging.getLogger("workbench")


def run(session: Session) -> dict[str, Any]:
    """Go through every phase the configuration names, from wherever the run stands; gives its last evaluation.

    Raises:
        RunStopped: A stop was asked for; everything is saved.
        WorkbenchError: Something a person can mend; the run goes on from its last checkpoint afterwards.
    """
    if session.team.leads:
        session.rewind()
    stages: dict[Phase, Callable[[], None]] = {
        "generate": lambda: generate_data(session),
        "sft-reflection": lambda: warm_up(session, REFLECTION),
        "sft-policy": lambda: warm_up(session, POLICY),
        "rl": lambda: fine_tune(session),
        "evaluate": lambda: judge(session),
    }
    for phase in session.config.phases:
        # Asked together, so that nobody goes on before the leader has written what the others read.
        if session.team.agreed(session.is_done(phase)):
            continue
        if session.team.agreed(session.writer.stop_requested()):
            raise RunStopped(phase, 0)
        session.writer.event("phase", f"{phase} begins")
        log.info("%s begins", phase)
        if phase in PLAYED or session.team.leads:
            stages[phase]()
    found = session.newest("evaluate")
    return dict(found[1]["evaluation"]) if found else {}


def generate_data(session: Session) -> None:
    """The five SFT sets of this run, and the tokenizer of ``tiny`` players."""
    config = session.config
    started = time.perf_counter()
    writer = session.writer
    with (
        session.bar("generate", config.data.trajectories + config.data.negatives, 0, "trajectory") as bar,
        asking_bar(writer.beat, show=session.show_progress) as watch,
    ):
        examples, tokenizer = make_sets(
            config,
            session.make_env(),
            session.tasks,
            session.paths.data,
            on_progress=bar.update,
            should_stop=writer.stop_requested,
            watch=watch,
        )
    writer.metrics("generate", 1, {"data/examples": float(len(examples)), "time/generate_seconds": time.perf_counter() - started})
    keeps = "tiny" in (config.policy.model, config.reflection.model)
    _finish(session, "generate", {}, extra=(lambda folder: tokenizer.save_pretrained(folder / TOKENIZER)) if keeps else None)


def warm_up(session: Session, role: str) -> None:
    """Supervised warm-up of one player, from its newest checkpoint to its last step."""
    config, phase = session.config, f"sft-{role}"
    settings = config.sft_reflection if role == REFLECTION else config.sft_policy
    players = session.players()
    player = players.policy if role == POLICY else players.reflection
    assert player is not None
    rows = training_rows(session, player, role)
    supervise(session, phase, role, player, rows, settings, begin=lambda: _take_over(session, players) if role == POLICY else None)


def _take_over(session: Session, players: Players) -> None:
    """Begin the policy with the reflection player's weights where both are `tiny` and the configuration says so."""
    config, source = session.config, players.reflection
    both_tiny = config.policy.model == "tiny" and config.reflection.model in (None, "tiny")
    if config.policy.tiny.policy_from_reflection and both_tiny and source is not None:
        players.policy.model.load_state_dict(source.model.state_dict())


def training_rows(session: Session, player: LanguageModel, role: str) -> list[Row]:
    """Token ids of the training split for one player, with exactly the loss that is meant."""
    config = session.config
    if not (session.paths.data / EXAMPLES_FILE).is_file():
        raise ConfigError(f"the {role} player's warm-up has no data; add generate to phases, or train --from a run that has it")
    every = read_examples(session.paths.data)
    examples = warm_up_examples(every, config.data, seed=config.seed)
    if role == REFLECTION:
        prompts = player.prompts(room=config.reflection.max_new_tokens)
        eos = int(player.tokenizer.eos_token_id)
        return [reflection_row(example, prompts, eos, max_new_tokens=config.reflection.max_new_tokens) for _, example in examples]
    prompts = policy_prompts(player, config.policy)
    with_reflection = config.reflection.kind != "none"
    if config.reflection.kind == "shuffled":
        examples = with_other_reflections(examples, seed=config.seed)
    # Other numbers are other dice: the first shuffle is that of the SFT sets, further ones follow after all numbers in use.
    used = 1 + max((number for number, example in enumerate(every) if example.split == "train"), default=0)
    return [
        policy_row(
            example,
            number + shuffle * used,
            prompts,
            config.data,
            seed=config.seed,
            with_reflection=with_reflection,
            speaks=config.policy.scoring != "label",
        )
        for shuffle in range(config.data.label_shuffles)
        for number, example in examples
    ]


def policy_prompts(player: LanguageModel, config: PolicyConfig) -> PromptBuilder:
    """The builder of a policy's prompts, with room for what it answers."""
    return player.prompts(room=1 if config.scoring == "label" else COMMAND_ROOM, limit=config.max_prompt_tokens)


def make_collector(session: Session, players: Players) -> Collector:
    """The two players, ready to play in batches."""
    config = session.config
    reflection = reflection_player(session, players)
    teacher = make_teacher(session.make_env()) if reflection is not None and reflection.wants_hint else None
    rules = Rules(
        prompts=policy_prompts(players.policy, config.policy),
        reflects=reflection is not None,
        shares_tokens=players.reflection is not None and _same_tokens(players.policy.tokenizer, players.reflection.tokenizer),
        temperature=config.rl.temperature,
        hint=teacher.reflect if teacher else None,
        oracle_commands=config.record.oracle_commands,
        speaks=config.policy.scoring != "label",
    )
    policy = Policy(players.policy, scoring=config.policy.scoring)
    return Collector(session.make_env, policy, reflection, rules, config.rl.rollout_batch_size)


def reflection_player(session: Session, players: Players) -> ReflectionPlayer | None:
    """The reflection player the configuration asks for, frozen; None when nobody reflects."""
    settings = session.config.reflection
    if settings.kind == "none":
        return None
    if settings.kind == "oracle":
        return HintReflection()
    if settings.kind == "endpoint":
        return remote_player(session, players.policy)
    assert players.reflection is not None
    player = ModelReflection(
        players.reflection,
        greedy=settings.decoding == "greedy",
        temperature=settings.temperature,
        max_new_tokens=settings.max_new_tokens,
    )
    return ShuffledReflection(_pool(session, player)) if settings.kind == "shuffled" else player


def fine_tune(session: Session) -> None:
    """Online RL of the policy from its newest checkpoint to the last update."""
    config = session.config
    collector = shared(make_collector(session, session.players()), session.team)
    loop = OnlineLoop(config, collector, session.tasks, session.writer, session.checkpoints("rl"), session.team)
    newest = session.newest("rl")
    if newest is not None:
        loop.restore(*newest)
    with session.bar("rl", config.rl.max_steps, loop.update, "update") as bar:

        def progress(done: int, metrics: dict[str, float]) -> None:
            log.info(
                "rl update %d of %d: success %.2f, reward %.2f", done, config.rl.max_steps, metrics["success/rate"], metrics["reward/mean"]
            )
            bar.set_postfix(stage=loop.curriculum.stages[int(metrics["curriculum/stage"])], success=f"{metrics['success/rate']:.2f}")
            bar.update(done - bar.n)

        loop.run(progress)


def judge(session: Session) -> None:
    """Evaluate the policy over the configured split, last on the full task, and write what was played."""
    config = session.config
    settings, own = config.evaluation, session.make_env().stages
    update = config.rl.max_steps if "rl" in config.phases else 0
    collector = shared(make_collector(session, session.players()), session.team)
    stages = list(dict.fromkeys([*settings.stages, own[-1]]))

    def played(bar: "tqdm[Any]") -> None:
        bar.update(1)
        session.writer.beat("evaluate", int(bar.n), settings.trajectories * len(stages))

    started = time.perf_counter()
    with session.bar("evaluate", settings.trajectories * len(stages), 0, "trajectory") as bar:
        for stage in stages:
            found = evaluate(
                collector,
                session.tasks[stage][settings.split],
                stage=stage,
                count=settings.trajectories,
                seed=settings.seed,
                temperature=settings.temperature,
                phase="evaluate",
                update=update,
                name=evaluation_name(stage, own),
                on_done=lambda trajectory: played(bar),
            )
            values = {"phase": "evaluate", "update": update, "stage": stage, "split": settings.split, **found.values()}
            session.writer.evaluation(values)
            session.writer.trajectories(found.trajectories)
    session.writer.metrics("evaluate", 1, {"success/rate": found.success.rate, "time/evaluate_seconds": time.perf_counter() - started})
    _finish(session, "evaluate", {"evaluation": values})


def _finish(session: Session, phase: str, state: dict[str, Any], extra: Callable[[Path], object] | None = None) -> None:
    if session.team.leads:
        save_checkpoint(session.checkpoints(phase), 1, state={**state, "store": session.writer.position()}, players={}, extra=extra)


def _same_tokens(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    return one is other or json.dumps(one.get_vocab(), sort_keys=True) == json.dumps(other.get_vocab(), sort_keys=True)


def _pool(session: Session, player: ModelReflection) -> list[Reflection]:
    examples = read_examples(session.paths.data)
    dice = generator(session.config.seed, "shuffled")
    chosen = [examples[int(place)] for place in dice.permutation(len(examples))[:SHUFFLED_POOL]]
    return player.reflect([Situation(one.task_statement, one.observation, None, dice) for one in chosen])
