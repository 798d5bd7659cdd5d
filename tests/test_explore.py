"""AutoExplore keeps the contract in every form of it; what is shown, earned and over; what can be saved."""

import json
import time

import numpy as np
import pytest

from workbench.envs.checker import check_text_env
from workbench.envs.explore.tree import Tree
from workbench.envs.explore.world import AutoExplore
from workbench.errors import EnvError

ORACLE_MILLISECONDS = 1.0
SLOWEST_TURNS_PER_SECOND = 2_500  # a quarter of the target, so that a busy machine does not fail the test

FORMS = {
    "default": {},
    "compact": {"observation": "compact", "identify": "read"},
    "every command": {"commands": "all", "leave_out": 0.5},
    "easy": {"questions": "easy", "read_first": False, "merge_first_two": True},
    "deep": {"depth": 4, "repositories": 9, "horizon": 20},
    "flat": {"depth": 0, "repositories": 3},
    "bandit": {"first_step": True, "repositories": 9},
}


def any_task(env: AutoExplore, depth: int) -> str:
    return env.tasks(f"depth-{depth}")[0]


def begin(env: AutoExplore, task: str) -> str:
    return env.reset(seed=0, options={"task": task})[0]


def tree_of(env: AutoExplore) -> Tree:
    begin(env, env.tasks("all")[0])
    return env.episode.task.repository.tree


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_the_contract_holds(options):
    check_text_env(lambda: AutoExplore(**options))


# What is shown -------------------------------------------------------------------------------------------


def test_the_papers_observation_has_its_parts_in_their_order():
    env = AutoExplore()
    task = any_task(env, 2)
    begin(env, task)
    plan = env.oracle()
    for command in plan[:-1]:
        observation = env.step(command)[0]
    target = env.episode.target
    home, name = target.path.rsplit("/", 1)
    lines = observation.split("\n")
    assert [line for line in lines if line.startswith("# ") and line[2:] in HEADINGS] == [f"# {heading}" for heading in HEADINGS]
    assert lines[1] == f"{home}/"
    assert name in lines[3].split()
    assert lines[5] == ", then ".join(plan[:-1])
    assert "\n".join(lines[7:]) == f"Success: {target.text.rstrip()}"
    assert env.episode.task.question.question in env.task_statement()


HEADINGS = ("Working directory", "Files", "Command history", "Result")


def test_the_compact_observation_shows_the_line_that_settles_it():
    env = AutoExplore(observation="compact", identify="read", vague_names=1.0)
    for task in env.tasks("all")[::50]:
        begin(env, task)
        for command in env.oracle()[:-1]:
            observation = env.step(command)[0]
        thing = env.episode.task.question.question.split(" the ", 1)[1].rstrip("?.").removesuffix(" set")
        says = observation.split("\n")[-1]
        assert says.startswith("Says: ")
        assert thing[:30] in says


def test_a_file_that_was_read_is_no_longer_offered():
    env = AutoExplore(identify="read")
    begin(env, any_task(env, 0))
    cat, name = env.oracle()
    assert name not in env.admissible_commands()
    _, _, _, _, info = env.step(cat)
    assert cat not in info["admissible_commands"]
    assert name in info["admissible_commands"]


# What it earns -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "turns"), [(0, 2), (1, 3), (2, 4)])
def test_a_solution_earns_the_papers_fifteen_less_its_steps(depth, turns):
    env = AutoExplore()
    begin(env, any_task(env, depth))
    plan = env.oracle()
    rewards = [env.step(command)[1] for command in plan]
    assert len(plan) == turns
    assert env.success
    assert sum(rewards) * 15 == pytest.approx(15 - turns)


def test_success_does_not_depend_on_reading():
    env = AutoExplore(read_first=False)
    begin(env, any_task(env, 1))
    assert [command.split()[0] for command in env.oracle()] == ["cd", "id"]
    for command in env.oracle():
        _, _, terminated, _, info = env.step(command)
    assert terminated
    assert info["success"]


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


