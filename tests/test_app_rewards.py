"""The page Token rewards: on an empty store, another recipe's run, one that has begun, a finished one, and broken ones."""

import io
import shutil
from dataclasses import replace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.app_pages import app, parameter, shown, words
from tests.app_runs import make_run
from tests.rlmec_runs import small_rlmec
from tests.small_runs import lines, run_config
from workbench.dashboard import rewards_html
from workbench.dashboard.export import csv_bytes, parquet_bytes
from workbench.dashboard.rewards_figures import calibration_figure, fading_figure, token_fading_figure
from workbench.dashboard.rewards_solution import notebook_code
from workbench.evaluation.solution_errors import ERROR_TYPES
from workbench.evaluation.token_credit import aligned, fading
from workbench.store.files import json_bytes
from workbench.store.solution_tokens import table_path, write_tokens
from workbench.store.solutions import read_samples, read_tokens, recorded_updates, write_samples

pytestmark = pytest.mark.usefixtures("root")
ATTACK = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run that went through every phase; some of its answers, which all hit the limit of length, are taken for finished."""
    paths = run_config(tmp_path_factory.mktemp("rlmec"), small_rlmec())
    responses = read_samples(paths, 1)
    write_samples(paths, 1, [replace(one, finished=place % 2 == 0) for place, one in enumerate(responses)])
    return paths


def table_of(test, column):
    return next(frame.value for frame in test.dataframe if column in frame.value)


def rewritten(run, update, change, kind="tokens"):
    """Write a table of tokens again after ``change``, as somebody else's program might."""
    frame = read_tokens(run, update, kind=kind).to_pandas()
    columns = {name: [None if pd.isna(value) else value for value in column] for name, column in change(frame).items()}
    write_tokens(run, update, columns, kind=kind)


def test_an_empty_store_and_another_recipe_say_what_to_do(root):
    assert "No run yet" in words(shown("rewards"))
    other = make_run(root, updates=2)
    assert "This run has no token rewards" in words(shown("rewards", run=other.run_id))


def test_a_run_that_has_not_come_so_far_says_so(run):
    shutil.rmtree(run.solutions)
    assert "No token is written yet" in words(shown("rewards", run=run.run_id))


def test_the_tokens_of_the_latest_update_sum_to_its_logged_loss(run):
    test = shown("rewards", run=run.run_id)
    update = recorded_updates(run)[-1]
    assert parameter(test, "update") == str(update) and parameter(test, "of") == "tokens"
    check = table_of(test, "sum of tokens")
    assert check["metric"].tolist() == ["loss/total", "loss/rl", "loss/imitation"] and check["agrees"].all()
    logged = next(line for line in lines(run.metrics) if line["phase"] == "policy" and line["update"] == update)
    assert check["logged"].tolist() == pytest.approx([logged[name] for name in check["metric"]])
    listed = table_of(test, "lowest_reward")
    # The numbers of the list, too, are all there is: what each solution adds, summed over the list, is the loss.
    assert listed["contribution"].sum() == pytest.approx(logged["loss/total"], rel=1e-4, abs=1e-6)
    assert "✓ sums to the logged loss" in words(test)


@pytest.mark.parametrize("update", [1, 2, 4, 6])
def test_every_recorded_update_sums_to_its_loss(run, update):
    test = shown("rewards", run=run.run_id, update=str(update))
    assert parameter(test, "update") == str(update) and table_of(test, "sum of tokens")["agrees"].all()


def test_a_table_that_does_not_belong_to_the_loss_is_told(run):
    rewritten(run, 6, lambda frame: frame.assign(contribution=frame["contribution"] * 1.01))
    test = shown("rewards", run=run.run_id)
    assert "Tokens and loss do not belong together" in words(test)
    assert table_of(test, "sum of tokens")["agrees"].tolist() == [False, True, True]


def test_a_loss_that_is_not_logged_yet_is_told(run):
    run.metrics.write_text("", encoding="utf-8")
    assert "not logged yet" in words(shown("rewards", run=run.run_id))


