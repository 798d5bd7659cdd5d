"""The one way through: from an environment's reset to the page that shows what was thought there."""

import html
import json
import math
import re

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest
from transformers import AutoModelForCausalLM

from tests.app_pages import shown
from tests.small_play import TAXI, collector, play_config
from workbench.dashboard import cache
from workbench.envs.catalog import make_env
from workbench.models.policy import Decision
from workbench.models.reflection import ModelReflection
from workbench.prompts import assign_labels
from workbench.records import Trajectory, Turn
from workbench.rollout.collect import Collector
from workbench.rollout.play import Assignment, Situation, choose, play
from workbench.seeding import derived_seed, generator
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import Run
from workbench.store.writer import RunWriter
from workbench.trainers.advantages import returns_to_go
from workbench.trainers.checkpoint import latest, save_checkpoint
from workbench.trainers.reinforce import Reinforce, UpdateResult
from workbench.trainers.replay import Step

ASSIGNMENT = Assignment("rl-000001-0000", "rl", 1, "r2c3-R-G", "pickup", seed=12)


@pytest.fixture
def players():
    return collector(TAXI, oracle_commands=True)


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path))
    monkeypatch.setattr(cache, "example_root", lambda: tmp_path / "none")
    cache.forget_summaries()
    return create_run(tmp_path, play_config(TAXI))


def played(players: Collector) -> Trajectory:
    return play(players.make_env(), ASSIGNMENT, players.rules, players.policy, players.reflection)


def test_a_turn_is_made_of_the_parts(players):
    """The first turn, put together by hand from environment, prompts and players."""
    env, prompts, reflecting = make_env(TAXI), players.rules.prompts, players.reflection
    assert isinstance(reflecting, ModelReflection)
    seed = derived_seed(ASSIGNMENT.seed, "env")
    observation, info = env.reset(seed=seed, options={"task": ASSIGNMENT.task, "stage": ASSIGNMENT.stage})
    asked = reflecting.prompts.reflection(info["task_statement"], observation)
    thought = reflecting.reflect([Situation(info["task_statement"], observation, None, generator(ASSIGNMENT.seed, "reflection"))])[0]
    assert reflecting.memo[asked.token_ids] == thought
    commands = info["admissible_commands"]
    labels = assign_labels(prompts.labels, len(commands), generator(ASSIGNMENT.seed, "labels"))
    prompt = prompts.policy(info["task_statement"], observation, thought.token_ids, commands, labels)
    (log_probs,) = players.policy.distributions([Decision(prompt.token_ids, [label.token_id for label in labels])])
    choice = choose(log_probs, generator(ASSIGNMENT.seed, "actions").random(), greedy=False)
    _, reward, *_ = env.step(commands[choice])

    turn = played(players).turns[0]
    assert (turn.observation, turn.reflection.text, turn.reflection.token_ids) == (observation, thought.text, thought.token_ids)
    assert (turn.labels, turn.prompt_token_ids) == (tuple(label.text for label in labels), prompt.token_ids)
    assert (turn.command, turn.reward) == (commands[choice], reward)
    assert turn.log_prob == pytest.approx(log_probs[choice], abs=1e-6)
    assert turn.probabilities == pytest.approx(tuple(np.exp(log_probs)), abs=1e-6)


def learned(players: Collector, trajectories: list[Trajectory]) -> tuple[UpdateResult, torch.optim.Optimizer]:
    """One update from what was played."""
    steps = [
        Step(turn.prompt_token_ids, turn.label_token_ids, turn.chosen_index, turn.log_prob, value, turn.state_key)
        for one in trajectories
        for turn, value in zip(one.turns, returns_to_go([turn.reward for turn in one.turns]), strict=True)
    ]
    optimizer = torch.optim.AdamW([value for _, value in players.policy.player.trainable_parameters()], lr=1e-3)
    return Reinforce(players.policy, optimizer, play_config(TAXI).rl).update(steps, []), optimizer


