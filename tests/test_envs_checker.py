"""check_text_env accepts sound environments and names the broken rule of every unsound one."""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.chain_world import ChainWorld
from workbench import check_text_env
from workbench.envs.taxi import DangerousTaxi
from workbench.envs.text_env import Info, Outcome, TextEnv
from workbench.errors import EnvError

Method = Callable[..., Any]


@pytest.mark.parametrize("env_class", [DangerousTaxi, ChainWorld])
def test_sound_environments_pass(env_class):
    check_text_env(env_class)


def test_snapshot_oracle_and_commands_are_optional():
    check_text_env(FreeTextSum)


class FreeTextSum(TextEnv):
    name = "sum"

    def tasks(self, stage: str) -> tuple[str, ...]:
        return ("1+1", "2+2")

    def _begin(self, task: str, stage: str) -> None:
        if task not in self.tasks(stage):
            raise EnvError(f"sum: unknown task {task!r}")

    def _act(self, command: str) -> Outcome:
        self.success = command == str(2 * int(self.task[0]))
        return Outcome(float(self.success), True)

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        if self._over:
            raise EnvError("sum: the trajectory is over")
        outcome = self._act(action)
        self._over = True
        return self.observe(), outcome.reward, True, False, self._info()

    def observe(self) -> str:
        return f"What is {self.task}?"

    def admissible_commands(self) -> tuple[str, ...]:
        return ()

    def _info(self) -> Info:
        return {key: value for key, value in super()._info().items() if key != "admissible_commands"}

    def state_key(self) -> str:
        return self.task

    def task_statement(self) -> str:
        return "Answer with a number."


# Each breaks one rule of a sound environment --------------------------------------------------------------


def _reset_with(change: Callable[[str, Info], Any]) -> dict[str, Method]:
    def reset(self: ChainWorld, **arguments: Any) -> Any:
        return change(*ChainWorld.reset(self, **arguments))

    return {"reset": reset}


def _step_with(change: Callable[..., Any]) -> dict[str, Method]:
    def step(self: ChainWorld, action: str) -> Any:
        return change(*ChainWorld.step(self, action))

    return {"step": step}


def _info_with(**changes: Any) -> dict[str, Method]:
    return {"_info": lambda self: {**ChainWorld._info(self), **changes}}


def _global_randomness(self: ChainWorld) -> str:
    return f"{ChainWorld.observe(self)} {random.random()}"


def _count_begins(self: ChainWorld, task: str, stage: str) -> None:
    ChainWorld._begin(self, task, stage)
    self.begun = getattr(self, "begun", 0) + 1  # type: ignore[attr-defined]


def _begun_too_early(self: ChainWorld) -> None:
    ChainWorld.__init__(self)
    self._over = False


def _lenient_begin(self: ChainWorld, task: str, stage: str) -> None:
    self.position = 2


def _endless_step(self: ChainWorld, action: str) -> Any:
    if self._over or action not in self.admissible_commands():
        raise EnvError("chain: no")
    return self.observe(), 0.0, False, False, self._info()


def _restless_step(self: ChainWorld, action: str) -> Any:
    self._over = False
    return ChainWorld.step(self, action)


def _step_takes_anything(self: ChainWorld, action: str) -> Any:
    if self._over:
        raise EnvError("chain: over")
    return ChainWorld.step(self, action if action in ("left", "right") else "right")


def _late_refusal(self: ChainWorld, action: str) -> Any:
    if action not in ("left", "right") and not self._over:
        self.position -= 1
    return ChainWorld.step(self, action)


def _wins_at_once(self: ChainWorld, command: str) -> Outcome:
    self.success = True
    return Outcome(1.0, terminated=False)


def _never_succeeds(self: ChainWorld, command: str) -> Outcome:
    outcome = ChainWorld._act(self, command)
    self.success = False
    return outcome


def _commands_by_place(self: ChainWorld) -> tuple[str, ...]:
    return ("left", "right") if self.position % 2 else ("right", "left")