def test_original_and_rewrite_stand_side_by_side(run):
    test = shown("rewards", run=run.run_id)
    listed = table_of(test, "lowest_reward")
    wrong = listed[listed["error"] != "none"].iloc[0]
    test = shown("rewards", run=run.run_id, update=parameter(test, "update"), sample=str(wrong["sample"]), visit="0")
    tokens = table_of(test, "old_policy_prob")
    assert set(tokens["side"]) == {"original", "rewrite"}
    text = "".join(tokens[tokens["side"] == "original"]["token"])
    assert text == read_samples(run, 1)[wrong["sample"]].text
    assert sum("token by token" in str(element.value) for element in test.html) == 2
    assert tokens["contribution"].sum() == pytest.approx(wrong["contribution"])


def test_an_address_leads_to_one_solution_and_bad_ones_to_the_first(run):
    listed = table_of(shown("rewards", run=run.run_id, update="4"), "lowest_reward")
    sample = int(listed["sample"].iloc[-1])
    test = shown("rewards", run=run.run_id, update="4", sample=str(sample), visit="0", colour="loss")
    assert any(heading.value == f"Solution {sample}" for heading in test.subheader)
    assert parameter(test, "colour") == "loss"
    test = shown("rewards", run=run.run_id, update="99", sample="-1", visit=ATTACK, error="x", of="y", colour="z")
    assert "an update that is not there" in words(test)
    assert (parameter(test, "update"), parameter(test, "of"), parameter(test, "error"), parameter(test, "colour")) == (
        *("6", "tokens"),
        *("any", "reward"),
    )


def test_only_solutions_of_one_type_of_error_are_listed(run):
    everything = table_of(shown("rewards", run=run.run_id), "lowest_reward")
    kinds = set(everything["error"])
    assert len(kinds) > 1 and kinds <= set(ERROR_TYPES)
    for kind in kinds:
        listed = table_of(shown("rewards", run=run.run_id, error=kind), "lowest_reward")
        assert set(listed["error"]) == {kind} and len(listed) == (everything["error"] == kind).sum()


def test_errors_are_followed_through_training(run):
    test = shown("rewards", run=run.run_id, of="probes")
    assert "no loss was logged for them" in words(test) and parameter(test, "update") == "6"
    wrong = table_of(test, "lowest_reward").query("edited > 0").iloc[0]
    test = shown("rewards", run=run.run_id, of="probes", sample=str(wrong["sample"]), visit="0")
    assert len(test.get("plotly_chart")) >= 2
    probes = pd.concat([read_tokens(run, update, kind="probes").to_pandas() for update in (0, 3, 6)])
    found = fading(probes)
    assert sorted(set(found["update"])) == [0, 3, 6] and found["probability"].between(0, 1).all()
    assert len(fading_figure(found).data) == found.groupby(["group", "side"]).ngroups
    one = probes[(probes["sample"] == wrong["sample"]) & (probes["side"] == "original") & probes["is_edited"].eq(True)]
    assert len(token_fading_figure(one).data) == wrong["edited"]


def test_the_reward_models_quality_is_shown(run):
    assert "First wrong step named" in [metric.label for metric in shown("rewards", run=run.run_id).metric]
    path = run.solutions / "reward_model.json"
    path.write_bytes(json_bytes({"auroc": "high", "calibration": [3], "held_out_wrong": None}))
    assert "could not be had" in words(shown("rewards", run=run.run_id))


def test_text_of_models_is_escaped(run):
    rewritten(run, 6, lambda frame: frame.assign(token=[ATTACK] * len(frame)))
    test = shown("rewards", run=run.run_id)
    page = "\n".join(str(element.value) for element in test.html)
    assert "&lt;script&gt;" in page and "<script" not in page


