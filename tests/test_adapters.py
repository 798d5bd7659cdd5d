"""Worlds of others played here, and ours played by TRL."""

import inspect
from typing import Any

import gymnasium
import pytest

from workbench.config import RunConfig, apply_overrides
from workbench.envs.catalog import make_env
from workbench.envs.checker import check_text_env
from workbench.envs.gymnasium_text import GymnasiumText
from workbench.envs.taxi import DangerousTaxi
from workbench.errors import EnvError
from workbench.trainers.trl_env import TextTool, trl_environment

LAKE: dict[str, Any] = {"env_id": "FrozenLake-v1", "commands": ("left", "down", "right", "up"), "success": "positive-reward", "seeds": 12}


def test_gymnasiums_own_lake_keeps_our_contract():
    """Slippery ice: what it makes of a seed and commands is the same each time, so that it can be branched, too."""
    check_text_env(lambda: GymnasiumText(**LAKE, env_options={"render_mode": "ansi"}))


def test_observations_rewards_and_ends_are_gymnasiums():
    lake = gymnasium.make("FrozenLake-v1", is_slippery=False)
    env = GymnasiumText(**LAKE, env_options={"is_slippery": False})
    lake.reset(seed=3)
    observation, info = env.reset(seed=0, options={"task": "seed-3"})
    assert (observation, info["admissible_commands"]) == ("0", LAKE["commands"])
    for command in ("down", "down", "right", "right", "down", "right"):
        field, reward, over, _, _ = lake.step(LAKE["commands"].index(command))
        observation, mine, terminated, _, info = env.step(command)
        assert (observation, mine, terminated) == (str(field), float(reward), over)
    assert info["success"]


def test_what_a_picture_colours_is_set_in_brackets():
    env = GymnasiumText(**LAKE, env_options={"render_mode": "ansi"})
    assert env.reset(seed=0)[0] == "[S]FFF\nFHFH\nFFFH\nHFFG"


def test_an_end_that_info_does_not_judge_is_told():
    """Gymnasium's lake says nothing of success: silence would look like a player who never succeeds."""
    env = GymnasiumText(**{**LAKE, "success": "success"}, env_options={"is_slippery": False})
    env.reset(seed=0)
    env.step("down")
    with pytest.raises(EnvError, match="info of FrozenLake-v1 has no entry 'success'; its entries: prob; set success to one of them or to"):
        env.step("right")


def test_the_horizon_truncates_where_gymnasium_would_have_ended():
    """FrozenLake-v1 is limited to 100 steps there."""
    env = GymnasiumText(**LAKE, env_options={"is_slippery": False}, horizon=120)
    env.reset(seed=0)
    ends = [env.step("left")[2:4] for _ in range(120)]
    assert ends == [(False, False)] * 119 + [(False, True)]


class Echo(gymnasium.Env[str, str]):
    """Takes any text, lists nothing."""

    observation_space = gymnasium.spaces.Text(20, charset="_abcdefghijklmnopqrstuvwxyz")
    action_space = gymnasium.spaces.Text(20)

    def reset(self, *, seed=None, options=None):
        return "say_it", {}

    def step(self, action):
        return action, 1.0, action == "it", False, {"success": action == "it"}


def test_texts_are_given_where_info_lists_none():
    """They are said as they are; the discrete actions' numbers are no business of such a world."""
    name = f"{__name__}:Echo-v0"
    gymnasium.register("Echo-v0", entry_point=f"{__name__}:Echo")
    with pytest.raises(EnvError, match="lists no admissible_commands; give the texts that it takes as commands"):
        GymnasiumText(env_id=name).reset(seed=0)
    env = GymnasiumText(env_id=name, commands=["this", "it"])
    assert env.reset(seed=0)[0] == "say_it"
    assert env.step("this")[:3] == ("this", 1.0, False)
    observation, _, terminated, _, info = env.step("it")
    assert (observation, terminated, info["success"]) == ("it", True, True)


def test_a_configuration_names_it_as_any_other_world():
    config = apply_overrides(
        RunConfig(),
        [
            "env.name=workbench.envs.gymnasium_text:GymnasiumText",
            "env.options={env_id: FrozenLake-v1, commands: [left, down, right, up], env_options: {render_mode: ansi}}",
        ],
    )
    observation, info = make_env(config.env.name, **config.env.options).reset(seed=0)
    assert (observation[:7], info["task_statement"]) == ("[S]FFF\n", "Play FrozenLake-v1.")


def test_a_text_world_of_gymnasium_lists_its_commands_itself():
    make = lambda: GymnasiumText(env_id="workbench:workbench/DangerousTaxi-v0", seeds=4)  # noqa: E731
    check_text_env(make)
    assert make().reset(seed=0)[1]["admissible_commands"] == DangerousTaxi().admissible_commands()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"env_id": "FrozenLak-v1"}, "cannot make 'FrozenLak-v1'"),
        ({"env_id": "FrozenLake-v1", "commands": ("left",)}, "has 4 actions; name each in commands, found"),
        ({"env_id": "Pendulum-v1"}, "only discrete ones"),
        ({**LAKE, "commands": "ldru"}, "must be a list of names, found 'ldru'"),
        ({**LAKE, "commands": ("left",) * 4}, "must be different names"),
        ({**LAKE, "seeds": 0}, "seeds must be a whole number"),
        ({**LAKE, "env_options": {"no_such": 1}}, "cannot make 'FrozenLake-v1'"),
    ],
)
def test_what_cannot_be_played_is_refused(options, message):
    with pytest.raises(EnvError, match=message):
        GymnasiumText(**options)


def test_what_trl_sees_of_an_environment():
    """TRL takes every public method but ``reset`` and ``get_reward`` for a tool, and reads its schema from the docstring."""
    from transformers.utils.chat_template_utils import get_json_schema

    public = [name for name, _ in inspect.getmembers(TextTool, predicate=inspect.isfunction) if not name.startswith("_")]
    assert public == ["act", "get_reward", "reset"]
    schema = get_json_schema(trl_environment("taxi")().act)["function"]
    assert (schema["name"], list(schema["parameters"]["properties"])) == ("act", ["command"])


def test_a_trajectory_through_the_tool():
    tool = trl_environment("taxi")()
    shown = tool.reset(task="r0c0-R-Y", stage="pickup", prompt="a column of the data set")
    assert "Drive the taxi" in shown
    assert shown.endswith("Commands: south, north, east, west, pickup, dropoff")
    assert "not admissible here" in tool.act("fly")
    assert tool.get_reward() == 0.0
    assert tool.act("pickup").endswith("It is over.")
    assert tool.get_reward() == pytest.approx(0.95)
    assert tool.act("south") == "It is over."
    assert tool.get_reward() == pytest.approx(0.95)


def test_instances_draw_tasks_of_their_own_and_the_same_ones_again():
    def starts(seed: int) -> list[str]:
        factory = trl_environment("taxi", seed=seed)
        return [text for tool in (factory(), factory()) for text in (tool.reset(), tool.reset())]

    assert starts(5) == starts(5)
    assert len(set(starts(5))) == 4


def test_an_unknown_world_is_told_before_training():
    with pytest.raises(EnvError, match="did you mean 'taxi'"):
        trl_environment("taxy")