def _playing_oracle(self: ChainWorld) -> list[str]:
    plan = ChainWorld.oracle(self)
    self.position = 3
    return plan


def _snapshot_with(**changes: Any) -> dict[str, Method]:
    return {"snapshot": lambda self: {**ChainWorld.snapshot(self), **changes}}


def _forgetful_restore(self: ChainWorld, snapshot: dict[str, Any]) -> tuple[str, Info]:
    return ChainWorld.restore(self, {**snapshot, "turns_taken": 0})


def _misplacing_restore(self: ChainWorld, snapshot: dict[str, Any]) -> tuple[str, Info]:
    return ChainWorld.restore(self, {**snapshot, "position": 2})


def _forget_the_end(self: ChainWorld, snapshot: dict[str, Any]) -> tuple[str, Info]:
    result = ChainWorld.restore(self, snapshot)
    self._over = False
    return result


def _shared_snapshot(self: ChainWorld) -> dict[str, Any]:
    log = self.__dict__.setdefault("log", [])
    log.append(self.position)
    return {**ChainWorld.snapshot(self), "log": log}


def _short_sighted_oracle(self: ChainWorld) -> list[str]:
    return ChainWorld.oracle(self)[:1]


_WORDS = ("go", "stay", "rest", "wait")

BROKEN: dict[str, dict[str, Any]] = {
    "name is a non-empty text": {"name": ""},
    "stages is a tuple of different names": {"stages": "short"},
    "tasks(stage) is a sequence": {"tasks": lambda self, stage: {"start-2", "start-3"}},
    "every stage has tasks": {"tasks": lambda self, stage: ()},
    "tasks are different non-empty texts": {"tasks": lambda self, stage: ("start-3", "start-3")},
    "tasks(stage) is always the same": {"tasks": lambda self, stage: ("start-3", "start-4")[: 1 + (self.task == "start-3")]},
    "reset() returns (observation, info)": _reset_with(lambda observation, info: observation),
    "step() returns (observation, reward, terminated, truncated, info)": _step_with(lambda o, r, te, tr, i: (o, r, te, i)),
    "the observation is a non-empty text": {"observe": lambda self: ""},
    "info is a dictionary": {"_info": lambda self: None},
    "info has 'state_key'": {"_info": lambda self: {key: value for key, value in ChainWorld._info(self).items() if key != "state_key"}},
    "info['success'] is of type bool": _info_with(success=0),
    "info['state_key'] is of type str": {"state_key": lambda self: self.position},
    "info['task_statement'] is not empty": {"task_statement": lambda self: ""},
    "info['stage'] is the stage that was asked for": _info_with(stage="other"),
    "info['task'] is the task that was asked for": _info_with(task="other"),
    "success is False at the start": _info_with(success=True),
    "terminated is True or False": _step_with(lambda o, r, te, tr, i: (o, r, int(te), tr, i)),
    "truncated is True or False": _step_with(lambda o, r, te, tr, i: (o, r, te, None, i)),
    "the reward is a finite float": _step_with(lambda o, r, te, tr, i: (o, float("nan"), te, tr, i)),
    "terminated and truncated exclude each other": _step_with(lambda o, r, te, tr, i: (o, r, te, te, i)),
    "a solved task is over": {"_act": _wins_at_once},
    "a trajectory ends within its horizon": {"step": _endless_step},
    "admissible commands are a tuple of non-empty texts": _info_with(admissible_commands="left right"),
    "admissible commands differ from each other": _info_with(admissible_commands=("left", "left")),
    "the observation does not contain the list of commands": {"observe": lambda self: "You can go: 1. left, 2. right"},
    "two copies with one seed do the same": {"observe": _global_randomness},
    "a second play with one seed repeats the first": {
        "_begin": _count_begins,
        "observe": lambda self: f"{ChainWorld.observe(self)} {self.begun > 9}",
    },
    "equal state keys have equal commands": {"admissible_commands": _commands_by_place, "state_key": lambda self: "somewhere"},
    "step() before reset() raises EnvError": {
        "__init__": _begun_too_early,
        "step": _step_takes_anything,
    },
    "an unknown task raises EnvError": {"_begin": _lenient_begin},
    "an unknown stage raises EnvError": {"reset": lambda self, **given: ChainWorld.reset(self, options={"task": "start-4"})},
    "an unknown level raises EnvError": {
        "reset": lambda self, seed, options: ChainWorld.reset(
            self, seed=seed, options={key: options[key] for key in options if key != "level"}
        )
    },
    "step() after the end raises EnvError;": {
        "step": lambda self, action: _restless_step(self, action) if self.task else ChainWorld.step(self, action)
    },
    "an unknown command raises EnvError": {"step": _step_takes_anything},
    "an unknown command changes nothing": {"step": _late_refusal},
    "snapshot() and restore() come together": {"restore": TextEnv.restore},
    "a snapshot consists of JSON values": _snapshot_with(world=object()),
    "a snapshot consists of JSON values; likely cause: a tuple": _snapshot_with(world=(1, 2)),
    "a snapshot does not change later": {"snapshot": _shared_snapshot},
    "restore() returns (observation, info)": {"restore": lambda self, snapshot: None},
    "restore() brings back turns_taken": {"restore": _forgetful_restore},
    "restore() continues as the original did": {"restore": _misplacing_restore},
    "step() after the end raises EnvError in a restored trajectory too": {"restore": _forget_the_end},
    "oracle() gives a list of commands": {"oracle": lambda self: "right"},
    "oracle() changes nothing": {"oracle": _playing_oracle},
    "the oracle solves within the horizon": {"oracle": lambda self: ["left", "right"] * 10},
    "the oracle's commands are admissible": {"oracle": lambda self: ["up"]},
    "the oracle solves the task": {"oracle": _short_sighted_oracle},
    "the oracle solves the task; likely cause: its plan is too short or _act() does not set success": {"_act": _never_succeeds},
    "oracle() is empty once the task is solved": {"oracle": lambda self: ChainWorld.oracle(self) or ["right"]},
}


