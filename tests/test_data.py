"""Warm-up data: who plays what, what is taught, and that nothing of a held-out start state is seen."""

import hashlib
import json
from collections import Counter

import numpy as np
import pytest

from tests.chain_world import ChainWorld
from workbench.config import Behaviour, DataConfig
from workbench.data.generate import Example, generate, safe_commands
from workbench.data.splits import split_tasks
from workbench.data.teachers import GenericTeacher, Mistake, TaxiTeacher, best_command, make_teacher
from workbench.envs.taxi import DangerousTaxi
from workbench.envs.taxi_world import is_aboard
from workbench.envs.text_env import TextEnv
from workbench.errors import DataError
from workbench.prompts import suggested_command

TRAJECTORIES, NEGATIVES = 150, 150


@pytest.fixture(scope="module")
def taxi_splits():
    return split_tasks(DangerousTaxi(), DataConfig(), seed=3)


@pytest.fixture(scope="module")
def taxi_examples(taxi_splits):
    config = DataConfig(trajectories=TRAJECTORIES, negatives=NEGATIVES)
    return generate(DangerousTaxi(), taxi_splits, TaxiTeacher(), config, seed=3)


def kind(examples: list[Example], name: str) -> list[Example]:
    return [example for example in examples if example.kind == name]


def state(example: Example) -> int:
    return int(example.state_key.removeprefix("pickup-").rstrip("+"))


def at(example: Example) -> DangerousTaxi:
    """An environment in the example's state."""
    env = DangerousTaxi(horizon=1000)
    env.reset(seed=0, options={"task": example.task, "stage": example.stage})
    env._state = state(example)
    return env


# Splits -------------------------------------------------------------------------------------------


def test_no_start_state_is_in_two_splits_of_any_stage(taxi_splits):
    names = ("train", "validation", "test")
    for one in names:
        for other in names:
            if one != other:
                mine = {task for splits in taxi_splits.values() for task in splits[one]}
                theirs = {task for splits in taxi_splits.values() for task in splits[other]}
                assert not mine & theirs, (one, other)
    for stage, splits in taxi_splits.items():
        assert sorted(sum((splits[name] for name in names), ())) == sorted(splits["all"]) == sorted(DangerousTaxi().tasks(stage))
    assert len({tuple(map(tuple, splits.values())) for splits in taxi_splits.values()}) == 1, "taxi's stages share their tasks"
    assert {name: len(taxi_splits["full"][name]) for name in names} == {"train": 240, "validation": 15, "test": 45}


def test_a_task_of_several_stages_falls_into_one_split():
    splits = split_tasks(ChainWorld(length=20), DataConfig(validation_share=0.2, test_share=0.3), seed=1)
    for name in ("train", "validation", "test"):
        assert set(splits["short"][name]) == set(splits["long"][name]) & set(splits["short"]["all"])


def test_splits_follow_from_the_seed():
    env, config = DangerousTaxi(), DataConfig()
    assert split_tasks(env, config, seed=5) == split_tasks(env, config, seed=5)
    assert split_tasks(env, config, seed=5)["full"]["test"] != split_tasks(env, config, seed=6)["full"]["test"]


def test_a_share_of_too_few_tasks_is_refused():
    with pytest.raises(DataError, match=r"data.validation_share=0.05 of 4 tasks is none; raise it, or set it to 0"):
        split_tasks(ChainWorld(), DataConfig(test_share=0), seed=0)
    assert split_tasks(ChainWorld(), DataConfig(validation_share=0, test_share=0), seed=0)["long"]["test"] == ()


