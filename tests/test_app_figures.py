"""What the figures of a run and the small words of the app say."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from workbench.dashboard.components import age, duration, is_number, percent, rate_words, state_words
from workbench.dashboard.run_figures import Band, curve_figure, stage_bands, stage_changes, success_figure, time_figure, warmup_figure


@pytest.fixture
def metrics():
    return pd.DataFrame(
        {
            "phase": "rl",
            "update": [1, 2, 3, 4],
            "curriculum/stage": [0.0, 0.0, 1.0, 5.0],
            "success/rate": [0.25, 0.75, 0.5, np.nan],
            "time/reflect_seconds": [1.0, 1.0, 1.0, 1.0],
            "time/update_seconds": [3.0, 3.0, 3.0, 3.0],
            "time/collect_seconds": [2.0, 2.0, 2.0, 2.0],
        }
    )


def test_stages_become_bands_and_an_unknown_one_keeps_its_number(metrics):
    bands = stage_bands(metrics, ["pickup", "dropoff"])
    assert bands == [Band(1, 2, "pickup", 0), Band(3, 3, "dropoff", 1), Band(4, 4, "stage 6", 5)]
    figure = curve_figure(metrics, "success/rate", "Success", "", bands)
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(0.5, 2.5), (2.5, 3.5), (3.5, 4.5)]
    assert [note.text for note in figure.layout.annotations] == ["pickup", "dropoff", "stage 6"]


def test_a_stage_name_cannot_put_tags_into_a_figure(metrics):
    bands = stage_bands(metrics, ["<a href='http://127.0.0.1/'>x</a>"])
    assert "<a" not in success_figure(metrics, pd.DataFrame(), bands).to_json().replace("\\u003c", "<")


def test_the_running_mean_starts_anew_with_each_stage(metrics):
    figure = success_figure(metrics, pd.DataFrame(), stage_bands(metrics, ["pickup", "dropoff"]))
    lines = {trace.name: list(trace.y) for trace in figure.data if trace.mode == "lines"}
    assert lines["pickup"] == [0.25, 0.5]
    assert lines["dropoff"] == [0.5]


def test_evaluations_are_drawn_with_their_intervals(metrics):
    evaluations = pd.DataFrame({"update": [2, 4], "success_rate": [0.5, np.nan], "low": [0.4, 0.1], "high": [0.7, 0.2]})
    marks = next(trace for trace in success_figure(metrics, evaluations, []).data if trace.name == "evaluation, 95 % interval")
    assert list(marks.x) == [2]
    assert marks.error_y.array[0] == pytest.approx(0.2)
    assert marks.error_y.arrayminus[0] == pytest.approx(0.1)


def test_time_is_split_into_parts_that_follow_one_another_and_do_not_overlap(metrics):
    (bars,) = time_figure(metrics).data
    assert list(zip(bars.y, bars.base, bars.x, strict=True)) == [
        ("reflect", 0.0, 4.0),
        ("other collecting", 4.0, 4.0),
        ("update", 8.0, 12.0),
        ("all", 0.0, 20.0),
    ]
    assert bars.text[0] == "4.0 s, 20 %"


def test_stage_changes_carry_the_success_that_led_to_them(metrics):
    events = pd.DataFrame(
        {
            "kind": ["phase", "stage", "stage", 5],
            "message": ["rl begins", "success rate 0.910 over 256 trajectories reached 0.9", ["odd"], None],
            "update": [np.nan, 3, "x", 2],
            "from_stage": [np.nan, "pickup", "a", None],
            "to_stage": [np.nan, "<b>dropoff</b>", "b", None],
            "rate": [np.nan, 0.91, 0.5, 0.1],
        }
    )
    changes = stage_changes(events)
    assert changes[["update", "from", "rate"]].to_numpy().tolist() == [[3.0, "pickup", 0.91]]
    figure = success_figure(metrics, pd.DataFrame(), [], changes)
    marks = next(trace for trace in figure.data if trace.name == "stage change, success then")
    assert (marks.x[0], marks.y[0]) == (2.5, 0.91)
    assert "&lt;b&gt;dropoff" in marks.customdata[0][1]
    assert stage_changes(pd.DataFrame({"time": [], "kind": [], "message": []})).empty


def test_each_warm_up_has_its_own_line():
    frame = pd.DataFrame({"phase": ["sft-reflection", "sft-policy"], "update": [20, 40], "loss/sft": [2.0, 1.0]})
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in warmup_figure(frame).data] == [
        ("reflection player", [20], [2.0]),
        ("policy player", [40], [1.0]),
    ]


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (754, "12 min"),
        (7500, "2 h 5 min"),
        (90_000, "1 day"),
        (260_000, "3 days"),
        (-5, "0 s"),
    ],
)
def test_durations_in_words(seconds, says):
    assert duration(seconds) == says


def test_rates_in_words():
    assert rate_words(0.972, 0.96, 0.981) == "97.2 % (96.0 to 98.1)"
    assert rate_words(0.972, None, None) == "97.2 %"
    assert percent(None) == percent(float("nan")) == "—"


def test_numbers_are_told_from_what_else_a_file_may_hold():
    assert all(map(is_number, (1, 0.5, np.int64(3), np.float32(0.5))))
    assert not any(map(is_number, ("1", None, float("inf"), np.nan, [1])))


def test_states_do_not_depend_on_colour():
    assert state_words("finished") == "✓ finished"
    assert state_words("<script>") == "? unknown"


def test_ages():
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert age(now - timedelta(minutes=2), now) == "2 min ago"
    assert age(None, now) == "—"
