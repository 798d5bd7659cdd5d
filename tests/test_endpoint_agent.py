"""Outside models as agents: the same tasks and metrics as a policy, and failures of the API counted apart."""

import json
import re
from pathlib import Path

import pytest

from tests.faulty_server import FaultyServer, serving
from tests.small_models import chat_model_folder
from workbench.cli import main
from workbench.config import apply_overrides, load_preset
from workbench.data.splits import split_tasks
from workbench.envs.taxi import DangerousTaxi
from workbench.errors import BudgetError, EndpointError
from workbench.evaluation.endpoint_agent import evaluate_outside, play_outside
from workbench.evaluation.evaluate import assignments_for
from workbench.instructions import Messages
from workbench.models.endpoint import Completion, Passing
from workbench.recipes.outside import endpoint_settings, evaluate_endpoint
from workbench.recipes.scope import Wanted

QUICK = ("data.teacher.timeout_seconds=1", "data.teacher.max_backoff_seconds=0.02", "data.teacher.concurrency=4")


def assignments(count: int):
    config = load_preset("taxi-smoke")
    tasks = split_tasks(DangerousTaxi(), config.data, seed=0)["full"]["test"]
    return assignments_for(tasks, stage="full", count=count, seed=1, phase="evaluate", update=0)


class Solver:
    """Knows the way: looks the oracle up in an environment of its own, and finds the label in the list."""

    def __init__(self, *, fails: tuple[str, ...] = (), babbles: bool = False) -> None:
        self.plans: dict[str, list[str]] = {}
        self.fails, self.babbles = fails, babbles
        env = DangerousTaxi(horizon=40)
        for task in env.tasks("full"):
            env.reset(seed=0, options={"task": task, "stage": "full"})
            self.plans[self.key(env.observe())] = []
            while plan := env.oracle():
                self.plans[self.key(env.observe())] = plan
                env.step(plan[0])
                if env.success:
                    break

    @staticmethod
    def key(observation: str) -> str:
        return observation.split("Last command")[0].strip()

    def complete(self, messages: Messages) -> Completion:
        if any(text in messages[1]["content"] for text in self.fails):
            raise Passing("status 500: oh no")
        if len(messages) == 2:
            return Completion("I know the way.", "stop", 1, 1, False, 1)
        if self.babbles:
            return Completion("Well, hard to say!", "stop", 1, 1, False, 1)
        plan = self.plans[self.key(messages[1]["content"])]
        found = re.search(rf"^(\S+): {plan[0]}$", messages[3]["content"], flags=re.MULTILINE)
        assert found
        return Completion(f"My choice is {found[1]}.", "stop", 1, 1, False, 1)


def test_a_model_that_knows_the_way_solves_every_task():
    found = evaluate_outside(Solver(), DangerousTaxi, assignments(12), concurrency=3, oracle_commands=True)
    values = found.values()
    assert (values["success_rate"], values["trajectories"], values["api_failures"], values["invalid_choices"]) == (1.0, 12, 0, 0)
    assert values["success_rate_api_failures_counted"] == 1.0
    for trajectory, asked in zip(found.found.trajectories, assignments(12), strict=True):
        assert (trajectory.task, trajectory.seed, trajectory.trajectory_id) == (asked.task, asked.seed, asked.trajectory_id)
        assert all(turn.command == turn.oracle_command for turn in trajectory.turns)
        assert all(turn.reflection.text == "I know the way." for turn in trajectory.turns)
    orders = {turn.labels for trajectory in found.found.trajectories for turn in trajectory.turns}
    assert len(orders) > 20, "labels are shuffled"


def test_how_many_play_at_once_changes_nothing():
    one, many = (evaluate_outside(Solver(), DangerousTaxi, assignments(8), concurrency=number) for number in (1, 4))
    assert [repr(trajectory) for trajectory in one.found.trajectories] == [repr(trajectory) for trajectory in many.found.trajectories]


