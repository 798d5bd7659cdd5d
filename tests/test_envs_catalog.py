"""Environments by name, and the errors of a name that does not work."""

import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from tests.chain_world import ChainWorld
from workbench.envs.catalog import env_names, gymnasium_id, make_env, register_with_gymnasium
from workbench.envs.checker import check_text_env
from workbench.envs.taxi import DangerousTaxi
from workbench.errors import EnvError


def test_shipped_and_own_environments_are_built_with_their_options():
    assert "taxi" in env_names()
    taxi = make_env("taxi", horizon=9)
    assert isinstance(taxi, DangerousTaxi)
    assert taxi.horizon == 9
    chain = make_env("tests.chain_world:ChainWorld", length=8)
    assert isinstance(chain, ChainWorld)
    assert chain.length == 8


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("taxy", {}, "unknown environment 'taxy'; did you mean 'taxi'"),
        ("", {}, "unknown environment ''; known: "),
        ("taxi", {"horizn": 3}, "'taxi': got an unexpected keyword argument 'horizn'; its options: horizon, render_mode"),
        ("taxi", {"name": "x"}, "unexpected keyword argument 'name'"),
        ("taxi", {"horizon": 0}, "horizon must be a whole number of at least 1, found 0"),
        ("taxi", {"horizon": "9"}, "horizon must be a whole number of at least 1, found '9'"),
        ("tests.chain_world:ChainWorld", {"size": 3}, "its options: length, horizon, render_mode"),
        ("tests.chain_world:ChainWurld", {}, "has no ChainWurld; did you mean 'ChainWorld'"),
        ("json:Nothing", {}, "module json has no Nothing; it defines no TextEnv subclass"),
        ("json:JSONDecoder", {}, "the class JSONDecoder, not a subclass"),
        ("json:dumps", {}, "a function, not a subclass"),
        ("no_such_package.module:Env", {}, "importing no_such_package.module failed: ModuleNotFoundError: No module"),
        ("no_such_package.module:Env", {}, "call from the folder that holds it, or name that folder in PYTHONPATH"),
        ("workbench.envs.text_env:TextEnv", {}, "does not define _act, _begin, admissible_commands"),
        ("a b:C", {}, "not of the form package.module:ClassName"),
        ("tests.chain_world:", {}, "not of the form package.module:ClassName"),
        (":ChainWorld", {}, "not of the form package.module:ClassName"),
        ("../evil:Env", {}, "not of the form package.module:ClassName"),
    ],
)
def test_what_does_not_work_is_said_in_one_line(name, options, message):
    with pytest.raises(EnvError) as caught:
        make_env(name, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def (", "SyntaxError"),
        ("raise RuntimeError('first line\\nsecond line')", "RuntimeError: first line"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_fails_while_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source, message):
    (tmp_path / "broken_env_module.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_env_module", raising=False)
    with pytest.raises(EnvError) as caught:
        make_env("broken_env_module:Env")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_constructor_that_refuses_an_option_by_type_or_value_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = (
        "from tests.chain_world import ChainWorld\nclass Picky(ChainWorld):\n    def __init__(self, *, size=1):\n        int(size) / 0\n"
    )
    (tmp_path / "picky_env_module.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvError, match=r"'picky_env_module:Picky' could not be built: ZeroDivisionError: .*; its options: size"):
        make_env("picky_env_module:Picky")
    with pytest.raises(EnvError, match="could not be built: ValueError: "):
        make_env("picky_env_module:Picky", size="many")


def test_your_own_world_is_found_in_the_current_folder_and_never_stands_in_for_a_package(tmp_path: Path, monkeypatch):
    (tmp_path / "folder_env_module.py").write_text("from tests.chain_world import ChainWorld as Mine\n", encoding="utf-8")
    (tmp_path / "graphlib.py").write_text("raise SystemExit('the folder came before the library')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    for module in ("folder_env_module", "graphlib"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    make_env("taxi")
    assert str(tmp_path) not in sys.path, "a shipped world asks for nothing from this folder"
    assert isinstance(make_env("folder_env_module:Mine"), ChainWorld)
    assert sys.path[-1] == str(tmp_path)
    with pytest.raises(EnvError, match="module graphlib has no Mine"):
        make_env("graphlib:Mine")


@pytest.mark.parametrize("name", env_names())
def test_importing_the_workbench_makes_every_world_known_to_gymnasium(name):
    """In a fresh process, since this one has registered them already."""
    program = (
        "import gymnasium, sys, warnings, workbench\n"
        "from gymnasium.utils.env_checker import check_env\n"
        "warnings.simplefilter('error')\n"
        # Gymnasium plays a command of one start state in another, which only a world that takes any text lets pass.
        "options = {'on_invalid': 'penalise'} if 'AutoExplore' in sys.argv[1] else {}\n"
        "env = gymnasium.make(sys.argv[1], **options)\n"
        # Household takes no such text, but one can look around everywhere.
        "if 'Household' in sys.argv[1]: env.unwrapped.action_space.sample = lambda *arguments, **named: 'look'\n"
        "check_env(env.unwrapped, skip_render_check=True)\n"
        "observation, info = env.reset(seed=1)\n"
        "assert isinstance(observation, str) and observation\n"
        "print(env.unwrapped.name)"
    )
    done = subprocess.run([sys.executable, "-c", program, gymnasium_id(name)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == name


@pytest.mark.parametrize("name", env_names())
def test_every_shipped_world_keeps_the_contract(name):
    check_text_env(lambda: make_env(name))


def test_an_unknown_name_has_no_gymnasium_id():
    with pytest.raises(EnvError, match="no shipped environment is called 'taxy'; did you mean 'taxi'"):
        gymnasium_id("taxy")


def test_registration_with_gymnasium_is_idempotent():
    register_with_gymnasium()
    register_with_gymnasium()
    env = gymnasium.make("workbench/DangerousTaxi-v0", horizon=5, disable_env_checker=True)
    assert isinstance(env.unwrapped, DangerousTaxi)
    assert env.unwrapped.horizon == 5
    observation, info = env.reset(seed=3, options={"stage": "pickup"})
    assert observation.startswith("+---------+")
    assert info["stage"] == "pickup"


def test_vector_environments_take_the_text_spaces():
    register_with_gymnasium()
    envs = gymnasium.make_vec("workbench/DangerousTaxi-v0", num_envs=2, vectorization_mode="sync")
    observations, _ = envs.reset(seed=1)
    assert len(observations) == 2
    assert all(text.startswith("+---------+") for text in observations)
    envs.close()
