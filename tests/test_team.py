"""Several processes as one: shares, sums, and loops that end where a single process does."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.small_play import CHAIN, assignments, collector, play_config
from tests.small_updates import flat
from tests.thread_team import teams, together
from workbench.data.splits import split_tasks
from workbench.envs.catalog import make_env
from workbench.errors import RunStopped, WorkbenchError
from workbench.records import Reflection
from workbench.rollout.collect import Collector
from workbench.rollout.team import ALONE, Team, balanced_share
from workbench.rollout.together import packed, shared, shares, unpacked
from workbench.store.layout import create_run
from workbench.store.onlooker import Onlooker
from workbench.store.reader import Run
from workbench.store.writer import RunWriter
from workbench.trainers.gradients import add_up_gradients
from workbench.trainers.loop import OnlineLoop

CLOSE = 1e-5
SETTINGS = (
    "env.options={length: 12}",
    "data.test_share=0.3",
    "rl.max_steps=3",
    "rl.trajectories_per_update=8",
    "rl.group_size=2",
    "rl.learning_rate=1e-3",
    "rl.eval_steps=2",
    "rl.eval_trajectories=5",
    "rl.save_steps=3",
)


def test_shares_are_neighbours_and_cost_alike():
    assert [balanced_share([1, 1, 2, 4], rank, 2) for rank in range(2)] == [[0, 1, 2], [3]]
    assert [balanced_share([5, 5], rank, 3) for rank in range(3)] == [[0], [], [1]]
    assert balanced_share([], 0, 2) == []
    assert ALONE.share([3, 1, 2]) == [0, 1, 2]


def test_every_row_is_somebodys_and_nobody_has_much_more_than_a_row_too_much():
    costs = np.random.default_rng(0).integers(1, 50, size=200).tolist()
    for size in (2, 3, 7):
        parts = [balanced_share(costs, rank, size) for rank in range(size)]
        assert [place for part in parts for place in part] == list(range(200))
        assert max(abs(sum(costs[place] for place in part) - sum(costs) / size) for part in parts) <= 50


def test_a_group_stays_on_one_process():
    one, other, third = assignments(count=3)
    group = [replace(one, trajectory_id=f"a{sample}", sample=sample) for sample in range(3)]
    assert shares([*group, other, third], 2) == [[0, 1, 2, 4], [3]]
    assert shares([], 2) == [[], []]


def test_a_trajectory_is_the_same_after_the_way_to_another_process():
    played = collector(oracle_commands=True).collect(assignments(count=4))
    last = played[-1]
    spoken = replace(last, turns=tuple(replace(turn, command_token_ids=((1, 2), (3,))) for turn in last.turns))
    every = [*played, spoken]
    assert [unpacked(json.loads(json.dumps(packed(one)))) for one in every] == every


def test_gradients_are_summed_over_turns_and_not_averaged_over_processes():
    """Three turns on one process and one on the other: their parts of a mean over four, 3 + 1 = 4 and 0.3 + 0.2, add up."""
    mine = [[torch.zeros(2), torch.zeros(1), torch.zeros(1, dtype=torch.float64)] for _ in range(2)]
    mine[0][0].grad, mine[1][0].grad = torch.tensor([3.0, 0.0]), torch.tensor([1.0, 2.0])
    mine[1][2].grad = torch.tensor([0.5], dtype=torch.float64)
    members = teams(2)
    losses = together(
        partial(add_up_gradients, members[0], mine[0], 0.3),
        partial(add_up_gradients, members[1], mine[1], 0.2),
    )
    assert losses == [0.5, 0.5]
    for first, second, third in mine:
        assert first.grad is not None and first.grad.tolist() == [4.0, 2.0]
        assert second.grad is None, "nobody has one, so the optimizer leaves it alone as ever"
        assert third.grad is not None and third.grad.tolist() == [0.5] and third.grad.dtype == torch.float64


def online_loop(root: Path, team: Team, *overrides: str, greedy: bool = True) -> OnlineLoop:
    config = play_config(CHAIN, *SETTINGS, *overrides)
    players = collector(batch_size=3, greedy=greedy)
    players.make_env = lambda: make_env(CHAIN, length=12)
    players = shared(players, team)
    paths = create_run(root, config)
    writer = RunWriter(paths) if team.leads else Onlooker(paths)
    tasks = split_tasks(make_env(CHAIN, length=12), config.data, seed=config.seed)
    loop = OnlineLoop(config, players, tasks, writer, paths.checkpoints / "rl", team)
    for group in loop.optimizer.param_groups:
        # Adam divides a gradient by its own size, so that float32 sums of other parts would part the weights; with this it hardly does.
        group["eps"] = 1.0
    return loop


def finished(loop: OnlineLoop) -> OnlineLoop:
    loop.run(lambda update, metrics: None)
    loop.writer.flush()
    return loop


def numbers(loop: OnlineLoop) -> tuple[dict[Any, Any], dict[Any, Any]]:
    run = Run(loop.writer.paths)
    kept = [name for name in run.metrics().columns if not name.startswith("time")]
    judged = run.evaluations().drop(columns="time")
    return run.metrics()[kept].to_dict("list"), judged.to_dict("list")


@pytest.mark.parametrize(
    ("algorithm", "size", "overrides"),
    [
        ("reinforce", 2, ()),
        ("reinforce", 3, ("rl.per_device_train_batch_size=16", "rl.gradient_accumulation_steps=2")),
        ("ppo", 2, ("rl.ppo.num_mini_batches=2", "rl.ppo.num_ppo_epochs=2")),
        ("grpo", 3, ("rl.kl_coef=0.1",)),
        ("rloo", 2, ()),
        ("rft", 2, ()),
    ],
)
def test_several_processes_learn_what_one_learns(tmp_path, algorithm, size, overrides):
    overrides = (f"rl.algorithm={algorithm}", *overrides)
    alone = finished(online_loop(tmp_path / "alone", ALONE, *overrides))
    loops = [online_loop(tmp_path / f"team-{team.rank}", team, *overrides) for team in teams(size)]
    together(*(partial(finished, loop) for loop in loops))
    for mine, theirs in zip(numbers(alone), numbers(loops[0]), strict=True):
        assert list(mine) == list(theirs)
        for name, values in mine.items():
            if isinstance(values[0], str):
                assert values == theirs[name]
            else:
                assert theirs[name] == pytest.approx(values, abs=CLOSE, nan_ok=True), name
    one, other = (Run(loop.writer.paths).trajectories() for loop in (alone, loops[0]))
    assert one["task"].tolist() == other["task"].tolist()
    assert one["trajectory_id"].tolist() == other["trajectory_id"].tolist()
    assert all(torch.equal(flat(loop.collector.policy), flat(loops[0].collector.policy)) for loop in loops), "bit for bit"
    assert not any(loop.writer.paths.metrics.exists() for loop in loops[1:]), "one writes"
    assert loops[-1].curriculum.state_dict() == loops[0].curriculum.state_dict() == alone.curriculum.state_dict()
    assert len(loops[-1].replay) == len(loops[0].replay) == len(alone.replay)


def test_the_reflection_player_is_trained_together_too(tmp_path):
    overrides = ("rl.train_reflection=true", "reflection.decoding=sample", "rl.max_steps=2")
    alone = finished(online_loop(tmp_path / "alone", ALONE, *overrides, greedy=False))
    loops = [online_loop(tmp_path / f"team-{team.rank}", team, *overrides, greedy=False) for team in teams(2)]
    together(*(partial(finished, loop) for loop in loops))
    (mine, _), (theirs, _) = numbers(alone), numbers(loops[0])
    for name in ("loss/reflection", "reflection/gradient_norm", "loss/policy"):
        assert theirs[name] == pytest.approx(mine[name], abs=CLOSE), name
    assert min(mine["reflection/gradient_norm"]) > 0


def shared_collectors(size: int = 2) -> list[Collector]:
    return [shared(collector(batch_size=4), team) for team in teams(size)]


def test_what_was_said_to_one_process_is_known_to_all_in_one_order():
    pair = shared_collectors()
    played = assignments(count=6)
    together(*(partial(one.collect, played) for one in pair))
    first, second = (list(one.reflection.memo.items()) for one in pair)  # type: ignore[union-attr]
    assert first == second
    assert len(first) > 0 and all(isinstance(key, tuple) and isinstance(said, Reflection) for key, said in first)
    alone = collector()
    alone.collect(played)
    theirs = alone.reflection.memo  # type: ignore[union-attr]
    assert {key: said.text for key, said in first} == {key: said.text for key, said in theirs.items()}


def test_what_ends_one_ends_all():
    pair = shared_collectors()

    def fail(*ignored: object) -> list[Reflection]:
        raise WorkbenchError("the environment broke at seed 7")

    pair[1].reflection.reflect = fail  # type: ignore[union-attr,method-assign]

    def ends(one: Collector) -> bool:
        with pytest.raises(WorkbenchError, match="broke at seed 7"):
            one.collect(assignments(count=4))
        return True

    assert together(*(partial(ends, one) for one in pair)) == [True, True]


def test_a_stop_is_everybodys(tmp_path):
    loops = [online_loop(tmp_path / f"team-{team.rank}", team, "rl.eval_steps=0") for team in teams(2)]
    loops[0].writer.paths.stop.touch()

    def stopped(loop: OnlineLoop) -> int:
        with pytest.raises(RunStopped):
            finished(loop)
        return loop.update

    assert together(*(partial(stopped, loop) for loop in loops)) == [1, 1]