def test_running_out_of_turns_costs_as_much_as_a_wrong_answer():
    env = AutoExplore(horizon=2)
    begin(env, any_task(env, 1))
    into = env.oracle()[0]
    results = [env.step(command)[1:4] for command in (into, "cd ..")]
    assert [result[0] * 15 for result in results] == pytest.approx([-1, -16])
    assert [result[1:] for result in results] == [(False, False), (False, True)]


@pytest.mark.parametrize(
    ("text", "units", "shown"),
    [
        ("dance", -2, "Warning: unknown command"),
        ("", -2, "Warning: unknown command"),
        ("cat nothing.py", -3, "Error: no such file or folder"),
        ("cd ../..", -3, "Error: the path leaves the repository"),
        ("cat /etc/passwd", -3, "Error: paths start at the present folder"),
        ("ls", -1, "Success: "),
    ],
)
def test_invalid_commands_are_really_penalised(text, units, shown):
    """Defect B1 of the paper's code: its penalties never came."""
    env = AutoExplore(on_invalid="penalise")
    begin(env, any_task(env, 1))
    history = env.observe().split("\n")[5]
    observation, reward, terminated, _, _ = env.step(text)
    assert reward * 15 == pytest.approx(units)
    assert not terminated
    assert shown in observation
    assert env.turns_taken == 1
    assert (observation.split("\n")[5] == history) == (units < -1)  # what did nothing is no part of the history


def test_a_file_counts_as_read_when_cat_showed_it_however_it_was_typed():
    env = AutoExplore(on_invalid="penalise", identify="read")
    begin(env, any_task(env, 0))
    name = env.oracle()[0].removeprefix("cat ")
    env.step(f"head {name}")
    assert f"id {name}" not in env.admissible_commands()
    env.step(f"'cat' {name}")
    assert f"id {name}" in env.admissible_commands() and f"cat {name}" not in env.admissible_commands()


def test_a_bandit_is_solved_by_its_first_command():
    env = AutoExplore(first_step=True)
    task = any_task(env, 2)
    begin(env, task)
    assert len(env.oracle()) == 1
    assert env.step(env.oracle()[0])[1:3] == (1.0, True)
    begin(env, task)
    wrong = next(command for command in env.admissible_commands() if command not in env.oracle())
    _, reward, terminated, _, info = env.step(wrong)
    assert reward == pytest.approx(-1 / 15)
    assert (terminated, info["success"]) == (True, False)


# The oracle ----------------------------------------------------------------------------------------------


def solved_within(env: AutoExplore, turns: int) -> bool:
    """Whether any solution from here takes no more than ``turns``, by breadth-first search over snapshots."""
    waiting, seen = [env.snapshot()], {env.state_key()}
    for _ in range(turns):
        states, waiting = waiting, []
        for saved in states:
            env.restore(saved)
            for command in env.admissible_commands():
                _, _, terminated, _, info = env.step(command)
                if info["success"]:
                    return True
                if not terminated and info["state_key"] not in seen:
                    seen.add(info["state_key"])
                    waiting.append(env.snapshot())
                env.restore(saved)
    return False


@pytest.mark.parametrize("options", [{"read_first": False}, {"identify": "read"}])
def test_no_solution_is_shorter_than_the_oracles(options):
    env = AutoExplore(repositories=2, depth=1, horizon=40, **options)
    dice = np.random.default_rng(0)
    for task in env.tasks("all")[::29]:
        begin(env, task)
        for _ in range(2):
            moves = [command for command in env.admissible_commands() if not command.startswith("id")]
            env.step(moves[int(dice.integers(len(moves)))])
        plan = env.oracle()
        assert not solved_within(env, len(plan) - 1)


def test_the_oracle_is_fast():
    env = AutoExplore(depth=6)
    begin(env, env.tasks(env.stages[-2])[0])
    begun = time.process_time()
    for _ in range(200):
        env.oracle()
    assert (time.process_time() - begun) * 1000 / 200 < ORACLE_MILLISECONDS


# What is left out ----------------------------------------------------------------------------------------


