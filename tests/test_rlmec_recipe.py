"""RLMEC as a whole: every phase in one run folder, exact resumes, arms that share a parent, and what is told when something is off."""

import json
import math

import pytest

from tests.rlmec_runs import small_rlmec
from tests.small_runs import assert_same_run, carry_on, lines, run_config
from workbench.config import RLMEC_PHASES, RunConfig, apply_overrides, dump_config, load_config
from workbench.errors import ConfigError, DataError, PromptError, RunStopped, StoreError
from workbench.models.responses import score_responses
from workbench.models.solution_ids import SolutionIds
from workbench.recipes.execute import execute, prepare_run
from workbench.recipes.judge import evaluate_run
from workbench.recipes.rlmec_data import held_out_ids, problems_of
from workbench.recipes.scope import Wanted
from workbench.recipes.session import open_session
from workbench.store.reader import Run
from workbench.store.solutions import (
    read_problems,
    read_quality,
    read_rewrites,
    read_samples,
    read_scores,
    read_tokens,
    recorded_updates,
)
from workbench.store.writer import RunWriter
from workbench.trainers import checkpoint


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that went through everything."""
    return run_config(tmp_path_factory.mktemp("runs"), small_rlmec())


def test_one_run_folder_has_every_phase(finished):
    run = Run(finished)
    assert run.status()["state"] == "finished" and run.meta()["recipe"] == "rlmec"
    assert set(run.metrics()["phase"]) == set(RLMEC_PHASES)
    assert {path.name for path in finished.checkpoints.iterdir()} == set(RLMEC_PHASES)
    assert [line["split"] for line in lines(finished.evaluations)] == ["validation", "validation", "validation", "held-out", "test"]
    final = lines(finished.evaluations)[-1]
    assert final["phase"] == "evaluate" and final["trajectories"] == 10 and 0 <= final["low"] <= final["success_rate"] <= final["high"]
    assert load_config(finished.config) == small_rlmec()


def test_problems_have_purposes_that_share_no_question(finished):
    problems = read_problems(finished)
    counts = {
        split: sum(problem.split == split for problem in problems) for split in ("warm-up", "train", "validation", "test", "held-out")
    }
    assert counts == {"warm-up": 40, "train": 12, "validation": 6, "test": 10, "held-out": 4}
    assert len({problem.question for problem in problems}) == len(problems)


def test_every_answer_is_kept_with_its_rewrite_and_score(finished):
    samples, rewrites, scores = read_samples(finished, 1), read_rewrites(finished, 1), read_scores(finished, 1)
    assert len(samples) == len(rewrites) == len(scores) == 36
    for sample, rewrite, score in zip(samples, rewrites, scores, strict=True):
        assert rewrite.original == sample.text
        assert len(sample.log_probs) == len(sample.token_ids) == len(score.policy_log_probs) == len(score.reward_model_log_probs)
        assert (score.status == "right") == (rewrite.status == "right") == sample.is_right
        assert all(value <= 1e-6 for value in score.reward_model_log_probs)


def test_log_probs_of_the_sampling_policy_are_those_of_its_checkpoint(finished):
    session = open_session(finished, RunWriter(finished))
    player = session.model("policy")
    from workbench.models.loading import load_player

    newest = checkpoint.latest(finished.checkpoints / "sft-policy")
    assert newest is not None
    load_player(player, newest, "policy")
    problems = {problem.problem_id: problem for problem in read_problems(finished)}
    samples, scores = read_samples(finished, 1)[:4], read_scores(finished, 1)[:4]
    ids = SolutionIds(player.tokenizer)
    found = score_responses(player, [ids.policy(problems[one.problem_id]) for one in samples], [one.token_ids for one in samples])
    for values, score in zip(found, scores, strict=True):
        assert values == pytest.approx(list(score.policy_log_probs), abs=1e-4)


def test_the_tokens_of_an_update_sum_to_its_loss(finished):
    metrics = {line["update"]: line for line in lines(finished.metrics) if line["phase"] == "policy"}
    assert recorded_updates(finished) == [1, 2, 4, 6]
    for update in recorded_updates(finished):
        table = read_tokens(finished, update).to_pandas()
        assert table["contribution"].sum() == pytest.approx(metrics[update]["loss/total"], rel=1e-4, abs=1e-6)
        assert table["rl_contribution"].sum() == pytest.approx(metrics[update]["loss/rl"], rel=1e-4, abs=1e-6)
        assert table["imitation_contribution"].sum() == pytest.approx(metrics[update]["loss/imitation"], rel=1e-4, abs=1e-6)
        wrong = table[(table["side"] == "original") & table["sample"].isin(table[table["side"] == "rewrite"]["sample"])]
        assert len(wrong) and (wrong["reward"] <= 0).all() and (wrong["imitation_weight"] == 0).all()
    assert recorded_updates(finished, kind="probes") == [0, 3, 6]


def test_tokens_say_where_they_stand(finished):
    table = read_tokens(finished, 2).to_pandas()
    samples = read_samples(finished, 1)
    for number, own in table[table["side"] == "original"].groupby("sample"):
        own = own.drop_duplicates("place").sort_values("place")
        assert "".join(own["token"]) == samples[number].text
        assert own["token_id"].tolist() == list(samples[number].token_ids)
        assert own["reward_model_prob"].between(0, 1).all()


def test_the_reward_model_is_measured_on_problems_it_has_not_seen(finished):
    quality = read_quality(finished)
    assert quality is not None and quality["round"] == 1
    assert {"located", "repaired", "edit_share", "teacher_edit_share", "calibration_error", "auroc", "auroc_shuffled"} <= set(quality)
    assert sum(one["tokens"] for one in quality["calibration"]) > 0
    assert quality["held_out_wrong"] + quality["held_out_right"] <= 3 * round(0.15 * 12)


def test_held_out_problems_do_not_depend_on_their_order():
    names = [f"p{number}" for number in range(40)]
    found = held_out_ids(names, 0.25, seed=1)
    assert len(found) == 10 and found == held_out_ids(reversed(names), 0.25, seed=1) != held_out_ids(names, 0.25, seed=2)


# Resume -------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """As if the process were gone."""


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("phase", "update"),
    [
        pytest.param("sft-policy", 4, marks=SLOW),
        pytest.param("reward-model", 2, marks=SLOW),
        pytest.param("score", 1, marks=SLOW),
        ("policy", 3),
        pytest.param("policy", 5, marks=SLOW),
    ],
)
def test_a_killed_run_goes_on_exactly(finished, tmp_path, monkeypatch, phase, update):
    paths = prepare_run(tmp_path, small_rlmec())
    written = RunWriter.metrics

    def metrics(self, own_phase, own_update, values):
        written(self, own_phase, own_update, values)
        if (own_phase, own_update) == (phase, update):
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "metrics", metrics)
        with pytest.raises(Killed):
            execute(paths, queue=False, show_progress=False)
    carry_on(paths)
    assert_same_run(finished, paths)
    assert recorded_updates(paths) == recorded_updates(finished)
    assert read_tokens(paths, 6).equals(read_tokens(finished, 6))
    assert read_scores(paths, 1) == read_scores(finished, 1)


@SLOW
def test_a_stop_in_the_policy_phase_saves_first(tmp_path, monkeypatch):
    paths = prepare_run(tmp_path, small_rlmec("rlmec.policy.save_steps=100"))
    written = RunWriter.metrics

    def metrics(self, phase, update, values):
        written(self, phase, update, values)
        if (phase, update) == ("policy", 2):
            paths.stop.touch()

    monkeypatch.setattr(RunWriter, "metrics", metrics)
    with pytest.raises(RunStopped):
        execute(paths, queue=False, show_progress=False)
    assert checkpoint.steps(paths.checkpoints / "policy") == [3]
    carry_on(paths)
    assert checkpoint.steps(paths.checkpoints / "policy") == [3, 6]


@SLOW
def test_rounds_follow_one_another(tmp_path):
    paths = run_config(tmp_path, small_rlmec("rlmec.rounds=2", "rlmec.policy.max_steps=2", "rlmec.policy.eval_steps=0"))
    assert checkpoint.steps(paths.checkpoints / "policy") == [2, 4]
    assert checkpoint.steps(paths.checkpoints / "reward-model")[-1] == 8
    assert len(read_samples(paths, 2)) == 36 and read_samples(paths, 1) != read_samples(paths, 2)
    phases = [line["message"] for line in lines(paths.events) if line["kind"] == "phase"]
    assert phases.index("policy begins (round 1 of 2)") < phases.index("sample begins (round 2 of 2)")


# Arms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["sft", pytest.param("rft", marks=SLOW), pytest.param("ppo-sequence", marks=SLOW), "grpo-sequence", "dpo"]
)
def test_a_baseline_starts_from_the_same_answers(finished, tmp_path, monkeypatch, method):
    if method != "sft":  # what learns from right answers needs some
        make_some_right(monkeypatch)
    config = small_rlmec(f"rlmec.method={method}", "rlmec.policy.max_steps=2", "rlmec.policy.eval_steps=0")
    paths = carry_on(prepare_run(tmp_path, config, parent=finished))
    assert load_config(paths.config).phases == ["policy", "evaluate"]
    assert read_scores(paths, 1) == read_scores(finished, 1)
    losses = [line["loss/total"] for line in lines(paths.metrics) if line["phase"] == "policy"]
    assert len(losses) == 2 and all(math.isfinite(loss) and loss != 0 for loss in losses)
    # It began where the answers came from: the first update sees ratios of 1.
    first = next(line for line in lines(paths.metrics) if line["phase"] == "policy")
    if method == "dpo":
        assert first["loss/total"] == pytest.approx(math.log(2), abs=1e-3)  # no preference yet
    else:
        assert first["policy/ratio"] == pytest.approx(1.0, abs=1e-3)


def make_some_right(monkeypatch):
    from dataclasses import replace

    from workbench.recipes import rlmec_policy

    read = read_samples
    monkeypatch.setattr(
        rlmec_policy,
        "read_samples",
        lambda paths, number: [replace(one, is_right=place % 3 == 0) for place, one in enumerate(read(paths, number))],
    )


@SLOW
@pytest.mark.parametrize(
    "settings",
    [
        "{reward: oracle-mask, rewriter: teacher}",
        "{reward: shuffled, rewriter: teacher}",
        "{reward: uniform, rewriter: teacher, clip: ppo}",
        "{reward: process, rewriter: teacher, edit_weights: official}",
        "{rl_coef: 0, rewriter: teacher}",
        "{imitation_coef: 0, rewriter: teacher}",
        "{edited_weight: 1.0, kept_weight: 1.0, rewriter: teacher}",
    ],
)
def test_ablations_are_settings(finished, tmp_path, settings):
    config = small_rlmec(f"rlmec.objective={settings}", "rlmec.policy.max_steps=1", "rlmec.policy.eval_steps=0")
    paths = carry_on(prepare_run(tmp_path, config.model_copy(update={"phases": ["policy"]}), parent=finished, phases_were_named=True))
    line = next(line for line in lines(paths.metrics) if line["phase"] == "policy")
    assert math.isfinite(line["loss/total"])
    if "imitation_coef: 0" in settings:
        assert line["loss/imitation"] == 0
    if "rl_coef: 0" in settings:
        assert line["loss/rl"] == 0 and line["loss/imitation"] > 0


@SLOW
def test_an_arm_may_have_a_reward_model_of_its_own(finished, tmp_path):
    config = small_rlmec("rlmec.reward_model.identity_pairs=false", "rlmec.policy.max_steps=1")
    config = config.model_copy(update={"phases": ["reward-model", "score", "policy", "evaluate"]})
    paths = carry_on(prepare_run(tmp_path, config, parent=finished, phases_were_named=True))
    assert read_samples(paths, 1) == read_samples(finished, 1)
    assert read_scores(paths, 1) != read_scores(finished, 1)


# What goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("phases=[sample, rl]", "must follow the order ['generate', 'sft-policy', 'sample', "),
        ("rlmec.objective={rl_coef: 0, imitation_coef: 0}", "are both 0, so nothing would be learnt"),
        ("rlmec.method=rlhf", "rlmec.method: Input should be 'rlmec', 'sft'"),
        ("rlmec.objective.floor=0.2", "rlmec.objective.floor: Input should be less than or equal to 0"),
    ],
)
def test_settings_that_cannot_be(override, message):
    with pytest.raises(ConfigError) as told:
        small_rlmec(override)
    assert message in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("rlmec.problems.task=arithmetics", ConfigError, "is not generated here (did you mean 'arithmetic'?)"),
        ("policy.tiny.n_positions=48", PromptError, "but its context is 48; use a model with a longer context"),
        ("rlmec.teacher=endpoint", ConfigError, "rlmec.teacher=endpoint needs data.teacher.model"),
        ("rlmec.problems.train_file=/nowhere/problems.jsonl", DataError, "/nowhere/problems.jsonl"),
    ],
)
def test_what_cannot_work_is_told_before_a_folder_exists(tmp_path, override, error, message):
    overrides = [override] + (["rlmec.problems.task=gsm8k"] if "train_file" in override else [])
    with pytest.raises(error) as told:
        prepare_run(tmp_path, small_rlmec(*overrides))
    assert message in str(told.value) and "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_too_few_problems_says_how_many_it_holds(tmp_path):
    path = tmp_path / "own.jsonl"
    rows = [{"question": f"What is {n}+1?", "answer": f"{n}+1={n + 1}\n#### {n + 1}"} for n in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = small_rlmec("rlmec.problems.task=gsm8k", f"rlmec.problems.train_file={path}").rlmec.problems
    with pytest.raises(ConfigError, match="holds 9 problems, but 68 are asked for"):
        problems_of(settings, seed=0)
    few = settings.model_copy(update={"warm_up": 4, "train": 3, "validation": 1, "test": 1})
    assert [problem.split for problem in problems_of(few, seed=0)] == ["warm-up"] * 4 + ["train"] * 3 + ["validation", "test"]


def test_a_run_that_has_no_answers_gives_none(tmp_path):
    parent = run_config(tmp_path / "one", small_rlmec().model_copy(update={"phases": ["generate", "sft-policy"]}))
    with pytest.raises(StoreError, match="has no answers of its policy yet"):
        prepare_run(tmp_path / "two", small_rlmec(), parent=parent)
    with pytest.raises(ConfigError, match="phases names generate"):
        prepare_run(tmp_path / "two", small_rlmec(), parent=parent, phases_were_named=True)


def test_nothing_to_learn_from_is_told(tmp_path, finished):
    config = small_rlmec("rlmec.method=rft", "rlmec.policy.max_steps=1")
    paths = prepare_run(tmp_path, config, parent=finished)
    assert not any(sample.is_right for sample in read_samples(finished, 1)), "the small policy learned something: make it smaller still"
    with pytest.raises(DataError, match="method rft has nothing to learn from: of 36 solutions 0 are right"):
        execute(paths, queue=False, show_progress=False)


def test_a_configuration_reads_back_as_it_was():
    config = small_rlmec()
    assert RunConfig.model_validate(config.model_dump()) == config
    assert "rlmec:" in dump_config(config) and config.phases == list(RLMEC_PHASES)
    with pytest.raises(ConfigError, match="must follow the order"):
        apply_overrides(RunConfig(), ["recipe=rlmec"])


def test_a_run_is_judged_again_without_being_touched(finished):
    before = finished.evaluations.read_bytes()
    found = evaluate_run(finished, Wanted())
    final = lines(finished.evaluations)[-1]
    assert found == {key: value for key, value in final.items() if key not in ("phase", "update")}
    assert evaluate_run(finished, Wanted(trajectories=3, split="validation"))["trajectories"] == 3
    with pytest.raises(ConfigError, match=r"no problems of the split test and stage 'long' \(there are short\)"):
        evaluate_run(finished, Wanted(stage="long"))
    assert finished.evaluations.read_bytes() == before