def test_from_reset_to_the_page(players, paths):
    batch = players.collect([Assignment(f"rl-000001-{n:04d}", "rl", 1, "r2c2-G-B", "pickup", seed=n) for n in range(8)])
    longest = max(range(8), key=lambda number: len(batch[number].turns))
    one = batch[longest]
    assert len(one.turns) > 1, "there is something to go through"

    result, optimizer = learned(players, batch)
    assert result.metrics["policy/kl"] == pytest.approx(0, abs=1e-6), "the stored probabilities are those of the policy that played"
    write(paths, batch, result)
    stored = Run(paths).trajectory(one.trajectory_id)
    first = sum(len(before.turns) for before in batch[:longest])
    assert [turn.advantage for turn in stored.turns] == pytest.approx(result.advantages[first : first + len(one.turns)])
    assert [turn.prompt_token_ids for turn in stored.turns] == [turn.prompt_token_ids for turn in one.turns]

    save_checkpoint(paths.checkpoints / "rl", 1, state={}, players={"policy": players.policy.player}, optimizer=optimizer)
    newest = latest(paths.checkpoints / "rl")
    assert newest is not None
    reloaded = AutoModelForCausalLM.from_pretrained(newest / "policy")
    prompt = torch.tensor([one.turns[0].prompt_token_ids])
    with torch.no_grad():
        logits = reloaded(prompt).logits[0, -1, list(one.turns[0].label_token_ids)]
    (now,) = players.policy.distributions([Decision(one.turns[0].prompt_token_ids, one.turns[0].label_token_ids)])
    assert logits.log_softmax(-1).tolist() == pytest.approx(now.tolist(), abs=1e-5)
    assert now.tolist() != pytest.approx(np.log(one.turns[0].probabilities).tolist(), abs=1e-4), "the update changed the policy"

    for index in (0, len(one.turns) - 1):
        assert_page_shows(paths, stored, index)


def write(paths: RunPaths, trajectories: list[Trajectory], result: UpdateResult) -> None:
    writer = RunWriter(paths)
    writer.trajectories(trajectories, result.advantages)
    writer.metrics("rl", 1, result.metrics)
    writer.flush()
    writer.status("finished")


def assert_page_shows(paths: RunPaths, trajectory: Trajectory, index: int) -> None:
    turn = trajectory.turns[index]
    page = shown("trajectories", run=paths.run_id, trajectory=trajectory.trajectory_id, turn=str(index))
    assert f"Turn {index}: the world" in [heading.value for heading in page.subheader]
    figures = [json.loads(element.proto.spec) for element in page.get("plotly_chart")]
    bars = [trace for figure in figures for trace in figure["data"] if trace.get("name") in ("chosen", "not chosen")]
    drawn = sorted(text for trace in bars for text in trace["text"])
    assert drawn == sorted(f"{probability:.1%}" for probability in turn.probabilities)
    facts = "\n".join(code.value for code in page.code)
    assert f"command         {turn.command}" in facts
    assert f"log-prob, nats  {turn.log_prob:.3f}" in facts
    assert turn.advantage is not None
    assert f"advantage       {turn.advantage:+.3f}" in facts
    assert f"oracle          {turn.oracle_command}" in facts
    assert_reflection_is_shown(page, turn)
    assert math.isclose(sum(turn.probabilities), 1.0, abs_tol=1e-5)


def assert_reflection_is_shown(page: AppTest, turn: Turn) -> None:
    bodies = [html.unescape(re.sub(r"<[^>]*>", "", str(element.value))) for element in page.html]
    assert any("".join(turn.reflection.text.split()) == "".join(body.split()) for body in bodies), bodies


def test_a_finished_run_is_shown_with_its_last_words(smoke_run, monkeypatch, tmp_path):
    """What the smallest preset recorded, on the page: every turn of one evaluated trajectory."""
    monkeypatch.setenv("WORKBENCH_RUNS", str(smoke_run.folder.parent))
    monkeypatch.setattr(cache, "example_root", lambda: tmp_path / "none")
    cache.forget_summaries()
    run = Run(smoke_run)
    name = run.trajectories(phase="evaluate")["trajectory_id"].iloc[0]
    trajectory = run.trajectory(name)
    for index in range(len(trajectory.turns)):
        page = shown("trajectories", run=smoke_run.run_id, trajectory=name, turn=str(index))
        assert trajectory.turns[index].observation in [code.value for code in page.code]
        assert trajectory.turns[index].reflection.text
        assert_reflection_is_shown(page, trajectory.turns[index])
