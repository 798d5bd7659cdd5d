"""`workbench reproduce`: a small study from its runs, once carried out here, and what is read from them."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.small_runs import CHAIN_SETTINGS, SHORT_SETTINGS
from workbench.cli import main
from workbench.config import apply_overrides, load_preset
from workbench.errors import ConfigError, StoreError
from workbench.jobs.sweep import Foreman
from workbench.pictures.study import draw_study
from workbench.recipes import reproduce
from workbench.recipes.reproduce import Piece, duration, foreman_of, left_line, pieces_of, seconds_left
from workbench.recipes.reproduce_estimate import dry_run, work_seconds
from workbench.recipes.reproduce_reflect_rl import REFLECT_RL
from workbench.recipes.reproduce_report import claim_table, report
from workbench.recipes.reproduce_results import WorldResults, collect
from workbench.recipes.reproduce_study import Claim, Known, Outcome, World
from workbench.recipes.sweep_command import Foreground
from workbench.store.files import read_json
from workbench.store.layout import RunPaths, run_names
from workbench.store.reader import Run

SETTINGS = (*CHAIN_SETTINGS, *SHORT_SETTINGS, "evaluation.stages=[short]", "data.warm_up_rows=40")
CHAIN = World(
    "chain", "a chain", {"tiny": "taxi-smoke"}, {"tiny": SETTINGS}, {"short": "near", "long": "anywhere"}, ("full", "sft-only"), seeds=2
)
STUDY = replace(REFLECT_RL, worlds=(CHAIN,), known=(Known("chain", "long", "full", 0.58),))
ARMS = ["data", "sft-reflect", "full", "sft-only"]


def carried_out(root: Path, told: list[str], seeds: int = 2) -> tuple[list[Piece], Foreman]:
    pieces = pieces_of(STUDY, scale="tiny", seeds=seeds)
    foreman = foreman_of(pieces, root, Foreground(show_progress=False), tell=told.append)
    foreman.carry_out()
    return pieces, foreman


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> tuple[Path, list[Piece], list[str]]:
    """Run root, runs and what was said of a study that has been carried out."""
    root, told = tmp_path_factory.mktemp("study") / "runs", list[str]()
    pieces, _ = carried_out(root, told)
    return root, pieces, told


def test_parents_come_first_and_seeds_one_after_another():
    pieces = pieces_of(STUDY, scale="tiny")
    assert [(piece.seed, piece.arm) for piece in pieces] == [
        (seed, arm) for seed in (0, 1) for arm in [ARMS[0], "sft-reflect", "full", "sft-only"]
    ]
    by_arm = {piece.arm: piece for piece in pieces if piece.seed == 1}
    assert by_arm["full"].row.parent is by_arm["sft-reflect"].row
    assert by_arm["sft-only"].row.parent is by_arm["data"].row
    assert by_arm["data"].row.parent is None
    assert all(piece.row.combination.config.seed == 1 for piece in by_arm.values())
    assert not by_arm["data"].is_shown and by_arm["full"].is_shown


def test_an_arm_brings_what_it_starts_from():
    assert [piece.arm for piece in pieces_of(STUDY, scale="tiny", arms=["sft-only"], seeds=1)] == ["data", "sft-only"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"worlds": ["chian"]}, r"reflect-rl has no world 'chian'; did you mean 'chain'"),
        ({"arms": ["ful"]}, r"reflect-rl has no arm 'ful'; did you mean 'full'"),
        ({"arms": ["shuffled"]}, r"none of chain has any of the arms shuffled"),
        ({"seeds": 0}, r"--seeds must be at least 1, found 0"),
        ({"overrides": ["rl.max_stps=3"]}, r"unknown setting 'rl.max_stps'"),
    ],
)
def test_what_cannot_be_meant_is_refused(named, message):
    with pytest.raises(ConfigError, match=message):
        pieces_of(STUDY, scale="tiny", **named)


def test_a_world_without_the_scale_is_refused():
    with pytest.raises(ConfigError, match=r"world chain has no scale 'paper'; it has tiny"):
        pieces_of(STUDY, scale="paper", worlds=["chain"])
    with pytest.raises(ConfigError, match=r"reflect-rl has no world at scale 'paper'"):
        pieces_of(STUDY, scale="paper")


@pytest.mark.parametrize("scale", ["tiny", "paper"])
def test_every_run_of_the_shipped_study_has_a_configuration(scale):
    pieces = pieces_of(REFLECT_RL, scale=scale)
    names = {(piece.world.name, piece.row.combination.config.preset) for piece in pieces}
    assert len(names) == len({(piece.world.name, piece.arm) for piece in pieces})
    for known in REFLECT_RL.known:
        assert known.measure in REFLECT_RL.world(known.world).measures
        assert known.arm in REFLECT_RL.world(known.world).arms
    for claim in REFLECT_RL.claims:
        assert claim.better == REFLECT_RL.reference and REFLECT_RL.arm(claim.worse)


def test_arms_that_are_compared_have_equal_budgets():
    pieces = {piece.arm: piece for piece in pieces_of(REFLECT_RL, scale="tiny", worlds=["taxi"], seeds=1)}
    budgets = {arm: REFLECT_RL.budget(piece.line()) for arm, piece in pieces.items()}
    online = [arm for arm, found in budgets.items() if "RL trajectories" in found]
    assert len({budgets[arm]["RL trajectories"] for arm in online}) == 1
    assert len({found["sft-policy rows"] for found in budgets.values() if "sft-policy rows" in found}) == 1
    assert "sft-policy rows" not in budgets["rl-only"] and "sft-reflection rows" not in budgets["no-reflection"]
    assert budgets["full"]["sft-reflection rows"] == budgets["no-negatives"]["sft-reflection rows"]


def test_every_run_is_finished_and_starts_from_its_parent(first):
    root, pieces, told = first
    assert all(piece.row.state == "finished" for piece in pieces)
    assert len(run_names(root)) == len(pieces) == 8
    for piece in pieces:
        parent = (read_json(piece.row.paths.meta) or {})["parent"]
        assert parent == (piece.row.parent.paths.run_id if piece.row.parent else None)
    full, data = (next(piece.row.paths for piece in pieces if piece.arm == arm and piece.seed == 0) for arm in ("full", "data"))
    assert (full.data / "examples.jsonl").read_bytes() == (data.data / "examples.jsonl").read_bytes()
    assert sorted(path.name for path in full.checkpoints.iterdir()) == ["evaluate", "rl", "start"]
    assert any(line.startswith("8 of 8 runs finished") for line in told)


def test_what_is_finished_is_left_alone(first):
    root, pieces, _ = first
    before, told = run_names(root), list[str]()
    again, _ = carried_out(root, told)
    assert run_names(root) == before
    assert [piece.row.paths for piece in again] == [piece.row.paths for piece in pieces]
    assert len(told) == 8 and all("finished before" in line for line in told)


def test_a_study_goes_on_with_what_is_missing(first, tmp_path):
    root, pieces, _ = first
    copy = Path(shutil.copytree(root, tmp_path / "runs"))
    lost = next(piece for piece in pieces if piece.arm == "sft-only" and piece.seed == 0).row.paths
    assert lost is not None
    shutil.rmtree(copy / lost.run_id)
    again, _ = carried_out(copy, [])
    assert len(run_names(copy)) == 8
    made = next(piece for piece in again if piece.arm == "sft-only" and piece.seed == 0).row.paths
    assert made is not None
    one, other = (REFLECT_RL.read(paths) for paths in (made, lost))
    assert all((one[name].scores == other[name].scores).all() for name in ("short", "long"))


def test_children_of_a_run_that_failed_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(Foreground, "launch", lambda self, paths: None)
    monkeypatch.setattr(Foreground, "problem", lambda self, paths: "it broke")
    told: list[str] = []
    pieces, _ = carried_out(tmp_path / "runs", told, seeds=1)
    assert {piece.arm: piece.row.state for piece in pieces} == {
        "data": "failed",
        "sft-reflect": "waiting",
        "full": "waiting",
        "sft-only": "waiting",
    }
    assert any("left out, since world=chain arm=data seed=0 is failed" in line for line in told)


def test_the_time_left_is_that_of_the_same_arm(first, monkeypatch):
    _, pieces, _ = first
    taken = {"data": 100.0, "sft-reflect": 50.0, "full": 200.0, "sft-only": 30.0}
    monkeypatch.setattr(reproduce, "worked_seconds", lambda paths: taken[next(p.arm for p in pieces if p.row.paths == paths)])
    begun = [piece._replace(row=replace(piece.row, state="waiting", paths=None)) if piece.seed else piece for piece in pieces]
    assert seconds_left(begun) == 380.0
    unknown = [piece for piece in begun if piece.arm != "full" or piece.seed]
    assert seconds_left(unknown) == pytest.approx(100 + 50 + 30 + (100 + 50 + 30) / 3)
    assert left_line(begun, places=1) == "4 of 8 runs finished, about 6 min left"
    assert seconds_left([piece for piece in begun if piece.seed]) is None
    assert duration(3600 * 3 + 60 * 5) == "3 h 5 min"


def test_scores_are_by_task_and_paired(first, tmp_path):
    _, pieces, _ = first
    (found,) = collect(STUDY, pieces, tmp_path)
    assert set(found.scores) == {"short", "long"}
    assert list(found.scores["long"]) == ["full", "sft-only", "random", "oracle-agent"]
    assert all(len(one) == 4 for one in found.scores["long"]["full"].values())  # four start states
    assert all((one == 1.0).all() for one in found.scores["long"]["oracle-agent"].values())
    assert all(one.mean() < 1.0 for one in found.scores["long"]["random"].values())
    assert set(found.curves) == {"full"} and list(found.curves["full"][0].index) == [0, 3, 6]


def test_agents_are_played_once(first, tmp_path):
    _, pieces, _ = first
    collect(STUDY, pieces, tmp_path)

    def never(config: object) -> dict[str, dict[str, Outcome]]:
        raise AssertionError("played again")

    collect(replace(STUDY, agents=never), pieces, tmp_path)


def test_other_tasks_in_an_arm_are_noticed(first, tmp_path):
    _, pieces, _ = first

    def read(paths: RunPaths) -> dict[str, Outcome]:
        return {"long": Outcome((paths.run_id,), np.array([1.0]))}

    with pytest.raises(StoreError, match=r"chain, long, seed 0: arm sft-only was scored on other tasks"):
        collect(replace(STUDY, read=read, agents=None), pieces, tmp_path)


def test_the_report_has_every_table(first, tmp_path, capsys):
    _, pieces, _ = first
    told = report(STUDY, pieces, tmp_path, draw=draw_study)
    assert capsys.readouterr().out.startswith("# Reflect-RL")
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"report.md", "results.csv", "results.tex", "curves.csv", "aggregate.csv", "profile.csv", "runs.csv"}
    assert names >= {"curves-chain.svg", "profile.svg"}
    table = pd.read_csv(tmp_path / "results.csv")
    row = table[(table["measure"] == "long") & (table["arm"] == "full")].iloc[0]
    assert row["seeds"] == 2 and row["tasks"] == 4 and row["paper"] == 0.58
    assert row["low"] <= row["mean"] <= row["high"]
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert len(runs) == 8 and (runs["seconds"] > 0).all()
    assert (runs[runs["arm"] == "full"]["turns"] > 0).all() and (runs[runs["arm"] == "data"]["turns"] == 0).all()
    assert np.isclose(runs[(runs["arm"] == "full")]["long"].mean(), row["mean"])
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| a chain: Reflect-RL |" in text and "48 (6 updates)" in text
    assert "secondary" in text and "oracle agent" in text and "| turns taken |" in text
    assert r"\begin{tabular}{lrrrr}" in (tmp_path / "results.tex").read_text(encoding="utf-8")
    assert json.loads(json.dumps(told))["finished"] == 8


def test_the_report_says_whose_advice_was_right_and_when(first, tmp_path, capsys):
    _, pieces, _ = first
    report(STUDY, pieces, tmp_path, draw=draw_study)
    advice = pd.read_csv(tmp_path / "advice.csv")
    assert set(advice["arm"]) == {"full"}  # the other has no reflections
    paths = next(piece.row.paths for piece in pieces if piece.arm == "full" and piece.seed == 0)
    own = advice[(advice["seed"] == 0) & (advice["stage"] == "long")].set_index("moment")
    reader = Run(paths)
    frame = reader.trajectories()
    wanted = frame[(frame["phase"] == "evaluate") & (frame["stage"] == "long")]["trajectory_id"]
    plays = [reader.trajectory(name).turns for name in wanted]
    named = [[turn for turn in turns if turn.reflection.suggested_command is not None] for turns in plays]
    assert own["turns"].sum() == sum(map(len, named))
    firsts = [turns[0] for turns in plays if turns[0].reflection.suggested_command is not None]
    assert own["turns"].get("first turn", 0) == len(firsts)
    assert own["suggestion_right"].get("first turn", 0) == sum(one.reflection.suggested_command == one.oracle_command for one in firsts)
    after = [now for turns in plays for before, now in pairwise(turns) if before.command != before.oracle_command]
    after = [one for one in after if one.reflection.suggested_command is not None]
    assert own["turns"].get("after another command", 0) == len(after)
    assert own["followed"].get("after another command", 0) == sum(one.reflection.suggested_command == one.command for one in after)
    assert "| arm | first turn: share of turns |" in capsys.readouterr().out


def test_what_is_expected_is_judged_between_any_two_arms():
    dice = np.random.default_rng(0)
    low = {seed: dice.uniform(0.1, 0.2, 60) for seed in range(5)}
    high = {seed: scores + dice.uniform(0.3, 0.4, 60) for seed, scores in low.items()}
    scores = {"one": {"full": high, "rl-only": low, "sft-only": high, "oracle": {}}}
    claims = (
        Claim("full", "rl-only", "up"),
        Claim("rl-only", "sft-only", "down"),
        Claim("full", "sft-only", "same"),
        Claim("full", "oracle", "no"),
    )
    study = replace(REFLECT_RL, claims=claims)
    world = replace(REFLECT_RL.world("taxi"), measures={"one": "one"})
    *_, up, down, same = claim_table(study, [WorldResults(world, scores, {}, {})]).split("\n")
    assert up.endswith("| shown |") and down.endswith("| refuted |") and same.endswith("| undecided |")
    assert up.startswith("| up | DangerousTaxi, one | +0.3") and down.startswith("| down | DangerousTaxi, one | -0.3")


def test_a_report_of_nothing_says_so(tmp_path):
    pieces = pieces_of(STUDY, scale="tiny")
    told = report(STUDY, pieces, tmp_path, draw=draw_study)
    assert told["finished"] == 0
    assert "No run has finished yet." in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_dry_run_tells_memory_and_measured_times_and_starts_nothing(first):
    root, pieces, _ = first
    before, told = run_names(root), list[str]()
    missing = [piece._replace(row=replace(piece.row, state="waiting", paths=None)) if piece.seed else piece for piece in pieces]
    found = dry_run(STUDY, missing, tell=told.append)
    assert run_names(root) == before
    assert [row["arm"] for row in found["runs"]] == ARMS * 2
    assert all(row["gigabytes"] > 0 and row["how"] == "measured" for row in found["runs"])
    each = {row["arm"]: row["seconds"] for row in found["runs"]}
    assert found["seconds"] == pytest.approx(sum(each.values()))  # the other seed's four are still to be done
    assert told[-1].startswith("8 runs, 4 of them finished; ") and "GB of memory at most" in told[-1]


def test_time_on_a_gpu_is_reckoned_by_hand():
    config = apply_overrides(load_preset("taxi-gpt2-xl"), ["phases=[sft-policy]", "sft_policy.max_steps=100"])
    # 100 rows of 1,000 tokens through 1e9 weights: twice forwards (checkpointing), once backwards, 2e12 operations each, 40e12 a second.
    assert work_seconds(config, 1000, 1e9) == pytest.approx(100 * 3 * 2e12 / 40e12)
    played = apply_overrides(
        config, ["phases=[evaluate]", "evaluation.trajectories=10", "env.options.horizon=20", "rl.rollout_batch_size=10"]
    )
    # 200 turns, each two prompts forwards; 20 batches that decode 100 tokens, a byte a weight at 500e9 bytes a second.
    assert work_seconds(played, 1000, 1e9) == pytest.approx(200 * 2 * 2e12 / 40e12 + 20 * 100 * 1e9 / 500e9)


def refused(capfd: pytest.CaptureFixture[str], words: Sequence[str]) -> str:
    assert main(["reproduce", *words]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name either a STUDY, such as reflect-rl, or --verify RUN"),
        (["reflect-lr"], "unknown study 'reflect-lr'; did you mean 'reflect-rl'"),
        (["reflect-rl", "--verify", "run"], "name either a STUDY"),
        (["reflect-rl", "--devices", "tpu"], "--devices 'tpu' is no device"),
    ],
)
def test_the_command_line_refuses_in_one_line(capfd, tmp_path, words, message):
    assert message in refused(capfd, [*words, "--runs-dir", str(tmp_path / "runs")])
    assert not (tmp_path / "runs").exists()
