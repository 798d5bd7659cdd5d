"""RLMEC learns on two cores what its specification expects (T6 and, of T7, the imitation): one seed, equal tokens."""

import pytest

from tests.small_runs import carry_on, lines, run_config
from workbench.recipes.execute import prepare_run
from workbench.recipes.reproduce_rlmec import RLMEC
from workbench.store.solutions import read_quality

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SETTINGS = ("device.device=cpu", "device.num_threads=1", "rlmec.policy.save_steps=1000", "rlmec.policy.eval_steps=0")


def config_of(arm):
    return RLMEC.config(RLMEC.world("arithmetic"), RLMEC.arm(arm), scale="tiny", seed=0, overrides=SETTINGS)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Problems, a warmed-up policy with its answers, their rewrites and a reward model."""
    return run_config(tmp_path_factory.mktemp("runs"), config_of("warm-up"))


@pytest.fixture(scope="module")
def accuracy(shared, tmp_path_factory):
    """Accuracy on the test problems by arm."""
    found = {"warm-up": lines(shared.evaluations)[-1]["success_rate"]}
    for arm in ("rlmec", "ppo-sequence", "grpo-sequence", "rft", "no-imitation"):
        paths = prepare_run(tmp_path_factory.mktemp(arm), config_of(arm), parent=shared, phases_were_named=True)
        found[arm] = lines(carry_on(paths).evaluations)[-1]["success_rate"]
    return found


def test_the_reward_model_is_good_on_problems_it_has_not_seen(shared):
    quality = read_quality(shared)
    assert quality is not None and quality["held_out_wrong"] >= 100
    assert quality["auroc"] >= 0.95 and quality["auroc_shuffled"] == pytest.approx(0.5, abs=0.05)
    assert quality["located"] > 0.8 and quality["repaired"] > 0.8
    assert quality["right_probability"] > 0.9
    assert quality["edit_share"] == pytest.approx(quality["teacher_edit_share"], abs=0.05)


def test_rlmec_lifts_the_warmed_up_policy(accuracy):
    assert 0.25 <= accuracy["warm-up"] <= 0.7
    assert accuracy["rlmec"] > accuracy["warm-up"] + 0.1


@pytest.mark.parametrize("other", ["ppo-sequence", "grpo-sequence", "rft"])
def test_it_is_better_than_one_reward_an_answer_and_than_its_own_right_answers(accuracy, other):
    assert accuracy["rlmec"] > accuracy[other]


def test_without_imitation_nothing_is_gained(accuracy):
    assert accuracy["no-imitation"] < accuracy["warm-up"] + 0.05