def test_tasks_of_one_group_fall_into_one_split():
    class Paired(ChainWorld):
        def task_group(self, task: str) -> str:
            return str(int(task.removeprefix("start-")) // 2)

    env = Paired(length=42)
    splits = split_tasks(env, DataConfig(validation_share=0.2, test_share=0.3), seed=1)["long"]
    groups = {split: {env.task_group(task) for task in splits[split]} for split in ("train", "validation", "test")}
    assert all(groups.values()) and sum(map(len, groups.values())) == 21  # 20 pairs and a single
    assert sorted(splits["train"] + splits["validation"] + splits["test"]) == sorted(splits["all"])


# What is played -------------------------------------------------------------------------------------


def test_test_tasks_are_never_touched_and_splits_are_told_right(taxi_splits, taxi_examples):
    for example in taxi_examples:
        assert example.task not in taxi_splits[example.stage]["test"]
        assert example.task in taxi_splits[example.stage][example.split]
    assert {example.split for example in taxi_examples} == {"train", "validation"}


def test_the_carrying_half_of_the_task_is_covered(taxi_examples):
    full = [example for example in kind(taxi_examples, "positive") if example.stage == "full"]
    aboard = sum(is_aboard(state(example)) for example in full)
    # A shortest solution of the full task is aboard for about half of its turns (5.5 of 13); random fatal play would never be.
    assert 0.30 < aboard / len(full) < 0.65
    taught = Counter(example.oracle_command for example in taxi_examples)
    assert set(taught) == {"south", "north", "east", "west", "pickup", "dropoff"}
    assert min(taught.values()) > 0.03 * len(taxi_examples)
    assert Counter(example.stage for example in taxi_examples).keys() == {"pickup", "dropoff", "full"}


def test_every_positive_is_taught_an_optimal_command(taxi_examples):
    for example in kind(taxi_examples, "positive"):
        env = at(example)
        distance = len(env.oracle())
        _, _, terminated, _, info = env.step(example.oracle_command)
        assert info["success"] if distance == 1 else not terminated
        assert len(env.oracle()) == distance - 1
        assert example.mistake is None


def test_every_negative_is_really_worse_and_is_mended(taxi_examples):
    negatives = kind(taxi_examples, "negative")
    assert len(negatives) == NEGATIVES
    env = DangerousTaxi()
    for example in negatives:
        assert example.behaviour_command == example.oracle_command
        env.reset(seed=0, options={"task": example.task, "stage": example.stage})
        plan = env.oracle()
        for command in plan[: example.turn - 1]:
            env.step(command)
        before = env.oracle()
        assert example.mistake is not None
        assert example.mistake != before[0]
        observation, _, terminated, truncated, info = env.step(example.mistake)
        assert not terminated and not truncated
        assert (observation, info["state_key"]) == (example.observation, example.state_key)
        after = env.oracle()
        assert len(after) >= len(before), "the wrong command gained nothing"
        env.step(example.oracle_command)
        assert len(env.oracle()) == len(after) - 1, "the correction is the first step of a shortest way"


def test_of_a_negative_only_the_last_step_is_kept(taxi_examples):
    negatives = kind(taxi_examples, "negative")
    assert len({example.trajectory for example in negatives}) == len(negatives)
    assert not {example.trajectory for example in negatives} & {example.trajectory for example in kind(taxi_examples, "positive")}
    assert {example.turn for example in negatives} != {1}, "the path is left at any step, not only the first"
    assert min(example.turn for example in negatives) == 1


def test_positives_keep_every_turn(taxi_examples):
    turns: dict[int, list[int]] = {}
    for example in kind(taxi_examples, "positive"):
        turns.setdefault(example.trajectory, []).append(example.turn)
    assert sorted(turns) == list(range(TRAJECTORIES))
    assert all(own == list(range(len(own))) for own in turns.values())


def test_data_follows_from_the_seed(taxi_splits, taxi_examples):
    config = DataConfig(trajectories=TRAJECTORIES, negatives=NEGATIVES)
    again = generate(DangerousTaxi(), taxi_splits, TaxiTeacher(), config, seed=3)
    assert again == taxi_examples
    other = generate(DangerousTaxi(), taxi_splits, TaxiTeacher(), DataConfig(trajectories=20, negatives=5), seed=4)
    assert other != taxi_examples[: len(other)]


def test_progress_counts_every_trajectory(taxi_splits):
    told: list[int] = []
    generate(
        DangerousTaxi(), taxi_splits, TaxiTeacher(), DataConfig(trajectories=7, negatives=5), seed=0, on_progress=lambda n: told.append(n)
    )
    assert sum(told) == 12


def behave(random: float, *, safe: bool, trajectories: int = 60) -> list[Example]:
    config = DataConfig(trajectories=trajectories, negatives=0, behaviours=[Behaviour(share=1, random=random, safe=safe)])
    return generate(DangerousTaxi(), split_tasks(DangerousTaxi(), config, seed=0), TaxiTeacher(), config, seed=0)


def test_behaviours_are_what_they_say():
    assert all(example.behaviour_command == example.oracle_command for example in behave(0.0, safe=True))
    for example in behave(1.0, safe=True, trajectories=20):
        _, _, terminated, _, info = at(example).step(example.behaviour_command)
        assert not terminated or info["success"]
    reckless = behave(1.0, safe=False)
    fatal = [at(example).step(example.behaviour_command) for example in reckless]
    assert sum(terminated and not info["success"] for _, _, terminated, _, info in fatal) > 50, "nearly every reckless trajectory dies"
    share = np.mean([example.behaviour_command != example.oracle_command for example in reckless])
    # One of six random commands is the oracle's own: 5/6 differ. 60 short trajectories leave a standard error of about 0.03.
    assert share == pytest.approx(5 / 6, abs=0.12)


def test_safe_commands_leave_the_state_as_it_was():
    env = DangerousTaxi()
    env.reset(seed=0, options={"task": "r0c0-G-R", "stage": "full"})
    before = env.snapshot()
    # In the north-west corner: a wall to the north and west, nobody here, nobody aboard.
    assert safe_commands(env) == ["south", "east"]
    assert env.snapshot() == before


def test_an_environment_without_room_for_mistakes_says_so():
    class OneWay(ChainWorld):
        """Goes right whatever is said."""

        def admissible_commands(self) -> tuple[str, ...]:
            return ("right",)

    env, config = OneWay(), DataConfig(trajectories=1, negatives=1, validation_share=0, test_share=0)
    with pytest.raises(DataError, match=r"no command off the oracle's path can be mended \(100 tries\); set data.negatives=0"):
        generate(env, split_tasks(env, config, seed=0), GenericTeacher(), config, seed=0)


# Teachers -------------------------------------------------------------------------------------------


def test_every_sentence_names_the_command_last(taxi_examples):
    for example in taxi_examples:
        assert suggested_command(example.reflection, example.commands) == example.oracle_command, example.reflection


def test_sentences_vary(taxi_examples):
    sentences = {example.reflection for example in taxi_examples}
    assert len(sentences) > 150, f"{len(sentences)} distinct of {len(taxi_examples)}"
    by_state: dict[str, set[str]] = {}
    for example in kind(taxi_examples, "positive"):
        by_state.setdefault(example.state_key, set()).add(example.reflection)
    assert np.mean([len(said) > 1 for said in by_state.values()]) > 0.3, "one state is put into different words"
    assert all("\n" not in sentence and len(sentence) < 120 for sentence in sentences)


def test_corrections_name_the_mistake(taxi_examples):
    for example in kind(taxi_examples, "negative"):
        if example.mistake in ("north", "south", "east", "west"):
            assert str(example.mistake) in example.reflection
        else:
            assert example.mistake == "dropoff"
            assert "not the destination" in example.reflection or "too early" in example.reflection


@pytest.mark.parametrize("stage", ["short", "long"])
def test_the_generic_teacher_speaks_about_any_environment_with_an_oracle(stage):
    env = ChainWorld()
    assert isinstance(make_teacher(env), GenericTeacher)
    said = set()
    for seed in range(30):
        env.reset(seed=seed, options={"stage": stage})
        dice = np.random.default_rng(seed)
        praise, blame = (
            GenericTeacher().reflect(env, dice),
            GenericTeacher().correct(env, Mistake("left", "right"), dice),
        )
        assert suggested_command(praise, env.admissible_commands()) == "right"
        assert suggested_command(blame, env.admissible_commands()) == "right"
        assert "left" in blame
        assert f"{len(env.oracle())} more command" in praise
        said |= {praise, blame}
    assert len(said) > 15


def test_taxi_has_a_teacher_of_its_own():
    assert isinstance(make_teacher(DangerousTaxi()), TaxiTeacher)


def test_a_teacher_neither_moves_nor_sees_the_list():
    env = DangerousTaxi()
    env.reset(seed=1)
    before = env.snapshot()
    TaxiTeacher().reflect(env, np.random.default_rng(0))
    assert env.snapshot() == before


class Clueless(ChainWorld):
    """Knows no solution."""

    oracle = TextEnv.oracle  # type: ignore[assignment]


class Lost(ChainWorld):
    """Has an oracle that gives no plan."""

    def oracle(self) -> list[str]:
        return []


def test_an_environment_without_an_oracle_is_refused_in_one_line():
    with pytest.raises(DataError, match=r"'chain' defines no oracle\(\), so no reflections can be generated; define it, or leave generate"):
        make_teacher(Clueless())
    env = Lost()
    env.reset(seed=0, options={"task": "start-3", "stage": "long"})
    with pytest.raises(DataError, match=r"the oracle of 'chain' gives no plan for task 'start-3' at state '3'"):
        best_command(env)


def test_the_rules_teach_what_they_always_taught():
    """The presets' results were measured on this data: whoever changes it has to measure them again."""
    config = DataConfig(trajectories=40, negatives=30)
    examples = generate(DangerousTaxi(), split_tasks(DangerousTaxi(), config, seed=7), TaxiTeacher(), config, seed=7)
    text = "".join(json.dumps(example.as_json()) + "\n" for example in examples)
    assert hashlib.sha256(text.encode()).hexdigest()[:32] == "3d5e49372e8f4cb781e4c83dc8429d61"