def test_what_is_left_out_is_never_on_the_way_and_depends_on_the_seed_alone():
    env = AutoExplore(leave_out=0.7)
    whole = AutoExplore()
    for number, task in enumerate(env.tasks("depth-2")[::40]):
        first, again = (env.reset(seed=number, options={"task": task}) for _ in range(2))
        assert first == again
        assert set(first[1]["admissible_commands"]) <= set(whole.reset(seed=number, options={"task": task})[1]["admissible_commands"])
        for command in env.oracle():
            assert command in env.admissible_commands()
            env.step(command)
        assert env.success
    sizes = [len(env.reset(seed=seed, options={"task": any_task(env, 2)})[1]["admissible_commands"]) for seed in range(20)]
    assert len(set(sizes)) > 1


# Snapshots and refusals ----------------------------------------------------------------------------------


def test_a_snapshot_is_json_and_continues_alike():
    env, other = AutoExplore(leave_out=0.3), AutoExplore(leave_out=0.3)
    begin(env, any_task(env, 2))
    env.step(env.oracle()[0])
    saved = json.loads(json.dumps(env.snapshot()))
    assert other.restore(saved) == (env.observe(), env._info())
    assert other.turns_taken == 1
    assert other.step(env.oracle()[0]) == env.step(env.oracle()[0])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"task": "nowhere/x.py#1"}, "it is of task"),
        ({"stage": "depth-9"}, "stage 'depth-9'"),
        ({"draw": 5}, "draw is 5"),
        ({"draw": True}, "draw is True"),
        ({"commands": "cd .."}, "commands is 'cd ..'"),
        ({"commands": [1]}, "commands are not at most 15 texts"),
        ({"commands": ["cd .."] * 16}, "commands are not at most 15 texts"),
        ({"commands": ["cd nowhere"]}, r"'cd nowhere' is not admissible here; .*; take one with snapshot\(\)"),
        ({"extra": 1}, "unknown entry 'extra'"),
    ],
)
def test_a_snapshot_that_cannot_be_is_refused_and_nothing_changes(changes, problem):
    env = AutoExplore()
    begin(env, any_task(env, 1))
    env.step(env.oracle()[0])
    good = env.snapshot()
    before = (env.observe(), env._info(), env.turns_taken)
    with pytest.raises(EnvError, match=problem):
        env.restore({**good, **changes})
    assert (env.observe(), env._info(), env.turns_taken) == before
    with pytest.raises(EnvError, match="expected a dictionary, found list"):
        env.restore([])  # type: ignore[arg-type]
    with pytest.raises(EnvError, match="'stage' is missing"):
        env.restore({"task": good["task"]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observation": "papre"}, "observation is 'papre'; did you mean 'paper'"),
        ({"identify": True}, "identify is True"),
        ({"leave_out": 1.5}, "leave_out must be a number from 0 to 1, found 1.5"),
        ({"leave_out": float("nan")}, "leave_out must be a number"),
        ({"depth": 99}, "depth must be a whole number from 0 to 8, found 99"),
        ({"repositories": 0}, "repositories must be a whole number from 1"),
        ({"first_step": 1}, "first_step must be true or false, found 1"),
        ({"source": ""}, "source is ''; give a text"),
        ({"source": "/no/such/folder"}, "'/no/such/folder' is no folder and no archive"),
        ({"source": "package:no_such_package"}, "names no installed package"),
        ({"source": "package:os.path"}, "names no installed package"),
        ({"horizon": 0}, "horizon must be a whole number of at least 1"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message):
    with pytest.raises(EnvError) as caught:
        AutoExplore(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_random_play_on_a_thousand_files_is_fast(tmp_path):
    for number in range(1_000):
        folder = tmp_path / f"area{number % 10}" / f"topic{number // 10 % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number}.txt").write_text("some words to read\n", encoding="utf-8")
    env = AutoExplore(source=str(tmp_path), questions="easy", tasks_per_repository=50)
    assert len(tree_of(env).files) == 1_000
    dice = np.random.default_rng(0)
    over, turns = True, 4_000
    begun = time.process_time()
    for choice in dice.random(turns):
        if over:
            _, info = env.reset()
        commands = info["admissible_commands"]
        _, _, terminated, truncated, info = env.step(commands[int(choice * len(commands))])
        over = terminated or truncated
    assert turns / (time.process_time() - begun) > SLOWEST_TURNS_PER_SECOND
