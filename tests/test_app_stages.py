"""Which stages a run's figures name, where its world has others than by default."""

import pytest

from tests.app_pages import shown, words
from tests.app_runs import CONFIG, make_run
from workbench.config import apply_overrides
from workbench.dashboard.run_sections import stage_names
from workbench.store.layout import create_run

OTHER_STAGES = ["env.name=explore", "env.options={merge_first_two: true}"]


def test_a_world_as_it_is_by_default_names_all_its_stages(root):
    assert stage_names(create_run(root, CONFIG)) == ["pickup", "dropoff", "full"]


def test_the_curriculums_own_stages_come_first(root):
    assert stage_names(create_run(root, apply_overrides(CONFIG, [*OTHER_STAGES, "curriculum.stages=[b, a]"]))) == ["b", "a"]


def test_a_world_with_options_is_named_by_the_changes_of_stage(root):
    assert stage_names(make_run(root, updates=2, config=apply_overrides(CONFIG, OTHER_STAGES))) == ["pickup", "dropoff"]


def test_before_any_change_by_what_was_played(root):
    paths = make_run(root, updates=1, config=apply_overrides(CONFIG, OTHER_STAGES))
    paths.events.unlink()
    assert stage_names(paths) == ["pickup"]
    assert stage_names(create_run(root, apply_overrides(CONFIG, OTHER_STAGES))) == []


@pytest.mark.parametrize(
    ("phases", "says"), [("[generate, sft-policy]", "no phase of online learning"), ("[generate, rl]", "with its first update")]
)
def test_a_run_without_online_learning_promises_no_curves(root, phases, says):
    paths = make_run(root, updates=0, config=apply_overrides(CONFIG, [f"phases={phases}"]))
    assert says in words(shown("run", run=paths.run_id))
