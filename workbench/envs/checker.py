"""Proves the environment contract of ``text_env`` for any class, with one message per broken rule."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from workbench.envs.catalog import undefined_methods
from workbench.envs.checked_play import FREE_TEXT, Step, broken, checked_reset, checked_step, random_play, require
from workbench.envs.text_env import TextEnv
from workbench.errors import EnvError

RANDOM_STEPS = 50
TASKS_PER_STAGE = 20
SNAPSHOTS_PER_TRAJECTORY = 5

_NONSENSE = "no such thing: 8c1f"

Factory = Callable[[], TextEnv]
T = TypeVar("T")


def check_text_env(env_class_or_factory: Factory) -> None:
    """Return if the environments that ``env_class_or_factory()`` builds keep the whole contract.

    It plays up to 20 tasks of every stage. Snapshots, the oracle and the list of commands are optional and
    are checked where they exist.

    Raises:
        EnvError: A rule is broken; the message is ``rule; likely cause; value found``.
    """
    env: object = env_class_or_factory()
    if not isinstance(env, TextEnv):
        raise broken("the environment is a TextEnv", "the class does not inherit from workbench.TextEnv", type(env).__name__)
    missing = undefined_methods(type(env))
    require(not missing, "every required method is defined", "it is missing or misspelt", ", ".join(missing))
    require(_is_text(env.name), "name is a non-empty text", "the class attribute is not set", env.name)
    stages: Any = env.stages
    require(
        isinstance(stages, tuple) and _are_names(stages), "stages is a tuple of different names", "one stage alone needs a comma", stages
    )
    _check_before_reset(env)
    for stage in env.stages:
        _check_tasks(env_class_or_factory, stage)
        _check_determinism(env_class_or_factory, stage)
        for task in _some(env.tasks(stage), TASKS_PER_STAGE):
            _check_trajectory(env, stage, task)
            _check_branching(env_class_or_factory, stage, task)
            _check_oracle(env, stage, task)
        _check_refusals(env, stage)


def _check_before_reset(env: TextEnv) -> None:
    _require_refusal(lambda: env.step(FREE_TEXT), "step() before reset() raises EnvError", "step() is overridden and does not look")
    for option, value in (("stage", _NONSENSE), ("task", _NONSENSE), ("level", 1)):
        call = partial(env.reset, seed=0, options={option: value})
        _require_refusal(call, f"an unknown {option} raises EnvError", f"reset() or _begin() does not check the {option}")


def _check_tasks(make: Factory, stage: str) -> None:
    env = make()
    tasks: Any = env.tasks(stage)
    sequence = isinstance(tasks, Sequence) and not isinstance(tasks, str)
    require(sequence, "tasks(stage) is a sequence", "a generator or a set has no fixed order", type(tasks).__name__)
    require(len(tasks) > 0, "every stage has tasks", "tasks() does not know the stage", f"none in stage {stage!r}")
    require(_are_names(tasks), "tasks are different non-empty texts", "the ids leave something out", tasks)
    fixed = list(tasks)
    env.reset(seed=1, options={"stage": stage})
    for again in (env.tasks(stage), make().tasks(stage)):
        require(list(again) == fixed, "tasks(stage) is always the same", "it is drawn at random or depends on what was played", list(again))


def _check_determinism(make: Factory, stage: str) -> None:
    first, second = make(), make()
    expected = _random_steps(first, stage)
    cause = "randomness comes from elsewhere than self.np_random"
    _require_equal(expected, _random_steps(second, stage), "two copies with one seed do the same", cause)
    _require_equal(expected, _random_steps(first, stage), "a second play with one seed repeats the first", "_begin() leaves something over")


def _random_steps(env: TextEnv, stage: str) -> list[Step]:
    steps: list[Step] = []
    seed = 0
    while len(steps) < RANDOM_STEPS:
        steps.extend(random_play(env, stage, None, seed))
        seed += 1
    return steps


def _check_trajectory(env: TextEnv, stage: str, task: str) -> None:
    commands_by_key: dict[str, Any] = {}
    for step in random_play(env, stage, task, seed=0):
        if not step.ended:
            key = step.info["state_key"]
            equal = commands_by_key.setdefault(key, step.commands) == step.commands
            require(equal, "equal state keys have equal commands", "state_key() leaves something out", key)
    last = FREE_TEXT if step.command is None else step.command
    _require_refusal(lambda: env.step(last), "step() after the end raises EnvError", "step() is overridden and does not look")


def _check_refusals(env: TextEnv, stage: str) -> None:
    start = checked_reset(env, stage, None, seed=0)
    if start.commands is None:
        return
    _require_refusal(lambda: env.step(_NONSENSE), "an unknown command raises EnvError", "step() is overridden and does not look")
    state = (env.observe(), env.state_key())
    before = (start.observation, start.info["state_key"])
    require(state == before, "an unknown command changes nothing", "it is refused after it was carried out", state)


def _check_branching(make: Factory, stage: str, task: str) -> None:
    env = make()
    own = [getattr(type(env), name) is not getattr(TextEnv, name) for name in ("snapshot", "restore")]
    require(own[0] == own[1], "snapshot() and restore() come together", "one of them is not defined", f"{type(env).__name__} has one")
    cause = "the snapshot leaves something out"
    if not own[0]:
        # The inherited ones play the same commands again, which tells nothing of a class that resets or steps in its own way.
        if type(env).reset is not TextEnv.reset or type(env).step is not TextEnv.step:
            return
        cause = "the same seed and commands lead elsewhere; it draws from other dice than self.np_random, or keeps something from before"
    steps, texts, kept = [], [], []
    for step in random_play(env, stage, task, seed=0):
        saved = env.snapshot()
        steps.append(step)
        texts.append(_as_json(saved))
        kept.append(saved)
    for number in _some(range(len(steps)), SNAPSHOTS_PER_TRAJECTORY):
        require(
            _as_json(kept[number]) == texts[number], "a snapshot does not change later", "it shares a list with the world", kept[number]
        )
        for copy in (make(), env):
            rule = f"restore() continues as the original did (turn {number} of task {task})"
            _require_equal(steps[number:], _continued(copy, texts[number], number, steps[number:]), rule, cause)
            rule = "step() after the end raises EnvError in a restored trajectory too"
            _require_refusal(partial(copy.step, str(steps[-1].command)), rule, "the snapshot leaves out that it was over")


def _as_json(saved: object) -> str:
    try:
        text = json.dumps(saved, sort_keys=True, allow_nan=False)
        same = json.loads(text) == saved
    except (TypeError, ValueError) as error:
        raise broken("a snapshot consists of JSON values", "it holds an object of the world", str(error)) from None
    require(same, "a snapshot consists of JSON values", "a tuple or a key that is no text", saved)
    return text


def _continued(env: TextEnv, saved: str, turns: int, original: Sequence[Step]) -> list[Step]:
    """The original's steps from a snapshot on, played again after ``restore``."""
    result: Any = env.restore(json.loads(saved))
    if not isinstance(result, tuple) or len(result) != 2:
        raise broken("restore() returns (observation, info)", "it returns nothing", result)
    # A short trajectory never meets the horizon, so that the clock is looked at itself.
    require(
        env.turns_taken == turns, "restore() brings back turns_taken", "the snapshot leaves it out", f"{env.turns_taken} instead of {turns}"
    )
    start = original[0]._replace(observation=result[0], info=result[1])
    try:
        return [start, *(checked_step(env, str(step.command)) for step in original[1:])]
    except EnvError as error:
        raise broken("restore() continues as the original did", "the snapshot leaves something out", str(error)) from error


