"""AutoExplore keeps the contract in every form of it; what is shown, earned and over."""

import pytest

from workbench.envs.checker import check_text_env
from workbench.envs.explore.world import AutoExplore
from workbench.errors import EnvError

FORMS = {
    "default": {},
    "compact": {"observation": "compact", "identify": "read"},
    "every command": {"commands": "all", "leave_out": 0.5},
    "easy": {"questions": "easy", "read_first": False, "merge_first_two": True},
    "deep": {"depth": 4, "repositories": 9, "horizon": 20},
    "flat": {"depth": 0, "repositories": 3},
    "bandit": {"first_step": True, "repositories": 9},
}


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_the_contract_holds(options):
    check_text_env(lambda: AutoExplore(**options))


def test_a_wrong_answer_ends_the_trajectory():
    env = AutoExplore()
    env.reset(seed=0)
    right = env.oracle()[-1]
    wrong = next(command for command in env.admissible_commands() if command.startswith("id ") and command != right)
    _, reward, terminated, truncated, info = env.step(wrong)
    assert reward == pytest.approx(-16 / 15)
    assert (terminated, truncated, info["success"]) == (True, False, False)
    with pytest.raises(EnvError, match="the trajectory is over"):
        env.step(wrong)
