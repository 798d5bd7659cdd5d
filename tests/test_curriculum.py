"""When each kind of curriculum changes the stage, and that its state survives a restart."""

import json

import pytest

from workbench.config import CurriculumConfig
from workbench.curriculum import Curriculum, StageChange, make_curriculum
from workbench.errors import ConfigError

STAGES = ("pickup", "dropoff", "full")


def make(max_steps: int = 9, **settings) -> Curriculum:
    return make_curriculum(CurriculumConfig(**settings), STAGES, max_steps)


@pytest.mark.parametrize(
    ("max_steps", "expected"),
    [
        (9, "pppdddfff"),
        (10, "pppddddfff"),  # starts at round(10/3) = 3 and round(20/3) = 7
        (3, "pdf"),
        (2, "pf"),
        (1, "f"),
    ],
)
def test_fixed_plays_equal_parts_and_ends_on_the_last_stage(max_steps, expected):
    curriculum = make(max_steps, kind="fixed")
    assert "".join(curriculum.stage(update)[0] for update in range(max_steps)) == expected


@pytest.mark.parametrize("max_steps", range(1, 40))
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_fixed_never_goes_back_and_always_reaches_the_end(max_steps, count):
    stages = [f"stage {number}" for number in range(count)]
    curriculum = make_curriculum(CurriculumConfig(kind="fixed"), stages, max_steps)
    played = [stages.index(curriculum.stage(update)) for update in range(max_steps)]
    assert played == sorted(played)
    assert played[-1] == count - 1
    if max_steps >= count:
        assert set(played) == set(range(count))


def test_fixed_reports_its_changes_with_the_rate_of_the_stage_that_ends():
    curriculum = make(6, kind="fixed", window=4)
    changes = []
    for update in range(6):
        changes.append(curriculum.record(curriculum.stage(update), [update == 1] * 3))
    assert [update for update, change in enumerate(changes) if change] == [1, 3]
    # Window 4: one failure of update 0 and the three successes of update 1.
    assert changes[1] == StageChange("pickup", "dropoff", 2, 0.75, "2 of 6 updates done")
    assert changes[3] == StageChange("dropoff", "full", 4, 0.0, "4 of 6 updates done")


def test_fixed_without_trajectories_changes_without_a_rate():
    curriculum = make(2, kind="fixed")
    assert curriculum.stage(0) == "pickup"
    change = curriculum.record("pickup", [])
    assert change is not None
    assert change.rate is None
    assert (change.from_stage, change.to_stage) == ("pickup", "full")


def test_none_plays_only_the_last_stage():
    curriculum = make(kind="none")
    assert (curriculum.stages, curriculum.stage(0), curriculum.index) == (("full",), "full", 0)
    assert curriculum.record("full", [True] * 1000) is None
    assert make(kind="none", stages=["full", "pickup"]).stages == ("pickup",)


def test_success_waits_for_a_full_window_at_the_threshold():
    curriculum = make(kind="success", window=4, threshold=0.75)
    assert curriculum.stage(0) == "pickup"
    assert curriculum.record("pickup", [True, True, True]) is None  # three of four places
    assert curriculum.stage(1) == "pickup"
    assert curriculum.record("pickup", [False, False]) is None  # 2 of the last 4
    assert curriculum.stage(2) == "pickup"
    change = curriculum.record("pickup", [True, True, True])
    assert change == StageChange("pickup", "dropoff", 3, 0.75, "success rate 0.750 over 4 trajectories reached 0.75")
    assert (curriculum.stage(3), curriculum.index) == ("dropoff", 1)


def test_success_starts_counting_anew_and_stays_on_the_last_stage():
    curriculum = make(kind="success", window=2, threshold=1.0)
    curriculum.stage(0)
    assert curriculum.record("pickup", [True, True])
    assert curriculum.record("dropoff", [True]) is None
    assert curriculum.record("pickup", [True, True]) is None  # of the stage before: not counted
    assert curriculum.record("dropoff", [True])
    assert curriculum.record("full", [True, True]) is None
    assert curriculum.stage(9) == "full"


def test_success_moves_one_stage_at_a_time():
    curriculum = make(kind="success", window=2, threshold=0.5)
    curriculum.stage(0)
    change = curriculum.record("pickup", [True] * 100)
    assert change is not None
    assert change.to_stage == "dropoff"


@pytest.mark.parametrize("kind", ["none", "fixed", "success"])
def test_a_restored_curriculum_goes_on_like_the_original(kind):
    outcomes = [[update % 3 > 0, True] for update in range(12)]
    whole = make(12, kind=kind, window=3, threshold=0.9)
    expected = [(whole.stage(update), whole.record(whole.stage(update), outcomes[update])) for update in range(12)]
    for cut in range(13):
        first, second = make(12, kind=kind, window=3, threshold=0.9), make(12, kind=kind, window=3, threshold=0.9)
        played = [(first.stage(update), first.record(first.stage(update), outcomes[update])) for update in range(cut)]
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert second.state_dict() == first.state_dict()
        played += [(second.stage(update), second.record(second.stage(update), outcomes[update])) for update in range(cut, 12)]
        assert played == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "fixed"}, "kind 'fixed', this run 'success'"),
        ({"stages": ["full"]}, r"stages \['full'\]"),
        ({"index": 3}, "damaged"),
        ({"index": -1}, "damaged"),
        ({"index": True}, "damaged"),
        ({"update": None}, "damaged"),
        ({"outcomes": [1]}, "damaged"),
        ({"outcomes": None}, "damaged"),
    ],
)
def test_a_foreign_or_damaged_state_is_refused(changes, message):
    curriculum = make(kind="success", window=3)
    curriculum.record("pickup", [True])
    before = curriculum.state_dict()
    with pytest.raises(ConfigError, match=message):
        curriculum.load_state_dict({**before, **changes})
    assert curriculum.state_dict() == before


def test_stages_can_be_chosen_and_ordered():
    assert make(kind="fixed", stages=["dropoff", "full"]).stages == ("dropoff", "full")


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (["pickup", "ful"], "curriculum.stages: unknown stage 'ful'; did you mean 'full'"),
        (["pickup", "full", "pickup"], "curriculum.stages: 'pickup' is named twice"),
    ],
)
def test_stages_that_do_not_work_are_refused(stages, message):
    with pytest.raises(ConfigError) as caught:
        make(stages=stages)
    assert message in str(caught.value)


def test_outcomes_of_an_unknown_stage_are_refused():
    with pytest.raises(ConfigError, match="unknown stage 'ful'; did you mean 'full'"):
        make().record("ful", [True])
