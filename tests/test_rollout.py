"""Playing: the same trajectories one by one and in batches, and what a turn remembers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.chain_world import ChainWorld
from tests.small_play import CHAIN, TAXI, assignments, collector, play_config
from workbench.data.teachers import make_teacher
from workbench.envs.catalog import make_env
from workbench.envs.text_env import Info, Outcome, TextEnv
from workbench.errors import EnvError
from workbench.models.policy import Decision, Judgement
from workbench.models.reflection import HintReflection
from workbench.prompts import ANALYZE
from workbench.records import Reflection, Trajectory
from workbench.rollout.play import Assignment, choose, play
from workbench.seeding import derived_seed
from workbench.store.layout import create_run
from workbench.store.reader import Run
from workbench.store.writer import RunWriter

CLOSE = 1e-5
RECOMPUTED = 1e-4


def assert_same(one: Sequence[Trajectory], other: Sequence[Trajectory]) -> None:
    """Equal but for the last digits of probabilities."""
    assert [plain(trajectory) for trajectory in one] == [plain(trajectory) for trajectory in other]
    turns, others = ([turn for trajectory in side for turn in trajectory.turns] for side in (one, other))
    for mine, theirs in zip(turns, others, strict=True):
        assert mine.probabilities == pytest.approx(theirs.probabilities, abs=CLOSE)
        assert mine.log_prob == pytest.approx(theirs.log_prob, abs=CLOSE)
        assert mine.reflection.log_probs == pytest.approx(theirs.reflection.log_probs, abs=CLOSE)


def plain(trajectory: Trajectory) -> Trajectory:
    turns = (replace(t, probabilities=(), log_prob=0.0, reflection=replace(t.reflection, log_probs=())) for t in trajectory.turns)
    return replace(trajectory, turns=tuple(turns))


@pytest.mark.parametrize("world", [CHAIN, TAXI])
@pytest.mark.parametrize("greedy", [True, False])
def test_batches_of_any_size_play_what_one_by_one_plays(world, greedy):
    todo = assignments(world, count=20)
    alone = collector(world, greedy=greedy)
    expected = [play(alone.make_env(), one, alone.rules, alone.policy, alone.reflection) for one in todo]
    assert len({len(trajectory.turns) for trajectory in expected}) > 2, "lengths differ, so that places are taken over"
    assert len({turn.labels for trajectory in expected for turn in trajectory.turns}) > 1
    for batch_size in (1, 3, 64):
        assert_same(collector(world, greedy=greedy, batch_size=batch_size).collect(todo), expected)


@pytest.mark.parametrize("greedy", [True, False])
def test_company_and_order_change_nothing(greedy):
    todo = assignments(count=12)
    expected = {trajectory.trajectory_id: trajectory for trajectory in collector(greedy=greedy).collect(todo)}
    for company in (todo[::-1], todo[3:8], todo[::3]):
        found = collector(greedy=greedy, batch_size=4).collect(company)
        assert [trajectory.trajectory_id for trajectory in found] == [one.trajectory_id for one in company]
        assert_same(found, [expected[one.trajectory_id] for one in company])


def test_a_collector_plays_the_same_again():
    players, todo = collector(batch_size=5), assignments(count=8)
    assert_same(players.collect(todo), players.collect(todo))


class CountingPolicy:
    """Notes how many decisions each forward pass was asked for."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.sizes: list[int] = []

    def judge(self, decisions: Sequence[Decision], *, temperature: float) -> list[Judgement]:
        self.sizes.append(len(decisions))
        found: list[Judgement] = self.policy.judge(decisions, temperature=temperature)
        return found


def rounds_with_places_taken_over(lengths: Sequence[int], places: int) -> list[int]:
    """How many decisions each round has when the next trajectory begins as soon as a place is free."""
    waiting, left = list(lengths), [0] * places
    rounds: list[int] = []
    while True:
        left = [turns or (waiting.pop(0) if waiting else 0) for turns in left]
        busy = sum(turns > 0 for turns in left)
        if not busy:
            return rounds
        rounds.append(busy)
        left = [max(0, turns - 1) for turns in left]


