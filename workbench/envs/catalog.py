"""Environments by name: the ones that ship with the workbench, and ``package.module:ClassName`` of your own."""

import importlib
import inspect
import os
import sys
from typing import Any

import gymnasium

from workbench.envs.text_env import TextEnv
from workbench.errors import EnvError, WorkbenchError, nearest

# Imported when asked for, so that naming one world does not load the others.
_SHIPPED = {
    "arithmetic": "workbench.envs.arithmetic.world:Arithmetic",
    "corridor": "workbench.envs.corridor:Corridor",
    "explore": "workbench.envs.explore.world:AutoExplore",
    "frozen-lake": "workbench.envs.frozen_lake:FrozenLake",
    "household": "workbench.envs.household.world:Household",
    "knowledge": "workbench.envs.arithmetic.world:KnowledgeQuiz",
    "taxi": "workbench.envs.taxi:DangerousTaxi",
    "word-problems": "workbench.envs.arithmetic.world:WordProblems",
}


def env_names() -> list[str]:
    """Names that ``make_env`` knows without an import path, sorted."""
    return sorted(_SHIPPED)


def make_env(name: str, /, **options: Any) -> TextEnv:
    """Build an environment.

    Args:
        name: A name from ``env_names()``, or ``package.module:ClassName`` of a ``TextEnv`` subclass.
        options: Arguments of the class.

    Raises:
        EnvError: The name is unknown, the class cannot be imported, is no usable ``TextEnv``, or refuses the options.
    """
    env_class = _imported(name) if ":" in name else _shipped(name)
    if env_class is None:
        raise EnvError(f"unknown environment {name!r}; {nearest(name, env_names())}; your own is given as package.module:ClassName")
    known = ", ".join(inspect.signature(env_class).parameters) or "none"
    try:
        inspect.signature(env_class).bind(**options)
    except TypeError as error:
        raise EnvError(f"environment {name!r}: {error}; its options: {known}") from None
    try:
        return env_class(**options)
    except WorkbenchError:
        raise
    # The constructor may be a person's own code too.
    except Exception as error:
        raise EnvError(f"environment {name!r} could not be built: {_reason(error)}; its options: {known}") from error


def undefined_methods(env_class: type[TextEnv]) -> list[str]:
    """Names of the required methods that a subclass leaves undefined; ``gymnasium.Env`` does not check this itself."""
    return [name for name in dir(env_class) if getattr(getattr(env_class, name), "__isabstractmethod__", False)]


def gymnasium_id(name: str) -> str:
    """What ``gymnasium.make`` knows a shipped environment by, such as ``workbench/DangerousTaxi-v0`` for ``taxi``.

    Raises:
        EnvError: No shipped environment has that name.
    """
    if name not in _SHIPPED:
        raise EnvError(f"no shipped environment is called {name!r}; {nearest(name, env_names())}")
    return f"workbench/{_SHIPPED[name].partition(':')[2]}-v0"


def register_with_gymnasium() -> None:
    """Make every shipped environment known to ``gymnasium.make``, as ``import workbench`` does; a second call changes nothing."""
    for name, entry_point in _SHIPPED.items():
        if gymnasium_id(name) not in gymnasium.registry:
            gymnasium.register(gymnasium_id(name), entry_point=entry_point)


def _shipped(name: str) -> type[TextEnv] | None:
    return _imported(_SHIPPED[name]) if name in _SHIPPED else None


def _imported(name: str) -> type[TextEnv]:
    module_name, _, class_name = name.partition(":")
    if not class_name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise EnvError(f"environment {name!r} is not of the form package.module:ClassName")
    # Your own world may lie in the folder that the workbench runs in. It is searched last, so that nothing there stands in for an
    # installed package, and only once a name asks for a module.
    if name not in _SHIPPED.values() and (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    # The module is the person's own code, and importing it may raise anything.
    except (Exception, SystemExit) as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]
        advice = "; call from the folder that holds it, or name that folder in PYTHONPATH" if absent else ""
        raise EnvError(f"environment {name!r}: importing {module_name} failed: {_reason(error)}{advice}") from error
    classes = {key: value for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, TextEnv)}
    if class_name not in vars(module):
        known = [key for key in classes if key != TextEnv.__name__]
        hint = nearest(class_name, known) if known else "it defines no TextEnv subclass"
        raise EnvError(f"environment {name!r}: module {module_name} has no {class_name}; {hint}")
    if class_name not in classes:
        found = vars(module)[class_name]
        kind = f"the class {found.__name__}" if inspect.isclass(found) else f"a {type(found).__name__}"
        raise EnvError(f"environment {name!r} is {kind}, not a subclass of workbench.TextEnv")
    if missing := undefined_methods(classes[class_name]):
        raise EnvError(f"environment {name!r} does not define {', '.join(missing)}; a TextEnv needs each of them")
    return classes[class_name]


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
