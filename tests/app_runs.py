"""Run folders for the tests of the app: real records from playing DangerousTaxi, written by the real writer."""

import math
from pathlib import Path

import numpy as np

from workbench.config import RunConfig, apply_overrides
from workbench.envs.taxi import DangerousTaxi
from workbench.records import Reflection, Trajectory, Turn
from workbench.seeding import generator
from workbench.store.layout import RunPaths, create_run
from workbench.store.writer import RunWriter

CONFIG = apply_overrides(RunConfig(), ["preset=taxi-smoke", "rl.max_steps=30"])


def taxi_trajectory(number: int, *, stage: str, update: int, skill: float, phase: str = "rl", reflection: str | None = None) -> Trajectory:
    """A trajectory of a player that follows the oracle with probability ``skill`` at every turn."""
    dice = generator(7, phase, update, number)
    env = DangerousTaxi()
    observation, info = env.reset(seed=number + 1000 * update, options={"stage": stage})
    turns: list[Turn] = []
    over = False
    while not over:
        turn, observation, over = _turn(env, observation, len(turns), skill, dice, reflection)
        turns.append(turn)
    return Trajectory(
        trajectory_id=f"{phase}-{update:06d}-{number:04d}",
        phase=phase,
        update=update,
        task=env.task,
        stage=stage,
        seed=number,
        task_statement=info["task_statement"],
        turns=tuple(turns),
        success=env.success,
    )


def _turn(
    env: DangerousTaxi, observation: str, index: int, skill: float, dice: np.random.Generator, text: str | None
) -> tuple[Turn, str, bool]:
    commands = env.admissible_commands()
    oracle = env.oracle()[0]
    weights = dice.dirichlet(np.full(len(commands), 0.7)) * (1 - skill)
    weights[commands.index(oracle)] += skill
    choice = int(dice.choice(len(commands), p=weights / weights.sum()))
    key = env.state_key()
    suggestion = oracle if dice.random() < 0.9 else commands[int(dice.integers(len(commands)))]
    words = text if text is not None else f"The taxi is not there yet and nothing blocks the way. Best is {suggestion}."
    after, reward, terminated, truncated, _ = env.step(commands[choice])
    probability = float(weights[choice])
    turn = Turn(
        index=index,
        observation=observation,
        state_key=key,
        admissible_commands=commands,
        labels=tuple(f" {letter}" for letter in "ABCDEF"),
        probabilities=tuple(float(weight) for weight in weights),
        command=commands[choice],
        reflection=Reflection(words, (1, 2), (-0.1, -0.2), True, suggestion),
        prompt_token_ids=(5, 6, 7),
        label_token_ids=(10, 11, 12, 13, 14, 15),
        log_prob=math.log(probability),
        reward=reward,
        terminated=terminated,
        truncated=truncated,
        oracle_command=oracle,
        advantage=float(dice.normal()),
    )
    return turn, after, terminated or truncated


def make_run(
    root: Path, *, state: str = "finished", updates: int = 30, reflection: str | None = None, config: RunConfig = CONFIG
) -> RunPaths:
    """A run that got as far as ``updates`` of its online phase: warm-ups, a curriculum, evaluations, trajectories, a log."""
    paths = create_run(root, config)
    writer = RunWriter(paths)
    writer.start_attempt().write_text("warm-up done\nonline learning begins\n", encoding="utf-8")
    writer.status("running")
    writer.beat("generate", 1, 1)
    for step in range(20, 201, 20):
        writer.metrics("sft-reflection", step, {"loss/sft": 2.0 * 0.985**step})
        writer.metrics("sft-policy", step, {"loss/sft": 1.8 * 0.99**step})
    stages = DangerousTaxi.stages
    for update in range(1, updates + 1):
        place = min(2, (update - 1) * 3 // config.rl.max_steps)
        _write_update(writer, update, place, stages[place], reflection)
        if update % 10 == 0:
            rate = update / (updates + 1)
            found = {"success_rate": rate, "low": rate - 0.04, "high": min(1.0, rate + 0.03), "trajectories": 200}
            writer.evaluation({"phase": "rl", "update": update, "stage": "full", "split": "validation", **found})
    writer.event("stage", "the first third of the updates is over", update=10, from_stage="pickup", to_stage="dropoff", rate=0.875)
    writer.event("checkpoint", "saved", update=updates)
    writer.flush()
    _end(writer, state, updates, config.rl.max_steps)
    return paths


def _write_update(writer: RunWriter, update: int, place: int, stage: str, reflection: str | None) -> None:
    skill = min(0.99, 0.6 + 0.013 * update)
    batch = [taxi_trajectory(number, stage=stage, update=update, skill=skill, reflection=reflection) for number in range(4)]
    writer.trajectories(batch)
    values = {
        "success/rate": float(np.mean([one.success for one in batch])),
        "reward/mean": float(np.mean([one.total_reward for one in batch])),
        "length/mean": float(np.mean([len(one.turns) for one in batch])),
        "policy/entropy": 1.2 * 0.97**update,
        "policy/kl": 0.01 * 0.9**update,
        "loss/policy": -0.01 + 0.3 * 0.95**update,
        "curriculum/stage": float(place),
    }
    times = {"reflect": 0.35, "act": 0.2, "env": 0.01, "update": 0.4, "write": 0.004, "evaluate": 2.0 if update % 10 == 0 else 0.0}
    writer.metrics("rl", update, {**values, **{f"time/{name}_seconds": seconds for name, seconds in times.items()}})


def _end(writer: RunWriter, state: str, updates: int, total: int) -> None:
    fields = {"phase": "evaluate" if state == "finished" else "rl", "update": updates, "total": total}
    if state == "failed":
        fields["error"] = "the machine is out of memory; free some, then resume"
    writer.status(state, **fields)