def test_a_finished_trajectory_leaves_its_place_to_the_next():
    players, todo = collector(batch_size=3), assignments(count=11)
    made: list[TextEnv] = []
    counting = CountingPolicy(players.policy)
    players.policy = counting  # type: ignore[assignment]

    def make() -> TextEnv:
        made.append(make_env(CHAIN))
        return made[-1]

    players.make_env = make
    ended: list[str] = []
    found = players.collect(todo, on_done=lambda trajectory: ended.append(trajectory.trajectory_id))
    assert len(made) == 3
    assert counting.sizes == rounds_with_places_taken_over([len(one.turns) for one in found], 3)
    assert sorted(ended) == [one.trajectory_id for one in todo] == [one.trajectory_id for one in found]
    assert ended != sorted(ended), "the short ones end before the long ones that began earlier"


def test_nothing_to_play_gives_nothing():
    assert collector().collect([]) == []


def test_replaying_the_commands_gives_the_same_turns():
    for trajectory in collector(TAXI).collect(assignments(TAXI, count=6, stage="pickup")):
        env = make_env(TAXI)
        seed = derived_seed(trajectory.seed, "env")
        observation, info = env.reset(seed=seed, options={"task": trajectory.task, "stage": trajectory.stage})
        for turn in trajectory.turns:
            assert (turn.observation, turn.state_key) == (observation, info["state_key"])
            assert turn.admissible_commands == tuple(info["admissible_commands"])
            observation, reward, terminated, truncated, info = env.step(turn.command)
            assert (turn.reward, turn.terminated, turn.truncated) == (reward, terminated, truncated)
        assert [turn.index for turn in trajectory.turns] == list(range(len(trajectory.turns)))
        assert trajectory.turns[-1].terminated or trajectory.turns[-1].truncated
        assert trajectory.success == info["success"]


def test_oracle_commands_are_noted_where_asked_for():
    with_oracle = collector(oracle_commands=True).collect(assignments(count=3))
    assert {turn.oracle_command for one in with_oracle for turn in one.turns} == {"right"}
    without = collector().collect(assignments(count=3))
    assert {turn.oracle_command for one in without for turn in one.turns} == {None}


def test_without_reflections_their_marker_is_left_out():
    players = collector(reflects=False)
    (trajectory,) = players.collect(assignments(count=1))
    tokenizer = players.policy.player.tokenizer
    for turn in trajectory.turns:
        assert turn.reflection == Reflection(text="")
        assert ANALYZE not in str(tokenizer.decode(list(turn.prompt_token_ids)))
    reflecting = collector().collect(assignments(count=1))[0].turns[0]
    assert ANALYZE in str(tokenizer.decode(list(reflecting.prompt_token_ids)))


def test_temperature_zero_takes_the_most_probable_command():
    todo = assignments(count=6)
    certain = collector(temperature=0).collect(todo)
    for turn in (turn for one in certain for turn in one.turns):
        assert turn.chosen_index == int(np.argmax(turn.probabilities))
    again = collector(temperature=0).collect([replace(one, seed=one.seed) for one in todo])
    assert_same(certain, again)
    dice = collector().collect(todo)
    assert any(turn.chosen_index != int(np.argmax(turn.probabilities)) for one in dice for turn in one.turns)


def test_rules_of_one_call_leave_the_collector_as_it_was():
    players, todo = collector(), assignments(count=4)
    before = players.collect(todo)
    players.collect(todo, rules=replace(players.rules, temperature=0))
    assert_same(players.collect(todo), before)


def test_sampled_ids_enter_the_policys_prompt_as_they_are():
    for turn in collector(greedy=False).collect(assignments(count=2))[0].turns:
        ids, prompt = turn.reflection.token_ids, turn.prompt_token_ids
        assert ids
        assert any(prompt[start : start + len(ids)] == ids for start in range(len(prompt)))


