"""RLMEC learns on two cores what its specification expects (T6 and, of T7, the imitation), with equal tokens."""

import numpy as np
import pytest

from tests.small_runs import carry_on, lines, run_config
from workbench.recipes.execute import prepare_run
from workbench.recipes.reproduce_rlmec import RLMEC
from workbench.store.solutions import read_quality

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SETTINGS = ("device.device=cpu", "device.num_threads=1", "rlmec.policy.save_steps=1000", "rlmec.policy.eval_steps=0")
SEEDS = (0, 1, 2)


def config_of(arm, seed):
    return RLMEC.config(RLMEC.world("arithmetic"), RLMEC.arm(arm), scale="tiny", seed=seed, overrides=SETTINGS)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Problems, a warmed-up policy with its answers, their rewrites and a reward model, by seed."""
    return {seed: run_config(tmp_path_factory.mktemp("runs"), config_of("warm-up", seed)) for seed in SEEDS}


@pytest.fixture(scope="module")
def correct(shared, tmp_path_factory):
    """Gives which test problems an arm solved, (seed, problem); each arm is trained once."""
    known = {"warm-up": [RLMEC.read(shared[seed])["test"].scores for seed in SEEDS]}

    def found(arm):
        if arm not in known:
            known[arm] = []
            for seed in SEEDS:
                paths = prepare_run(tmp_path_factory.mktemp(arm), config_of(arm, seed), parent=shared[seed], phases_were_named=True)
                known[arm].append(RLMEC.read(carry_on(paths))["test"].scores)
        return np.array(known[arm])

    return found


def test_the_reward_model_is_good_on_problems_it_has_not_seen(shared):
    quality = read_quality(shared[0])
    assert quality is not None and quality["held_out_wrong"] >= 100
    assert quality["auroc"] >= 0.95 and quality["auroc_shuffled"] == pytest.approx(0.5, abs=0.05)
    assert quality["located"] > 0.8 and quality["repaired"] > 0.8
    assert quality["right_probability"] > 0.9
    assert quality["edit_share"] == pytest.approx(quality["teacher_edit_share"], abs=0.05)


def test_rlmec_lifts_the_warmed_up_policy(shared, correct):
    assert lines(shared[0].evaluations)[-1]["success_rate"] == pytest.approx(correct("warm-up")[0].mean())
    assert 0.2 <= correct("warm-up").mean() <= 0.7
    assert (correct("rlmec").mean(1) > correct("warm-up").mean(1) + 0.05).all(), "in every seed"


@pytest.mark.parametrize("other", ["ppo-sequence", "grpo-sequence", "rft"])
def test_it_is_better_than_one_reward_an_answer_and_than_its_own_right_answers(correct, other):
    assert correct("rlmec").mean() > correct(other).mean() + 0.03


def test_token_rewards_by_themselves_teach(correct):
    assert (correct("rewards-only").mean(1) > correct("warm-up").mean(1)).all(), "in every seed"


@pytest.mark.parametrize("other", ["ppo-sequence", "grpo-sequence", "rewards-only-uniform"])
def test_token_rewards_are_no_worse_than_one_reward_an_answer_or_the_same_for_every_token(correct, other):
    # 3,000 problems: the standard error of a paired difference is about 0.006.
    assert correct("rewards-only").mean() > correct(other).mean() - 0.01


def test_the_reward_model_rewards_about_as_well_as_the_true_edits_would(correct):
    assert correct("rewards-only").mean() == pytest.approx(correct("rewards-only-oracle").mean(), abs=0.02)


def test_without_imitation_and_with_the_authors_clip_nothing_is_gained(correct):
    assert correct("no-imitation").mean() < correct("warm-up").mean() + 0.03
