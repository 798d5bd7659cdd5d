"""DPO on turns: which pairs there are, by hand, and one update against the gradient worked out turn by turn."""

import math

import pytest
import torch

from tests.small_updates import assert_close, changes, fresh_policy, gradient, played_steps, settings_of, sgd
from workbench.errors import ConfigError
from workbench.rollout.team import Team
from workbench.trainers.dpo import DPO, TurnPair, turn_pairs
from workbench.trainers.replay import Step

SETTINGS = settings_of("dpo", group_size=5, trajectories_per_update=10, dpo={"beta": 0.4})


def step(prompt: int, chosen: int, earned: float, group: int = 0) -> Step:
    return Step((1, prompt), (10, 11, 12), chosen, -1.0, earned, "here", group=group)


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    """Turns of two groups of five trajectories."""
    return played_steps(SETTINGS)


def test_the_best_choice_of_a_state_beside_each_worse_one():
    steps = [step(5, 0, 1.0), step(5, 1, 0.2), step(5, 2, 0.9), step(6, 0, 5.0)]
    assert turn_pairs(steps) == [TurnPair(0, 1), TurnPair(0, 2)]


def test_a_choice_is_worth_its_mean():
    # Command 0 earned 1 and -1, so 0 on average; command 1 earned 0.5.
    assert turn_pairs([step(5, 0, 1.0), step(5, 1, 0.5), step(5, 0, -1.0)]) == [TurnPair(1, 0)]


def test_equal_worth_other_groups_and_other_prompts_make_no_pair():
    assert turn_pairs([step(5, 0, 1.0), step(5, 1, 1.0)]) == []
    assert turn_pairs([step(5, 0, 1.0), step(5, 1, 0.0, group=1)]) == []
    assert turn_pairs([step(5, 0, 1.0), step(6, 1, 0.0)]) == []


def test_a_first_update_is_the_gradient_of_half_beta_times_the_margin(steps):
    # At the reference the margin is 0, the loss log 2 and its slope -1/2.
    pairs = turn_pairs(steps)
    assert pairs, "the played groups must disagree somewhere"
    change, result = changes(SETTINGS, steps)
    rows = [row for pair in pairs for row in pair]
    expected = gradient([steps[row] for row in rows], [0.2, -0.2] * len(pairs), total=len(pairs))
    assert_close(change, expected, tolerance=1e-5)
    assert result.metrics["loss/policy"] == pytest.approx(math.log(2), abs=1e-4)
    assert result.metrics["preference/pairs"] == len(pairs)
    assert {row for row, mark in enumerate(result.advantages) if mark > 0} == {pair.chosen for pair in pairs}


def test_the_reference_stays_where_online_learning_began(steps):
    policy = fresh_policy()
    slowly = torch.optim.SGD([value for _, value in policy.player.trainable_parameters()], lr=0.02)
    algorithm = DPO(policy, slowly, SETTINGS)
    kept = [buffer.clone() for buffer in algorithm.reference.buffers()]
    first = algorithm.update(steps, []).metrics
    second = algorithm.update(steps, []).metrics
    assert second["loss/policy"] < first["loss/policy"] and second["preference/margin"] > first["preference/margin"]
    assert all(torch.equal(one, other) for one, other in zip(kept, algorithm.reference.buffers(), strict=True))


def test_nothing_to_prefer_changes_nothing(steps):
    same = [one._replace(return_to_go=0.5) for one in steps]
    change, result = changes(SETTINGS, same)
    assert float(change.abs().max()) == 0.0
    assert result.metrics["preference/pairs"] == 0 and math.isnan(result.metrics["loss/policy"])


def test_whole_commands_are_preferred_where_they_are_scored(steps):
    spoken = [one._replace(command_token_ids=tuple((token, 3) for token in one.label_token_ids), command_words=(1,) * 6) for one in steps]
    change, result = changes(SETTINGS, spoken)
    assert result.metrics["loss/policy"] == pytest.approx(math.log(2), abs=1e-4)
    assert float(change.abs().max()) > 0


def test_several_processes_are_refused():
    policy, team = fresh_policy(), Team()
    team.size = 2
    with pytest.raises(ConfigError, match=r"rl.algorithm=dpo trains in one process, found device.num_processes=2"):
        DPO(policy, sgd(policy), SETTINGS, team=team)