def test_a_hint_is_the_reflection_of_the_upper_bound():
    players = collector(TAXI, oracle_commands=True)
    players.reflection = HintReflection()
    players.rules = replace(players.rules, hint=make_teacher(make_env(TAXI)).reflect, shares_tokens=False)
    found = players.collect(assignments(TAXI, count=5))
    for turn in (turn for one in found for turn in one.turns):
        assert turn.reflection.text
        assert turn.reflection.suggested_command == turn.oracle_command
        spoken = players.rules.prompts.encode(turn.reflection.text)
        assert str(spoken)[1:-1] in str(turn.prompt_token_ids)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_a_stored_log_probability_is_the_one_recomputed_from_it(tmp_path, temperature):
    players = collector(TAXI, temperature=temperature)
    played = players.collect(assignments(TAXI, count=12))
    paths = create_run(tmp_path, play_config(TAXI))
    writer = RunWriter(paths)
    writer.trajectories(played)
    writer.flush()
    stored = [Run(paths).trajectory(one.trajectory_id) for one in played]
    for turn in (turn for one in [*played, *stored] for turn in one.turns):
        (log_probs,) = players.policy.distributions([Decision(turn.prompt_token_ids, turn.label_token_ids)], temperature=temperature)
        assert log_probs[turn.chosen_index] == pytest.approx(turn.log_prob, abs=RECOMPUTED)
        assert np.exp(log_probs) == pytest.approx(turn.probabilities, abs=RECOMPUTED)
        assert sum(turn.probabilities) == pytest.approx(1.0)
    assert_same(stored, played)


def test_choosing_by_hand():
    log_probs = np.log([0.2, 0.5, 0.3])
    assert [choose(log_probs, uniform, greedy=False) for uniform in (0.0, 0.19, 0.21, 0.69, 0.71, 0.999999)] == [0, 0, 1, 1, 2, 2]
    assert choose(log_probs, 0.0, greedy=True) == 1
    # Rounding may leave the sum below 1; the last command takes the rest.
    assert choose(np.log([0.5, 0.5]) - 1e-9, 1.0 - 1e-16, greedy=False) == 1


class Speechless(ChainWorld):
    """Offers nothing once it has moved."""

    def admissible_commands(self) -> tuple[str, ...]:
        return () if self.turns_taken else ("left", "right")


class FreeText(ChainWorld):
    """Takes any text, so it lists no commands."""

    def _info(self) -> Info:
        return {key: value for key, value in super()._info().items() if key != "admissible_commands"}


class Broken(ChainWorld):
    """Breaks at its second step."""

    def _act(self, command: str) -> Outcome:
        if self.turns_taken:
            raise ZeroDivisionError("the bridge\nis out")
        return super()._act(command)


class Lost(ChainWorld):
    """Its oracle breaks."""

    def oracle(self) -> list[str]:
        raise KeyError("no way")


@pytest.mark.parametrize("reflects", [True, False])
@pytest.mark.parametrize("world", [Speechless, FreeText])
def test_a_state_without_commands_is_named_by_its_seed(world, reflects):
    players = collector(reflects=reflects)
    players.make_env = world
    with pytest.raises(EnvError, match=r"task 'start-2' of stage 'long' \(seed 71\): the environment offers no admissible command"):
        players.collect([Assignment("rl-000001-0000", "rl", 1, "start-2", "long", 71)])


def test_an_environment_that_breaks_is_named_by_its_seed():
    players = collector()
    players.make_env = Broken
    with pytest.raises(EnvError, match=r"task 'start-2' of stage 'long' \(seed 9\): .*broke \(ZeroDivisionError: the bridge\)") as caught:
        players.collect([Assignment("rl-000001-0000", "rl", 1, "start-2", "long", 9)])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("settings", [{"oracle_commands": True}, {"hint": lambda env, dice: env.oracle()[0]}])
def test_an_oracle_that_breaks_is_named_by_its_seed(settings):
    players = collector()
    players.make_env, players.rules = Lost, replace(players.rules, **settings)
    with pytest.raises(EnvError, match=r"task 'start-2' of stage 'long' \(seed 9\): .*broke \(KeyError: 'no way'\)"):
        players.collect([Assignment("rl-000001-0000", "rl", 1, "start-2", "long", 9)])


def test_an_unknown_task_is_the_environments_own_message():
    with pytest.raises(EnvError, match="unknown task 'start-77'"):
        collector().collect([Assignment("rl-000001-0000", "rl", 1, "start-77", "long", 9)])


def test_time_is_told_by_where_it_went():
    players = collector()
    players.collect(assignments(count=4))
    timings = players.timings
    assert min(timings.reflect, timings.act, timings.env) > 0
    silent = collector(reflects=False)
    silent.collect(assignments(count=4))
    assert silent.timings.reflect == 0
