"""Who takes part in ``rollout.py``: the library's own online loop, and the reference."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reference_loop import REFLECTION_TOKENS, ReferenceLoop
from work import Work

from workbench.evaluation.evaluate import evaluate
from workbench.models.reflection import ModelReflection
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.session import Session
from workbench.records import Trajectory
from workbench.rollout.collect import Collector
from workbench.rollout.play import Assignment, Rules
from workbench.trainers.loop import PHASE, OnlineLoop

PARTS = ("reflect", "act", "env", "update", "write")
"""Of an iteration's time; collecting is the first three."""


class Iteration(NamedTuple):
    """One iteration of one contestant."""

    seconds: float
    parts: dict[str, float]
    """Seconds of each of ``PARTS``."""
    trajectories: int
    turns: int
    successes: int
    prompt_tokens: int
    """Of the policy's prompts."""
    reflection_tokens: int
    """Of the reflections in them."""
    decoded_tokens: int
    """That the reflection player sampled."""
    flops: float
    padded_flops: float
    update_flops: float
    model_flops: float
    """As if no two prompts shared a beginning."""

    @property
    def speed(self) -> float:
        """Turns per second."""
        return self.turns / self.seconds


@dataclass
class WatchedCollector(Collector):
    """Remembers what was played."""

    played: list[Trajectory] = field(default_factory=list)

    def collect(
        self, assignments: Sequence[Assignment], *, rules: Rules | None = None, on_done: Callable[[Trajectory], object] | None = None
    ) -> list[Trajectory]:
        """Play every assignment."""
        self.played = super().collect(assignments, rules=rules, on_done=on_done)
        return self.played


class Ours:
    """The library's own loop, recording every trajectory with the real writer."""

    def __init__(self, session: Session) -> None:
        players = session.players()
        made = make_collector(session, players)
        assert players.reflection is not None and isinstance(made.reflection, ModelReflection)
        self.reflection = made.reflection
        self.collector = WatchedCollector(made.make_env, made.policy, made.reflection, made.rules, made.batch_size)
        self.loop = OnlineLoop(session.config, self.collector, session.tasks, session.writer, session.checkpoints(PHASE))
        self.work = Work(players.policy.model, players.reflection.model)
        self.work.watch(players.policy)

    def iterate(self) -> Iteration:
        """Collect, learn, record."""
        decoded = self.reflection.tokens_decoded
        self.work.clear()
        started = time.perf_counter()
        metrics = self.loop.step()
        stepped = time.perf_counter()
        self.loop.writer.metrics(PHASE, self.loop.update, metrics)
        self.loop.writer.beat(PHASE, self.loop.update, self.loop.update)
        ended = time.perf_counter()
        parts = {part: metrics[f"time/{part}_seconds"] for part in PARTS}
        parts["write"] += ended - stepped
        played = self.collector.played
        return Iteration(
            seconds=ended - started,
            parts=parts,
            trajectories=len(played),
            turns=int(metrics["rollout/turns"]),
            successes=sum(trajectory.success for trajectory in played),
            prompt_tokens=int(metrics["rollout/prompt_tokens"]),
            reflection_tokens=sum(len(turn.reflection.token_ids) for trajectory in played for turn in trajectory.turns),
            decoded_tokens=self.reflection.tokens_decoded - decoded,
            flops=self.work.flops,
            padded_flops=self.work.padded_flops,
            update_flops=self.work.update_flops,
            model_flops=self.work.model_flops,
        )

    def evaluate(self) -> None:
        """What a run does before its first update and every ``eval_steps``: play validation tasks, and so meet most states."""
        config, stage = self.loop.config, self.loop.curriculum.stages[-1]
        evaluate(
            self.collector,
            self.loop.tasks[stage]["validation"],
            stage=stage,
            count=config.rl.eval_trajectories,
            seed=config.seed,
            temperature=config.evaluation.temperature,
            phase=PHASE,
            update=0,
        )

    def writing(self, count: int) -> float:
        """Share of writing in ``count`` iterations in a row: files are written by the clock, so waiting turns would count too often."""
        self.loop.writer.flush()
        found = [self.iterate() for _ in range(count)]
        started = time.perf_counter()
        self.loop.writer.flush()
        last = time.perf_counter() - started
        return (sum(one.parts["write"] for one in found) + last) / (sum(one.seconds for one in found) + last)


class Theirs:
    """The reference, told what was played."""

    def __init__(self, session: Session, *, mini_batch: int) -> None:
        players = session.players()
        env = session.make_env()
        self.loop = ReferenceLoop(
            players,
            session.make_env,
            commands=len(env.admissible_commands()),
            mini_batch=mini_batch,
            replayed=session.config.rl.replay.trajectories_per_update,
            seed=session.config.seed,
        )
        self.work = Work(self.loop.policy, self.loop.reflection)

    def iterate(self, played: Sequence[Trajectory]) -> Iteration:
        """Play again what was played, and learn."""
        self.work.clear()
        started = time.perf_counter()
        spent = self.loop.iterate(played)
        return Iteration(
            seconds=time.perf_counter() - started,
            parts={part: getattr(spent, part, 0.0) for part in PARTS},
            trajectories=len(played),
            turns=spent.turns,
            successes=sum(trajectory.success for trajectory in played),
            prompt_tokens=spent.prompt_tokens,
            reflection_tokens=spent.turns * REFLECTION_TOKENS,
            decoded_tokens=spent.turns * REFLECTION_TOKENS,
            flops=self.work.flops,
            padded_flops=self.work.padded_flops,
            update_flops=self.work.update_flops,
            model_flops=self.work.model_flops,
        )
