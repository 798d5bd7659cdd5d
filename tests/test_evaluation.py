"""Judging a policy: intervals with published values, who plays what, and means by hand."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.chain_world import ChainWorld
from tests.small_play import assignments, collector
from workbench.errors import ConfigError
from workbench.evaluation.evaluate import Evaluation, evaluate, summary
from workbench.evaluation.statistics import wilson_interval
from workbench.records import Interval, Reflection, Trajectory

TASKS = ChainWorld().tasks("long")


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I, score method.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718), (29, 29, 0.8830, 1.0)],
)
def test_published_intervals(successes, trials, low, high):
    found = wilson_interval(successes, trials)
    assert found.rate == successes / trials
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_an_interval_holds_its_rate_and_stays_within_zero_and_one():
    for trials in range(1, 60):
        for successes in range(trials + 1):
            found = wilson_interval(successes, trials)
            assert 0 <= found.low <= found.rate <= found.high <= 1
    assert wilson_interval(0, 0) == Interval(0.0, 0.0, 1.0)


def judged(count: int = 10, *, seed: int = 1, batch_size: int = 64, temperature: float = 1.0, tasks: Sequence[str] = TASKS) -> Evaluation:
    return evaluate(
        collector(batch_size=batch_size, oracle_commands=True),
        tasks,
        stage="long",
        count=count,
        seed=seed,
        temperature=temperature,
        phase="evaluate",
        update=7,
    )


def test_every_task_is_played_as_often_as_any_other_up_to_one():
    found = judged(10)
    assert sorted(Counter(one.task for one in found.trajectories).values()) == [2, 2, 3, 3]
    assert Counter(one.task for one in judged(8).trajectories) == dict.fromkeys(TASKS, 2)
    assert {(one.stage, one.phase, one.update) for one in found.trajectories} == {("long", "evaluate", 7)}
    assert len({one.seed for one in found.trajectories}) == len({one.trajectory_id for one in found.trajectories}) == 10


def test_an_evaluation_follows_from_its_seed_alone():
    assert judged(6).values() == judged(6).values()
    assert judged(6, batch_size=2).values() == pytest.approx(judged(6).values())
    assert [one.seed for one in judged(6, seed=2).trajectories] != [one.seed for one in judged(6).trajectories]


def test_more_trajectories_begin_with_the_same_ones():
    few, many = judged(5), judged(9)
    assert [one.seed for one in many.trajectories[:5]] == [one.seed for one in few.trajectories]
    assert [one.task for one in many.trajectories[:4]] == [one.task for one in few.trajectories[:4]]


def test_temperature_is_the_evaluations_own():
    for turn in (turn for one in judged(6, temperature=0).trajectories for turn in one.turns):
        assert turn.chosen_index == turn.probabilities.index(max(turn.probabilities))


def test_without_tasks_it_says_what_to_change():
    with pytest.raises(ConfigError, match=r"no start states to evaluate on; raise data.test_share .* evaluation.split=all"):
        judged(tasks=())


@pytest.fixture(scope="module")
def two():
    """Trajectories whose turns are then told by hand."""
    return collector().collect(assignments(count=2))


def by_hand(like: Trajectory, *, suggested: list[str | None], chosen: list[str], oracle: list[str | None], reward: float) -> Trajectory:
    turns = [
        replace(
            like.turns[0],
            index=number,
            command=command,
            reflection=Reflection("", suggested_command=said),
            oracle_command=right,
            reward=reward,
        )
        for number, (said, command, right) in enumerate(zip(suggested, chosen, oracle, strict=True))
    ]
    return replace(like, turns=tuple(turns))


def test_means_by_hand(two):
    one = by_hand(two[0], suggested=["left", None, "right"], chosen=["left", "left", "left"], oracle=["right"] * 3, reward=0.5)
    other = by_hand(two[1], suggested=["right"], chosen=["right"], oracle=["right"], reward=-1.0)
    assert summary([one, other]) == {
        "mean_reward": 0.25,  # (1.5 - 1) / 2
        "mean_length": 2.0,
        "followed_suggestion": pytest.approx(2 / 3),  # left, right of three suggestions
        "suggestion_is_oracle": 0.5,  # of four turns two suggest the oracle's command
    }


def test_what_nobody_said_is_left_out(two):
    silent = by_hand(two[0], suggested=[None], chosen=["left"], oracle=[None], reward=0.0)
    assert set(summary([silent])) == {"mean_reward", "mean_length"}


def test_the_line_of_an_evaluation(two):
    trajectories = [replace(two[0], success=True), replace(two[1], success=False)]
    values = Evaluation(trajectories, wilson_interval(1, 2)).values()
    assert (values["success_rate"], values["successes"], values["trajectories"]) == (0.5, 1, 2)
    assert (values["low"], values["high"]) == pytest.approx((0.0945, 0.9055), abs=1e-4)
    assert values["mean_length"] == (len(two[0].turns) + len(two[1].turns)) / 2