def test_failures_of_the_api_are_counted_apart():
    asked = assignments(10)
    env = DangerousTaxi()
    starts = []
    for assignment in asked[:3]:
        env.reset(seed=0, options={"task": assignment.task, "stage": "full"})
        starts.append(Solver.key(env.observe()))
    values = evaluate_outside(Solver(fails=tuple(starts)), DangerousTaxi, asked, concurrency=2).values()
    assert (values["trajectories"], values["api_failures"]) == (7, 3)
    assert values["success_rate"] == 1.0
    assert values["success_rate_api_failures_counted"] == pytest.approx(0.7)


def test_when_nothing_gets_through_it_says_so():
    with pytest.raises(EndpointError, match=r"no trajectory came to its end: 4 of 4 met a failure of the API \(status 500: oh no\)"):
        evaluate_outside(Solver(fails=("",)), DangerousTaxi, assignments(4), concurrency=2)


def test_a_model_that_names_no_label_fails_the_task_and_is_told_apart():
    played = play_outside(DangerousTaxi(), assignments(1)[0], Solver(babbles=True))
    assert played.invalid and not played.trajectory.success and played.trajectory.turns == ()
    values = evaluate_outside(Solver(babbles=True), DangerousTaxi, assignments(3), concurrency=1).values()
    assert (values["success_rate"], values["invalid_choices"], values["api_failures"]) == (0.0, 3, 0)


def test_an_endpoint_that_fails_for_good_ends_the_evaluation():
    with serving(FaultyServer(script=[(401, {})] * 50)) as server:
        config = apply_overrides(load_preset("taxi-smoke"), QUICK)
        with pytest.raises(EndpointError, match=r"asks for a key \(status 401\); the environment variable NO_SUCH_KEY is not set"):
            evaluate_endpoint(endpoint_settings(config, server.base_url, "m", "NO_SUCH_KEY"), config, Wanted(trajectories=20, seed=0))
        assert len(server.seen) <= 8


def test_a_budget_ends_the_evaluation():
    with serving(FaultyServer(lambda messages: "0")) as server:
        config = apply_overrides(load_preset("taxi-smoke"), [*QUICK, "data.teacher.budget_tokens=4000"])
        with pytest.raises(BudgetError, match="is used up"):
            evaluate_endpoint(endpoint_settings(config, server.base_url, "m"), config, Wanted(trajectories=50, seed=0))
        assert 110 * sum(server.answered.values()) <= 4000


def test_the_command_line_evaluates_an_endpoint(capsys, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with serving(FaultyServer(lambda messages: "I go with 3", fault_rate=0.2, faults=("500", "half"))) as server:
        settings = [word for setting in QUICK for word in ("--set", setting)]
        asked = ["--preset", "taxi-smoke", "--trajectories", "6", "--api-key-env", "MY_KEY", "--json", *settings]
        assert main(["evaluate", "--endpoint", server.base_url, "--model", "some-model", *asked]) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert found["trajectories"] + found["api_failures"] == 6
    assert found["model"] == "some-model"
    assert found["answers"] >= sum(server.answered.values())
    assert server.keys == {"Bearer sk-secret"} and "sk-secret" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name either a RUN or MODEL, or --endpoint BASE_URL together with --model NAME"),
        (("run", "--endpoint", "http://x/v1", "--model", "m"), "name either a RUN or MODEL"),
        (("--endpoint", "http://x/v1"), "together with --model NAME"),
        (("--endpoint", "ftp://x/v1", "--model", "m"), "--endpoint: must be an http:// or https:// address"),
        (("--endpoint", "http://me:pw@x/v1", "--model", "m"), "must hold no user, password"),
        (("--endpoint", "http://x/v1", "--model", "m", "--api-key-env", "sk-1"), "--api-key-env: String should match pattern"),
        (("--endpoint", "http://x/v1", "--model", "m", "--in-context"), "leave --in-context out"),
    ],
)
def test_mistyped_endpoints_are_one_line(arguments, message, capsys):
    assert main(["evaluate", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "pw@" not in error


def test_a_model_folder_is_evaluated_in_context(tmp_path, capsys):
    folder = chat_model_folder(tmp_path / "model")
    asked = ["--in-context", "--preset", "taxi-smoke", "--trajectories", "2", "--json", "--set", "data.teacher.max_tokens=8"]
    assert main(["evaluate", str(folder), *asked]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["trajectories"], found["api_failures"]) == (2, 0)
    assert Path(found["model"]) == folder