@pytest.mark.parametrize("rule", BROKEN)
def test_every_broken_rule_is_named(rule):
    env_class = type("Broken", (ChainWorld,), BROKEN[rule])
    with pytest.raises(EnvError, match="^" + re.escape(rule)) as caught:
        check_text_env(env_class)
    message = str(caught.value)
    assert re.search(r"; likely cause: .+; found .+", message)
    assert "\n" not in message


def test_an_endless_random_walk_after_restore_is_noticed():
    """The snapshot leaves out the generator, so that the future after a branch differs."""

    class Slippery(ChainWorld):
        def _act(self, command: str) -> Outcome:
            slips = self.np_random.random() < 0.5
            return super()._act({"left": "right", "right": "left"}[command] if slips else command)

        def oracle(self) -> None:  # type: ignore[override]
            return None

    with pytest.raises(EnvError, match=r"^restore\(\) continues as the original did"):
        check_text_env(Slippery)


def test_a_long_list_is_found_wherever_its_entries_stand():
    class Talkative(ChainWorld):
        def admissible_commands(self) -> tuple[str, ...]:
            return ("left", "right", "look around", "sing")

        def observe(self) -> str:
            return "To sing is fun. I could look around to the right, or go left."

    with pytest.raises(EnvError, match="does not contain the list of commands"):
        check_text_env(Talkative)


def test_what_is_no_environment_is_refused():
    with pytest.raises(EnvError, match=r"^the environment is a TextEnv; .*; found dict"):
        check_text_env(dict)  # type: ignore[arg-type]

    class Unfinished(TextEnv):
        def tasks(self, stage: str) -> tuple[str, ...]:
            return ("a",)

    with pytest.raises(
        EnvError, match=r"^every required method is defined; .*_act, _begin, admissible_commands, observe, state_key, task_statement$"
    ):
        check_text_env(Unfinished)