def test_boxes_carry_their_numbers_and_edits_are_marked():
    frame = pd.DataFrame(
        {
            "token": ["4", '"><b>', "\n", ""],
            "token_id": [1, 2, 3, 0],
            "side": "original",
            "reward": [0.0, -0.1, 0.0, 0.0],
            "is_edited": [False, True, False, False],
        }
    ).assign(
        reward_model_prob=0.25, policy_prob=0.5, old_policy_prob=None, imitation_weight=0.0, rl_contribution=0.0, imitation_contribution=0.0
    )
    columns = aligned([1, 2, 3, 0], [1, 3, 0, 7])
    drawn = rewards_html.side_html(frame, columns, "original", rewards_html.MEASURES["reward"])
    assert "&quot;&gt;&lt;b&gt;" in drawn and "<b>" not in drawn
    assert drawn.count("dashed") == 1 and drawn.count("nothing here") == 1 and drawn.count("underline wavy") == 1
    assert "reward -0.100 · under the reward model 0.250" in drawn and rewards_html.END in drawn
    assert rewards_html.shade(0.0, rewards_html.MEASURES["reward"], 1.0) == ""
    strong, weak = (rewards_html.shade(value, rewards_html.MEASURES["policy"], 1.0) for value in (0.1, 0.9))
    assert strong != weak and rewards_html.shade(float("nan"), rewards_html.MEASURES["loss"], 1.0) == ""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tokens/000006.parquet", "cannot be read"),
        ("round-01/samples.parquet", "cannot be read"),
        ("probes/000003.parquet", "cannot be read"),
    ],
)
def test_damaged_files_are_told(run, name, says):
    (run.solutions / name).write_bytes(b"PAR1")
    assert says in words(shown("rewards", run=run.run_id))


def test_tables_of_other_columns_and_odd_names_are_told_or_passed_over(run):
    path = table_path(run, 6, "tokens")
    frame = pq.read_table(path).drop_columns(["reward"])
    pq.write_table(frame, path)
    assert "lacks the columns reward" in words(shown("rewards", run=run.run_id))
    path.with_name("7x.parquet").write_bytes(b"")
    assert recorded_updates(run) == [1, 2, 4, 6]


def test_places_that_are_missing_are_told(run):
    rewritten(run, 6, lambda frame: frame.assign(place=frame["place"] + 1))
    assert "the table is damaged" in words(shown("rewards", run=run.run_id))


def test_every_number_can_be_taken_away(run):
    test = shown("rewards", run=run.run_id)
    labels = {getattr(button.proto, "label", "") for button in test.get("download_button")}
    assert labels == {"CSV", "Parquet"}
    tokens = read_tokens(run, 6).to_pandas()
    assert len(pd.read_csv(io.BytesIO(csv_bytes(tokens)))) == len(pd.read_parquet(io.BytesIO(parquet_bytes(tokens)))) == len(tokens)


def test_the_code_for_a_notebook_loads_the_solution(run):
    space: dict[str, pd.DataFrame] = {}
    exec(notebook_code(run, 6, 1, "probes"), space)
    assert set(space["solution"]["sample"]) <= {1} and len(space["tokens"])


def test_a_calibration_of_foreign_values_is_drawn_without_them():
    figure = calibration_figure([{"probability": 0.5, "kept": 0.75, "tokens": 4}, {"probability": "x", "kept": 1, "tokens": 1}])
    assert list(figure.data[1].x) == [0.5]


def test_the_page_opens_on_a_run_that_follows_nobody(run):
    shutil.rmtree(run.solutions / "probes")
    test = app("rewards", run=run.run_id).run()
    assert not test.exception and "No solution is followed" in words(test)


def test_the_page_of_the_run_shows_the_policy_phase_and_leads_here(run):
    test = shown("run", run=run.run_id)
    assert {metric.label: metric.value for metric in test.metric}["Online updates"] == "6 / 6"
    drawn = {chart.proto.id.rsplit("-", 1)[-1] for chart in test.get("plotly_chart")}
    assert {"success_figure", "warmup_figure", "time_figure", "curve_loss/total", "curve_loss/imitation", "curve_reward/mean"} <= drawn
    assert "Its solutions, token by token" in [link.proto.label for link in test.get("page_link")]
