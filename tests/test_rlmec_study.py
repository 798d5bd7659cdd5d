"""The study of RLMEC: its arms differ in what they are called after and in nothing else, and their scores are read problem by problem."""

import pytest

from tests.rlmec_runs import small_rlmec
from tests.small_runs import lines, run_config
from workbench.recipes.reproduce import pieces_of, study_of
from workbench.recipes.reproduce_rlmec import RLMEC, budget, read
from workbench.store.solutions import read_problems

WORLD = RLMEC.world("arithmetic")


def differences(one, other, path=""):
    """Settings in which two configurations differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {name for key in one for name in differences(one[key], other[key], f"{path}.{key}" if path else key)}
    return set() if one == other else {path}


@pytest.mark.parametrize(
    ("arm", "settings"),
    [
        ("sft", {"rlmec.method", "rlmec.policy.learning_rate"}),
        ("ppo-sequence", {"rlmec.method", "rlmec.policy.learning_rate"}),
        ("no-rl", {"rlmec.objective.rl_coef"}),
        ("no-imitation", {"rlmec.objective.imitation_coef", "rlmec.policy.learning_rate"}),
        ("flat-weights", {"rlmec.objective.kept_weight"}),
        ("no-identity", {"rlmec.reward_model.identity_pairs", "phases"}),
        ("oracle-mask", {"rlmec.objective.reward", "rlmec.objective.rewriter"}),
        (
            "rewards-only-uniform",
            {
                f"rlmec.{name}"
                for name in ("objective.imitation_coef", "objective.clip", "objective.blamed", "objective.reward", "policy.learning_rate")
            },
        ),
    ],
)
def test_an_arm_differs_from_rlmec_in_its_own_settings_alone(arm, settings):
    whole, other = (RLMEC.config(WORLD, RLMEC.arm(name), scale="tiny", seed=3).model_dump() for name in ("rlmec", arm))
    assert differences(whole, other) == {*settings, "preset", "description"}
    assert whole["rlmec"]["policy"]["tokens_per_update"] > 0


def test_every_arm_of_a_seed_starts_from_one_run():
    pieces = [piece for piece in pieces_of(RLMEC, scale="tiny", worlds=["arithmetic"], seeds=2) if piece.seed == 1]
    shared = next(piece.row for piece in pieces if piece.arm == "warm-up")
    assert all(piece.row.parent is shared for piece in pieces if piece.arm != "warm-up")
    assert {piece.arm for piece in pieces} == set(WORLD.arms)
    budgets = {piece.arm: budget(piece.line()) for piece in pieces if piece.arm != "warm-up"}
    assert len({found["policy updates"] for found in budgets.values()}) == 1


@pytest.mark.parametrize("world", ["gsm8k", "questions"])
def test_the_papers_settings_at_full_size(world):
    config = RLMEC.config(RLMEC.world(world), RLMEC.arm("rlmec"), scale="paper", seed=0)
    assert config.device.device == "cuda" and config.rlmec.policy.learning_rate == 5e-6 and config.rlmec.objective.epsilon == 0.3


def test_scores_are_read_problem_by_problem(tmp_path):
    paths = run_config(tmp_path, small_rlmec())
    found = read(paths)["test"]
    assert list(found.tasks) == [problem.problem_id for problem in read_problems(paths) if problem.split == "test"]
    assert found.scores.mean() == lines(paths.evaluations)[-1]["success_rate"]
    assert list(RLMEC.curve(paths).index) == [0, 3, 6]
    assert study_of("rlmec") is RLMEC
