"""Which examples warm-ups learn from; and warm-ups that are done anew on the data of another run."""

from dataclasses import replace

import pytest

from tests.small_runs import carry_on, short_config
from workbench.config import DataConfig, apply_overrides
from workbench.data.generate import Example
from workbench.data.sets import read_examples
from workbench.data.warm_up import warm_up_examples, with_other_reflections
from workbench.errors import ConfigError
from workbench.models.loading import POLICY, REFLECTION
from workbench.recipes.execute import prepare_run
from workbench.recipes.reflect_rl import training_rows
from workbench.recipes.session import open_session
from workbench.store.layout import START
from workbench.store.reader import Run
from workbench.trainers import checkpoint


def example(number: int, *, kind: str = "positive", split: str = "train") -> Example:
    return Example(
        kind, split, "long", f"task-{number}", number, 0, "Walk.", "@", "1", ("left", "right"), "right", "right", f"says {number}"
    )


EXAMPLES = [
    example(number, kind="negative" if number % 3 == 0 else "positive", split="validation" if number % 5 == 0 else "train")
    for number in range(30)
]


def test_all_training_examples_by_default():
    found = warm_up_examples(EXAMPLES, DataConfig(), seed=0)
    assert [number for number, _ in found] == [number for number in range(30) if number % 5]


def test_positives_alone():
    found = warm_up_examples(EXAMPLES, DataConfig(warm_up_kinds="positive"), seed=0)
    assert [number for number, _ in found] == [number for number in range(30) if number % 5 and number % 3]


@pytest.mark.parametrize("kinds", ["all", "positive"])
def test_a_number_of_rows_is_drawn_by_the_seed_and_kept_in_order(kinds):
    config = DataConfig(warm_up_rows=10, warm_up_kinds=kinds)
    found = [number for number, _ in warm_up_examples(EXAMPLES, config, seed=4)]
    assert len(found) == 10 and found == sorted(set(found))
    assert found == [number for number, _ in warm_up_examples(EXAMPLES, config, seed=4)]
    assert found != [number for number, _ in warm_up_examples(EXAMPLES, config, seed=5)]


def test_more_rows_than_there_are_is_refused():
    with pytest.raises(ConfigError, match=r"data.warm_up_rows=17, but there are 16 such examples; lower it or raise data.trajectories"):
        warm_up_examples(EXAMPLES, DataConfig(warm_up_rows=17, warm_up_kinds="positive"), seed=0)


def test_others_reflections_are_all_used_and_none_where_it_belongs():
    own = warm_up_examples(EXAMPLES, DataConfig(), seed=0)
    found = with_other_reflections(own, seed=0)
    assert [number for number, _ in found] == [number for number, _ in own]
    assert sorted(one.reflection for _, one in found) == sorted(one.reflection for _, one in own)
    assert all(one.reflection != other.reflection for (_, one), (_, other) in zip(found, own, strict=True))
    assert all(replace(one, reflection="") == replace(other, reflection="") for (_, one), (_, other) in zip(found, own, strict=True))


def test_a_warm_up_reads_exactly_the_rows_that_are_asked_for(short_run):
    session = open_session(short_run, config=apply_overrides(short_config(), ["data.warm_up_rows=7"]))
    players = session.players()
    assert players.reflection is not None
    assert len(training_rows(session, players.policy, POLICY)) == 7
    assert len(training_rows(session, players.reflection, REFLECTION)) == 7


def test_shuffled_reflections_are_shuffled_in_the_warm_up_too(short_run):
    session = open_session(short_run)
    policy = session.players().policy
    other = open_session(short_run, config=apply_overrides(session.config, ["reflection.kind=shuffled"]))
    own, theirs = training_rows(session, policy, POLICY), training_rows(other, policy, POLICY)
    assert len(own) == len(theirs) and own != theirs
    assert [row.labels[-1] for row in own] == [row.labels[-1] for row in theirs]  # what is taught stays


def test_a_named_warm_up_is_done_anew_on_the_parents_data(short_run, tmp_path):
    config = short_config("phases=[sft-policy,evaluate]", "reflection.kind=none", "sft_policy.learning_rate=1e-3")
    child = carry_on(prepare_run(tmp_path, config, parent=short_run, phases_were_named=True))
    assert read_examples(child.data) == read_examples(short_run.data)
    start = checkpoint.latest(child.checkpoints / START)
    assert start is not None and (start / REFLECTION).is_dir() and not (start / POLICY).exists()
    assert list(Run(child).metrics()["phase"].unique()) == ["sft-policy", "evaluate"]


def test_warm_ups_are_left_out_where_nobody_named_them(short_run, tmp_path):
    child = prepare_run(tmp_path, short_config(), parent=short_run)
    start = checkpoint.latest(child.checkpoints / START)
    assert start is not None and (start / POLICY).is_dir() and (start / REFLECTION).is_dir()


def test_easier_stages_are_judged_before_the_whole_task(short_run, tmp_path):
    config = short_config("phases=[evaluate]", "evaluation.stages=[short]")
    child = carry_on(prepare_run(tmp_path, config, parent=short_run, phases_were_named=True))
    found = Run(child).evaluations()
    assert list(found["stage"]) == ["short", "long"]
    ids = Run(child).trajectories(phase="evaluate")["trajectory_id"]
    assert len(set(ids)) == 32 and sum(one.startswith("evaluate-short-") for one in ids) == 16
    before = Run(short_run).evaluations().iloc[-1]
    assert found.iloc[-1]["success_rate"] == before["success_rate"]


def test_an_unknown_stage_of_evaluation_is_told_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match=r"evaluation.stages: unknown stage 'shrot'; did you mean 'short'"):
        prepare_run(tmp_path, short_config("evaluation.stages=[shrot]"))
    assert not list(tmp_path.iterdir())
