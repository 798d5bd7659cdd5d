"""The online loop: who plays what when, what is recorded, and that a pass over the tasks leaves none out."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.small_play import CHAIN, collector, play_config
from workbench.data.splits import split_tasks
from workbench.envs.catalog import make_env
from workbench.errors import RunStopped
from workbench.models.reflection import ModelReflection
from workbench.prompts import PromptBuilder
from workbench.records import Reflection
from workbench.rollout.play import Assignment
from workbench.store.layout import create_run
from workbench.store.reader import Run
from workbench.store.writer import RunWriter
from workbench.trainers import checkpoint
from workbench.trainers.loop import OnlineLoop, dump_memo, load_memo

SETTINGS = (
    "env.options={length: 12}",
    "data.test_share=0.3",
    "rl.max_steps=6",
    "rl.trajectories_per_update=8",
    "rl.eval_steps=3",
    "rl.eval_trajectories=5",
    "rl.save_steps=2",
)


def online_loop(root: Path, *overrides: str) -> OnlineLoop:
    config = play_config(CHAIN, *SETTINGS, *overrides)
    env = make_env(CHAIN, length=12)
    players = collector(oracle_commands=config.record.oracle_commands, batch_size=config.rl.rollout_batch_size)
    players.make_env = lambda: make_env(CHAIN, length=12)
    paths = create_run(root, config)
    tasks = split_tasks(env, config.data, seed=config.seed)
    return OnlineLoop(config, players, tasks, RunWriter(paths), paths.checkpoints / "rl")


def go(loop: OnlineLoop) -> Run:
    loop.run(lambda update, metrics: None)
    loop.writer.flush()
    return Run(loop.writer.paths)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    loop = online_loop(tmp_path_factory.mktemp("loop"))
    return loop, go(loop)


def test_every_update_has_a_line_with_the_promised_names(finished):
    _, run = finished
    metrics = run.metrics()
    assert metrics["update"].tolist() == [1, 2, 3, 4, 5, 6]
    assert set(metrics["phase"]) == {"rl"}
    promised = {
        "success/rate",
        "reward/mean",
        "length/mean",
        "policy/entropy",
        "policy/kl",
        "loss/policy",
        "curriculum/stage",
        *(f"time/{part}_seconds" for part in ("collect", "reflect", "act", "env", "update", "write", "evaluate", "save")),
    }
    assert promised <= set(metrics.columns)
    assert metrics["curriculum/stage"].tolist() == [0, 0, 0, 1, 1, 1]
    parts = metrics[["time/reflect_seconds", "time/act_seconds", "time/env_seconds"]].sum(axis=1)
    assert (parts <= metrics["time/collect_seconds"]).all()
    assert (metrics["time/save_seconds"] > 0.001).tolist() == [False, False, True, False, True, False]


def test_numbers_of_a_line_are_those_of_its_trajectories(finished):
    _, run = finished
    third = [run.trajectory(name) for name in run.trajectories(phase="rl")["trajectory_id"] if name.startswith("rl-000003")]
    line = run.metrics().iloc[2]
    assert len(third) == 8
    assert line["success/rate"] == sum(one.success for one in third) / 8
    assert line["reward/mean"] == pytest.approx(sum(one.total_reward for one in third) / 8)
    turns = [turn for one in third for turn in one.turns]
    assert line["length/mean"] * 8 == line["rollout/turns"] == len(turns)
    assert line["rollout/prompt_tokens"] == sum(len(turn.prompt_token_ids) for turn in turns)
    assert all(turn.advantage is not None for turn in turns)
    advantages = [float(turn.advantage or 0) for turn in turns]
    assert sum(advantages) == pytest.approx(0, abs=1e-5), "whitened over the whole update"


def test_evaluations_begin_with_what_the_warm_up_achieves(finished):
    _, run = finished
    found = run.evaluations()
    assert found["update"].tolist() == [0, 3, 6]
    assert set(found["stage"]) == {"long"}
    assert set(found["trajectories"]) == {5}
    assert set(found["split"]) == {"train"}, "there is no validation split here"


def test_checkpoints_stand_where_they_were_asked_for(finished):
    loop, _ = finished
    assert checkpoint.steps(loop.checkpoints) == [2, 4, 6]


def test_stage_changes_are_told(finished):
    _, run = finished
    events = run.events()
    (change,) = events[events["kind"] == "stage"].to_dict("records")
    assert (change["from_stage"], change["to_stage"], change["update"]) == ("short", "long", 3)


def test_every_training_task_is_played_before_one_comes_again(tmp_path):
    loop = online_loop(tmp_path, "curriculum.kind=none", "rl.trajectories_per_update=3")
    tasks = loop.tasks["long"]["train"]
    assert len(tasks) == 7
    played: list[str] = []
    for update in range(7):
        loop.update = update
        played += [one.task for one in loop._assignments("long")]
    assert [Counter(played[start : start + 7]) for start in (0, 7, 14)] == [Counter(tasks)] * 3
    assert played[:7] != played[7:14]
    assert not set(played) & {*loop.tasks["long"]["test"]}


def test_assignments_follow_from_the_update_alone(tmp_path):
    one, other = online_loop(tmp_path / "a"), online_loop(tmp_path / "b", "seed=1")
    one.update = other.update = 4
    first = one._assignments("long")
    one.update = 3
    assert [task.seed for task in one._assignments("long")] != [task.seed for task in first]
    one.update = 4
    assert one._assignments("long") == first
    assert [task.seed for task in other._assignments("long")] != [task.seed for task in first]
    assert len({task.seed for task in first}) == 8
    assert first[3].trajectory_id == "rl-000005-0003"


def test_groups_share_a_start_and_differ_in_their_dice(tmp_path):
    loop = online_loop(tmp_path, "curriculum.kind=none", "rl.algorithm=grpo", "rl.group_size=4")
    planned = loop._assignments("long")
    assert [len({(one.task, one.seed) for one in planned[start : start + 4]}) for start in (0, 4)] == [1, 1]
    assert planned[0].task != planned[4].task
    assert [one.sample for one in planned] == [0, 1, 2, 3] * 2
    played = loop.collector.collect(planned)
    for start in (0, 4):
        group = played[start : start + 4]
        assert len({one.turns[0].prompt_token_ids for one in group}) == 1, "the same world, reflection and labels"
        assert len({tuple(turn.command for turn in one.turns) for one in group}) > 1
    steps = [step for number, one in enumerate(played) for step in loop._steps(one, number)]
    assert {step.trajectory: step.group for step in steps} == {number: number // 4 for number in range(8)}
    tasks = [one.task for update in range(7) for one in assignments_of(loop, update)[::4]]
    assert [Counter(tasks[start : start + 7]) for start in (0, 7)] == [Counter(loop.tasks["long"]["train"])] * 2


def assignments_of(loop: OnlineLoop, update: int) -> list[Assignment]:
    loop.update = update
    return loop._assignments("long")


def test_only_reinforce_replays(tmp_path):
    sizes = {}
    for algorithm in ("reinforce", "rloo"):
        run = go(online_loop(tmp_path / algorithm, f"rl.algorithm={algorithm}", "rl.group_size=4", "rl.eval_steps=0"))
        sizes[algorithm] = run.metrics()["replay/size"].iloc[-1]
    assert sizes["reinforce"] > 0
    assert sizes["rloo"] == 0


def test_a_turn_s_value_is_recorded(tmp_path):
    run = go(online_loop(tmp_path, "rl.algorithm=ppo", "rl.eval_steps=0"))
    last = [run.trajectory(name) for name in run.trajectories()["trajectory_id"] if name.startswith("rl-000006")]
    values = [turn.value for one in last for turn in one.turns]
    assert None not in values
    assert len(set(values)) > 1
    assert {"loss/value", "critic/explained_variance", "policy/clip_fraction"} <= set(run.metrics().columns)


def test_a_stop_saves_and_says_where(tmp_path):
    loop = online_loop(tmp_path)

    def stop_at_three(update: int, metrics: dict[str, float]) -> None:
        if update == 2:
            loop.writer.paths.stop.touch()

    with pytest.raises(RunStopped) as caught:
        loop.run(stop_at_three)
    assert (caught.value.phase, caught.value.step) == ("rl", 3)
    assert checkpoint.steps(loop.checkpoints) == [2, 3]


def test_a_stop_at_the_last_update_is_no_stop(tmp_path):
    loop = online_loop(tmp_path, "rl.max_steps=1")
    loop.writer.paths.stop.touch()
    go(loop)
    assert checkpoint.steps(loop.checkpoints) == [1]


def test_recording_may_be_thinned_or_off(tmp_path):
    thinned = go(online_loop(tmp_path / "a", "record.trajectories_every=3"))
    assert set(thinned.trajectories()["update"]) == {3, 6}
    assert len(go(online_loop(tmp_path / "b", "record.trajectories_every=0")).trajectories()) == 0


def test_an_update_that_broke_is_told(tmp_path, monkeypatch):
    loop = online_loop(tmp_path, "rl.max_steps=1", "rl.baseline=none", "rl.whiten_advantages=false")
    monkeypatch.setattr("workbench.trainers.collecting.returns_to_go", lambda rewards, gamma: [float("nan")] * len(rewards))
    run = go(loop)
    events = run.events()
    assert "an optimizer step was skipped" in events[events["kind"] == "warning"]["message"].iloc[0]
    assert run.metrics()["policy/skipped_steps"].tolist() == [1.0]


def test_the_learning_rate_follows_its_schedule(tmp_path):
    run = go(online_loop(tmp_path, "rl.lr_scheduler_type=linear", "rl.learning_rate=6e-4", "rl.eval_steps=0"))
    assert run.metrics()["policy/learning_rate"].tolist() == pytest.approx([5e-4, 4e-4, 3e-4, 2e-4, 1e-4, 0.0])
    assert len(run.evaluations()) == 0


def test_returns_are_discounted_from_their_turn_on(finished):
    loop, run = finished
    longest = max((run.trajectory(name) for name in run.trajectories()["trajectory_id"]), key=lambda one: len(one.turns))
    settings = loop.config.rl.model_copy(update={"gamma": 0.5})
    half = replace_config(loop, settings)
    values = [step.return_to_go for step in half._steps(longest)]
    rewards = [turn.reward for turn in longest.turns]
    assert values[-1] == rewards[-1]
    assert values[0] == pytest.approx(sum(reward * 0.5**place for place, reward in enumerate(rewards)))
    assert {step.baseline_key.split(" ")[0] for step in half._steps(longest)} == {longest.stage}


def replace_config(loop: OnlineLoop, settings: object) -> OnlineLoop:
    return replace(loop, config=loop.config.model_copy(update={"rl": settings}))


def test_a_reflection_is_computed_once_in_the_whole_loop(finished):
    loop, run = finished
    player = loop.collector.reflection
    assert isinstance(player, ModelReflection)
    said = {turn.observation for name in run.trajectories()["trajectory_id"] for turn in run.trajectory(name).turns}
    assert said <= {str(player.player.tokenizer.decode(list(prompt))).split("\n")[1] for prompt in player.memo}
    assert player.tokens_decoded == sum(len(one.token_ids) for one in player.memo.values())
    assert isinstance(player.prompts, PromptBuilder)


def test_the_memo_survives_a_checkpoint():
    memo = {(1, 2): Reflection("go right", (5, 6), (-0.1, -1 / 3), False), (3,): Reflection("", (), (), True)}
    assert load_memo(dump_memo(memo)) == memo