def _check_oracle(env: TextEnv, stage: str, task: str) -> None:
    step = checked_reset(env, stage, task, seed=0)
    before = (env.observe(), env.state_key())
    plan: Any = env.oracle()
    if plan is None:
        return
    texts = isinstance(plan, list) and all(isinstance(command, str) for command in plan)
    require(texts, "oracle() gives a list of commands", "it gives another type", plan)
    require((env.observe(), env.state_key()) == before, "oracle() changes nothing", "it plays on the world itself", env.state_key())
    require(
        len(plan) <= env.horizon, "the oracle solves within the horizon", "the horizon is too short", f"{len(plan)} commands for {task}"
    )
    for number, command in enumerate(plan):
        admissible = step.commands is None or command in step.commands
        require(
            admissible and not step.ended, "the oracle's commands are admissible", "it plans for another state", f"{command!r} at {number}"
        )
        step = checked_step(env, command)
    require(
        step.info["success"], "the oracle solves the task", "its plan is too short or _act() does not set success", f"{plan} for {task}"
    )
    require(env.oracle() == [], "oracle() is empty once the task is solved", "it goes on planning", env.oracle())


def _require_equal(expected: Sequence[Step], found: Sequence[Step], rule: str, cause: str) -> None:
    for number, (one, other) in enumerate(zip(expected, found, strict=False)):
        for name, left, right in zip(Step._fields, one, other, strict=True):
            require(left == right, rule, cause, f"{name} {right!r} instead of {left!r} at step {number}")
    require(len(expected) == len(found), rule, cause, f"{len(found)} steps instead of {len(expected)}")


def _require_refusal(call: Callable[[], object], rule: str, cause: str) -> None:
    try:
        result = call()
    except EnvError:
        return
    # Whatever else it raises is what was found.
    except Exception as error:
        raise broken(rule, cause, f"{type(error).__name__}: {error}") from error
    raise broken(rule, cause, result)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_names(values: Sequence[object]) -> bool:
    return len(values) > 0 and all(map(_is_text, values)) and len(set(values)) == len(values)


def _some(values: Sequence[T], count: int) -> list[T]:
    """At most ``count`` of the values, evenly spaced, the first and the last among them."""
    if len(values) <= count:
        return list(values)
    return [values[position * (len(values) - 1) // (count - 1)] for position in range(count)]
