"""The online loop, owned once: collect, score, update, record, evaluate, save, resume.

An algorithm (``algorithm.py`` says what that is) turns a batch of steps into an update; everything around it is here.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import get_scheduler

from workbench.config import RunConfig
from workbench.curriculum import make_curriculum
from workbench.data.splits import Splits
from workbench.errors import RunStopped
from workbench.evaluation.evaluate import Evaluation, evaluate, summary
from workbench.models.language_model import LanguageModel
from workbench.models.loading import POLICY, REFLECTION
from workbench.models.reflection import ModelReflection
from workbench.records import Reflection, Trajectory
from workbench.rollout.collect import Collector
from workbench.rollout.play import Assignment
from workbench.rollout.team import ALONE, Team
from workbench.seeding import derived_seed, generator
from workbench.store.writer import RunWriter
from workbench.trainers.algorithms import make_algorithm
from workbench.trainers.checkpoint import load_modules, load_optimizer, save_checkpoint, save_modules
from workbench.trainers.collecting import assignments, steps_of
from workbench.trainers.optimizers import adamw
from workbench.trainers.reflecting import ReflectionLearner
from workbench.trainers.replay import ReplayBuffer, Step
from workbench.trainers.sft import scheduler_state

PHASE = "rl"
Progress = Callable[[int, dict[str, float]], None]


@dataclass
class OnlineLoop:
    """Fine-tunes the policy of ``collector`` online, with its reflection player frozen unless ``rl.train_reflection`` is set.

    Attributes:
        config: The run's configuration.
        collector: Plays with both players; its policy is the one that is trained.
        tasks: Tasks by stage and split.
        writer: Where metrics, trajectories and events go.
        checkpoints: ``checkpoints/rl`` of the run.
        team: Processes that go through the run together; its leader alone writes.
    """

    config: RunConfig
    collector: Collector
    tasks: dict[str, Splits]
    writer: RunWriter
    checkpoints: Path
    team: Team = ALONE

    def __post_init__(self) -> None:
        """Set up optimizer, schedule, curriculum and replay, all at their beginning."""
        settings = self.config.rl
        player = self.collector.policy.player
        if settings.gradient_checkpointing:
            player.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.optimizer = adamw(
            [value for _, value in player.trainable_parameters()],
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.algorithm = make_algorithm(self.collector.policy, self.optimizer, settings, seed=self.config.seed, team=self.team)
        reflection = self.collector.reflection
        self.reflecting = (
            ReflectionLearner(reflection, self.optimizer, settings, team=self.team)
            if settings.train_reflection and isinstance(reflection, ModelReflection)
            else None
        )
        self.scheduler = get_scheduler(
            settings.lr_scheduler_type, self.optimizer, num_warmup_steps=0, num_training_steps=settings.max_steps
        )
        self.curriculum = make_curriculum(self.config.curriculum, self.collector.make_env().stages, settings.max_steps)
        self.replay = ReplayBuffer(settings.replay.capacity)
        self.update = 0
        self.save_seconds = 0.0
        """What the checkpoint before the present update took; a line is written before its own, which has to cover it."""

    def restore(self, checkpoint: Path, state: dict[str, Any]) -> None:
        """Continue from a checkpoint's state; the policy's weights are the caller's to load."""
        load_modules(checkpoint, self.algorithm.modules)
        load_optimizer(checkpoint, state, self.optimizer)
        self.scheduler.load_state_dict(state["scheduler"])
        # A checkpoint from before there were several algorithms holds the baseline by itself.
        self.algorithm.load_state_dict(state["algorithm"] if "algorithm" in state else {"baseline": state["baseline"]})
        self.curriculum.load_state_dict(state["curriculum"])
        self.replay.load_state_dict(state["replay"])
        if isinstance(self.collector.reflection, ModelReflection):
            self.collector.reflection.memo = load_memo(state["memo"])
        self.update = state["step"]

    def run(self, progress: Progress) -> None:
        """Go on to the last update.

        Args:
            progress: Called after every update with the number done and its metrics.

        Raises:
            RunStopped: A stop was asked for; a checkpoint has been saved.
        """
        settings = self.config.rl
        if self.update == 0 and settings.eval_steps:
            self._evaluate({})  # what the warm-up alone achieves
        while self.update < settings.max_steps:
            metrics = self.step()
            metrics["time/save_seconds"] = self.save_seconds
            evaluates = bool(settings.eval_steps) and self.update % settings.eval_steps == 0
            if evaluates:
                self._evaluate(metrics)
            stopping = self.team.agreed(self.writer.stop_requested())
            saves = self.update % settings.save_steps == 0 or self.update == settings.max_steps or stopping
            self.writer.metrics(PHASE, self.update, metrics)
            self.writer.beat(PHASE, self.update, settings.max_steps)
            started = time.perf_counter()
            if saves and self.team.leads:
                self.save()
            self.save_seconds = time.perf_counter() - started
            progress(self.update, metrics)
            if stopping and self.update < settings.max_steps:
                raise RunStopped(PHASE, self.update)

    def step(self) -> dict[str, float]:
        """One update: collect, learn, record; gives its metrics."""
        stage = self.curriculum.stage(self.update)
        started = time.perf_counter()
        trajectories = self.collector.collect(self._assignments(stage))
        collected = time.perf_counter()
        steps = [self._steps(trajectory, number) for number, trajectory in enumerate(trajectories)]
        fresh = [step for own in steps for step in own]
        replayed = self._replayed() if self.algorithm.replays else []
        torch.manual_seed(derived_seed(self.config.seed, "update", self.update))
        result = self.algorithm.update(fresh, replayed)
        if self.reflecting is not None:
            result.metrics.update(self.reflecting.update(trajectories, result.advantages))
        self.scheduler.step()
        if self.algorithm.replays:
            self.replay.add(trajectories, steps)
        self.update += 1
        change = self.curriculum.record(stage, [trajectory.success for trajectory in trajectories])
        if change is not None:
            self.writer.event(
                "stage", change.reason, update=change.update, from_stage=change.from_stage, to_stage=change.to_stage, rate=change.rate
            )
        if result.metrics["policy/skipped_steps"]:
            self.writer.event("warning", "an optimizer step was skipped: the loss or gradient was not finite", update=self.update)
        metrics = {**self._metrics(trajectories, stage), **result.metrics}
        updated = time.perf_counter()
        every = self.config.record.trajectories_every
        if every and self.update % every == 0:
            self.writer.trajectories(trajectories, result.advantages)
        timings = self.collector.timings
        metrics["time/collect_seconds"] = collected - started
        metrics.update({"time/reflect_seconds": timings.reflect, "time/act_seconds": timings.act, "time/env_seconds": timings.env})
        metrics.update({"time/update_seconds": updated - collected, "time/write_seconds": time.perf_counter() - updated})
        return metrics

    def save(self) -> None:
        """Write a checkpoint that an exact resume can start from."""
        reflection = self.collector.reflection
        state: dict[str, Any] = {
            "scheduler": scheduler_state(self.scheduler),
            "algorithm": self.algorithm.state_dict(),
            "curriculum": self.curriculum.state_dict(),
            "replay": self.replay.state_dict(),
            "memo": dump_memo(reflection.memo) if isinstance(reflection, ModelReflection) else [],
            "store": self.writer.position(),
        }
        save_checkpoint(
            self.checkpoints,
            self.update,
            state=state,
            players=self._trained(),
            optimizer=self.optimizer,
            extra=lambda folder: save_modules(folder, self.algorithm.modules),
            keep=self.config.rl.save_total_limit,
        )
        # Many small parts are slow to read; an older checkpoint can still rewind into a merged one.
        self.writer.compact(before=state["store"]["part"])

    def _evaluate(self, metrics: dict[str, float]) -> Evaluation:
        started = time.perf_counter()
        stage = self.curriculum.stages[-1]
        tasks = self.tasks[stage]["validation"] or self.tasks[stage]["train"]
        found = evaluate(
            self.collector,
            tasks,
            stage=stage,
            count=self.config.rl.eval_trajectories,
            seed=derived_seed(self.config.seed, "validation"),
            temperature=self.config.evaluation.temperature,
            phase=PHASE,
            update=self.update,
        )
        split = "validation" if self.tasks[stage]["validation"] else "train"
        self.writer.evaluation({"phase": PHASE, "update": self.update, "stage": stage, "split": split, **found.values()})
        metrics["evaluation/success_rate"] = found.success.rate
        metrics["time/evaluate_seconds"] = time.perf_counter() - started
        return found

    def _assignments(self, stage: str) -> list[Assignment]:
        tasks = self.tasks[stage]["train"]
        return assignments(self.config.rl, tasks, stage, seed=self.config.seed, phase=PHASE, update=self.update)

    def _steps(self, trajectory: Trajectory, number: int = 0) -> list[Step]:
        return steps_of(trajectory, self.config.rl, number=number)

    def _trained(self) -> dict[str, LanguageModel]:
        trained = {POLICY: self.collector.policy.player}
        if self.reflecting is not None:
            trained[REFLECTION] = self.reflecting.reflection.player
        return trained

    def _replayed(self) -> list[Step]:
        return self.replay.sample(self.config.rl.replay.trajectories_per_update, generator(self.config.seed, "replay", self.update))

    def _metrics(self, trajectories: Sequence[Trajectory], stage: str) -> dict[str, float]:
        means = summary(trajectories)
        turns = sum(len(trajectory.turns) for trajectory in trajectories)
        metrics = {
            "success/rate": float(np.mean([trajectory.success for trajectory in trajectories])),
            "reward/mean": means["mean_reward"],
            "length/mean": means["mean_length"],
            "curriculum/stage": float(self.curriculum.stages.index(stage)),
            "rollout/turns": float(turns),
            "rollout/prompt_tokens": float(sum(len(turn.prompt_token_ids) for trajectory in trajectories for turn in trajectory.turns)),
            "rollout/prompts_cut": float(sum(turn.prompt_was_cut for trajectory in trajectories for turn in trajectory.turns)),
            "replay/size": float(len(self.replay)),
            "policy/learning_rate": float(self.optimizer.param_groups[0]["lr"]),
        }
        if "followed_suggestion" in means:
            metrics["policy/followed_suggestion"] = means["followed_suggestion"]
        if "suggestion_is_oracle" in means:
            metrics["reflection/suggestion_is_oracle"] = means["suggestion_is_oracle"]
        return metrics


def dump_memo(memo: dict[tuple[int, ...], Reflection]) -> list[list[Any]]:
    """A frozen player's remembered reflections as JSON values."""
    return [[list(prompt), one.text, list(one.token_ids), list(one.log_probs), one.finished] for prompt, one in memo.items()]


def load_memo(rows: Sequence[Sequence[Any]]) -> dict[tuple[int, ...], Reflection]:
    """What ``dump_memo`` gave, read back."""
    return {tuple(prompt): Reflection(text, tuple(ids), tuple(log_probs), finished) for prompt, text, ids, log_probs, finished in rows}
