"""Warm-up data from outside teachers: a faulty endpoint, a killed generation, a budget, a recording."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.chain_world import ChainWorld
from tests.faulty_server import FaultyServer, serving, teach
from tests.small_play import CHAIN, play_config
from workbench.config import RunConfig
from workbench.data.answers import ANSWERS_FILE, AnswerFile
from workbench.data.generate import Example
from workbench.data.sets import CARD_FILE, SETS, read_examples
from workbench.data.splits import split_tasks
from workbench.data.teachers.endpoint import Watch
from workbench.errors import BudgetError, DataError, EndpointError, RunStopped
from workbench.models.spending import Spending
from workbench.prompts import suggested_command
from workbench.recipes.sets import make_sets

PATIENCE = 600
"""Seconds; on a busy machine a process takes minutes to import what it needs."""
FAST = {"timeout_seconds": 1, "max_backoff_seconds": 0.05, "concurrency": 6}


class Killed(BaseException):
    """As sudden as an in-process end can be."""


def config_for(server: FaultyServer, *overrides: str) -> RunConfig:
    return play_config(CHAIN, *settings(server), "data.trajectories=20", "data.negatives=10", "reflection.max_new_tokens=60", *overrides)


def settings(server: FaultyServer) -> list[str]:
    """A teacher behind ``server``, in a hurry."""
    teacher = {"kind": "endpoint", "model": "good-model", "base_url": server.base_url, "max_retries": 30, **FAST}
    return [f"data.teacher.{name}={value}" for name, value in teacher.items()]


def make(config: RunConfig, folder: Path, watch: Watch | None = None, stop_after: int | None = None) -> list[Example]:
    env = ChainWorld()

    def should_stop() -> bool:
        return stop_after is not None and len(answer_lines(folder)) >= stop_after

    return make_sets(config, env, split_tasks(env, config.data, seed=config.seed), folder, should_stop=should_stop, watch=watch)[0]


def answer_lines(folder: Path) -> list[dict[str, object]]:
    path = folder / ANSWERS_FILE
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def whole_lines(folder: Path) -> int:
    """Answers so far, while another process is writing them."""
    path = folder / ANSWERS_FILE
    return path.read_bytes().count(b"\n") if path.exists() else 0


def assert_every_row_once(folder: Path, examples: list[Example]) -> None:
    lines = answer_lines(folder)
    assert sorted(int(str(line["number"])) for line in lines) == list(range(len(examples)))
    assert len({line["key"] for line in lines}) == len(lines)
    for name in SETS:
        rows = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        wanted = [example for example in examples if example.kind == "positive" or not name.endswith("_positive")]
        assert len(rows) == len(wanted)


@pytest.fixture(scope="module")
def by_rules(tmp_path_factory):
    return make(play_config(CHAIN, "data.trajectories=20", "data.negatives=10"), tmp_path_factory.mktemp("rules"))


# The words are the model's, the rest is as ever --------------------------------------------------------------


def test_only_the_words_differ_from_the_rules(tmp_path, by_rules):
    with serving(FaultyServer()) as server:
        examples = make(config_for(server), tmp_path)
    same = [name for name in Example.__dataclass_fields__ if name != "reflection"]
    assert [[getattr(one, name) for name in same] for one in examples] == [[getattr(one, name) for name in same] for one in by_rules]
    assert all(example.reflection == f"Looking at this, I should take {example.oracle_command}." for example in examples)
    assert server.keys == {"Bearer none"}


def test_each_kind_of_step_has_its_question(tmp_path):
    with serving(FaultyServer()) as server:
        examples = make(config_for(server), tmp_path)
    asked = {body["messages"][-1]["content"]: body for body in server.seen}
    assert sum("Write one sentence" in text for text in asked) and sum("Write two sentences" in text for text in asked)
    corrections = [text for text in asked if "It was a wrong choice" in text]
    assert {example.mistake for example in examples if example.mistake} == {"left"}
    assert corrections and all("The last command was: left" in text for text in corrections)
    for text, body in asked.items():
        assert "best next command is: right" in text
        assert body["messages"][0]["content"].endswith(ChainWorld().task_statement())
        assert (body["model"], body["max_tokens"]) == ("good-model", 256)


def test_without_a_spoiler_nothing_is_told(tmp_path):
    with serving(FaultyServer()) as server:
        make(config_for(server, "data.teacher.spoiler=false"), tmp_path)
    assert not any("right" in message["content"] for body in server.seen for message in body["messages"])


# Faults, kills, stops ------------------------------------------------------------------------------------------


def test_a_faulty_server_and_three_sudden_ends_leave_every_row_once(tmp_path):
    with serving(
        FaultyServer(fault_rate=0.4, faults=("drop", "500", "429", "garbage", "half", "short", "empty-choices"), seed=1)
    ) as server:
        config = config_for(server)
        for kill in range(3):

            def die(done: int, total: int, spending: Spending, limit: int = 12 * (kill + 1)) -> None:
                if done >= limit:
                    raise Killed

            with pytest.raises(Killed):
                make(config, tmp_path, watch=die)
            assert not (tmp_path / CARD_FILE).exists()
            before = answer_lines(tmp_path)
            assert 12 * (kill + 1) <= len(before)
            with (tmp_path / ANSWERS_FILE).open("ab") as file:
                file.write(b'{"key": "half a li')
        examples = make(config, tmp_path)
        assert_every_row_once(tmp_path, examples)
        assert len(server.met) == 7, "every fault was met"
        # What was answered was not asked again: the server has answered no more often than there are rows.
        assert sum(server.answered.values()) == len(examples) > 40
        again = len(server.seen)
        assert make(config, tmp_path) == examples
        assert len(server.seen) == again, "a finished generation asks nothing"


def test_the_order_of_answers_changes_nothing(tmp_path):
    def slow_for_some(messages):
        time.sleep(0.005 * (len(messages[-1]["content"]) % 3))
        return teach(messages)

    with serving(FaultyServer(slow_for_some)) as server:
        jumbled = make(config_for(server), tmp_path / "many")
        assert 1 < server.most_under_way <= 6, "as many at once as concurrency says"
    with serving(FaultyServer()) as server:
        assert make(config_for(server, "data.teacher.concurrency=1"), tmp_path / "one") == jumbled
        assert server.most_under_way == 1


def test_a_stop_keeps_what_was_answered(tmp_path):
    with serving(FaultyServer(delay=0.005)) as server:
        with pytest.raises(RunStopped) as stopped:
            make(config_for(server), tmp_path, stop_after=15)
        kept = len(answer_lines(tmp_path))
        assert (stopped.value.phase, stopped.value.step) == ("generate", kept)
        assert 15 <= kept <= 15 + 2 * 6
        assert sum(server.answered.values()) == kept, "answers under way at the stop are kept, too"
        assert_every_row_once(tmp_path, make(config_for(server), tmp_path))


def test_two_processes_do_not_share_a_folder(tmp_path):
    with (
        serving(FaultyServer()) as server,
        AnswerFile(tmp_path),
        pytest.raises(DataError, match="another process is writing these answers"),
    ):
        make(config_for(server), tmp_path)


def test_a_server_that_went_away_ends_it_in_one_line(tmp_path):
    with serving(FaultyServer()) as server:
        server.down = True
        with pytest.raises(EndpointError, match=r"does not answer: \d+ requests in a row failed 2 times each, the last with: status 500"):
            make(config_for(server, "data.teacher.max_retries=1"), tmp_path)
        assert len(server.seen) < 60, "it is not asked for everything"


# Budget ----------------------------------------------------------------------------------------------------------


def test_a_budget_is_kept_and_can_be_raised(tmp_path):
    with serving(FaultyServer()) as server:
        with pytest.raises(BudgetError) as caught:
            make(config_for(server, "data.teacher.budget_tokens=3000"), tmp_path)
        spent = sum(int(str(line["prompt_tokens"])) + int(str(line["completion_tokens"])) for line in answer_lines(tmp_path))
        assert 2000 < spent <= 3000
        message = str(caught.value)
        assert f"budget_tokens=3000) is used up: {spent} tokens spent" in message
        assert "requests are left to ask; raise the budget and go on" in message
        examples = make(config_for(server), tmp_path)
        assert_every_row_once(tmp_path, examples)
        assert sum(server.answered.values()) == len(examples)


def test_money_is_counted_from_prices(tmp_path):
    prices = ("data.teacher.price_input=2", "data.teacher.price_output=8")
    with serving(FaultyServer()) as server:
        examples = make(config_for(server, *prices), tmp_path)
        card = json.loads((tmp_path / CARD_FILE).read_text(encoding="utf-8"))
        assert card["money"] == pytest.approx(len(examples) * (100 * 2 + 10 * 8) / 1e6)
        assert (card["prompt_tokens"], card["completion_tokens"]) == (100 * len(examples), 10 * len(examples))
        with pytest.raises(BudgetError, match=r"budget_money=0.005\) is used up"):
            make(config_for(server, *prices, "data.teacher.budget_money=0.005"), tmp_path / "other")


# Recordings ---------------------------------------------------------------------------------------------------------


def test_a_recording_gives_the_same_data_without_anybody(tmp_path):
    with serving(FaultyServer()) as server:
        examples = make(config_for(server), tmp_path / "first")
    recording = f"data.teacher={{kind: recorded, recording: '{tmp_path / 'first' / ANSWERS_FILE}'}}"
    config = play_config(CHAIN, recording, "data.trajectories=20", "data.negatives=10", "reflection.max_new_tokens=60")
    assert make(config, tmp_path / "second") == examples
    card = json.loads((tmp_path / "second" / CARD_FILE).read_text(encoding="utf-8"))
    assert (card["teacher"], card["model"], card["recording"]) == ("recorded", "good-model", ANSWERS_FILE)
    assert read_examples(tmp_path / "second") == examples
    with pytest.raises(DataError, match=r"no answer is recorded for \d+ of \d+ requests \(the first: reflection of number"):
        make(config.model_copy(update={"seed": 1}), tmp_path / "third")


def test_a_recording_that_is_none_is_one_line(tmp_path):
    for text, reason in ((None, "there are no recorded answers"), ("[1]\n{}\n", "none of its 1 lines is a recorded answer")):
        if text is not None:
            (tmp_path / "file").write_text(text, encoding="utf-8")
        config = play_config(CHAIN, f"data.teacher={{kind: recorded, recording: '{tmp_path / 'file'}'}}")
        with pytest.raises(DataError, match=reason):
            make(config, tmp_path / "out")


# The teacher plays -------------------------------------------------------------------------------------------------


def walk(messages):
    """Plays ChainWorld as it should be: always right, whichever label that has."""
    if len(messages) == 2:
        return teach(messages)
    return next(line.split(":")[0] for line in messages[3]["content"].splitlines() if line.endswith(": right"))


def test_a_teacher_that_plays_leaves_examples_and_paths_for_negatives(tmp_path):
    with serving(FaultyServer(walk)) as server:
        config = config_for(server, "data.teacher.trajectories=6")
        examples = make(config, tmp_path)
        assert make(config, tmp_path) == examples
    own = [example for example in examples if example.trajectory >= 30]
    assert {example.trajectory for example in own} == set(range(30, 36))
    assert all(example.kind == "positive" and example.behaviour_command == example.oracle_command == "right" for example in own)
    assert all(example.reflection == "I look around and then go on towards the goal." for example in own)
    card = json.loads((tmp_path / CARD_FILE).read_text(encoding="utf-8"))
    assert card["teacher_trajectories"] == {"solved": 6}
    assert card["groups_in_two_splits"] == 0


def test_trajectories_that_the_teacher_does_not_solve_are_left_out(tmp_path):
    def lost(messages):
        return teach(messages) if len(messages) == 2 else "left"

    with serving(FaultyServer(lost)) as server:
        examples = make(config_for(server, "data.teacher.trajectories=4"), tmp_path / "solved")
        assert max(example.trajectory for example in examples) < 30
        assert json.loads((tmp_path / "solved" / CARD_FILE).read_text(encoding="utf-8"))["teacher_trajectories"] == {"unsolved": 4}
        examples = make(config_for(server, "data.teacher.trajectories=4", "data.teacher.keep_failed=true"), tmp_path / "all")
    failed = [example for example in examples if example.trajectory >= 30 and example.kind == "positive"]
    assert failed and all((example.behaviour_command, example.oracle_command) == ("left", "right") for example in failed)


# Killed for real ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(3 * PATIENCE)
def test_three_real_kills_leave_every_row_once(tmp_path):
    out = tmp_path / "sets"
    with serving(FaultyServer(fault_rate=0.3, delay=0.03, seed=2)) as server:
        chosen = (*settings(server), "data.trajectories=30", "data.negatives=15", "reflection.max_new_tokens=60")
        command = [sys.executable, "-m", "workbench", "generate", "taxi-smoke", "--out", str(out)]
        command += [word for setting in chosen for word in ("--set", setting)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        for kill in range(3):
            process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
            goal, patience = 40 * (kill + 1), time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < patience and whole_lines(out) < goal:
                time.sleep(0.02)
            assert process.poll() is None and whole_lines(out) >= goal, "killed while it works"
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            assert not (out / CARD_FILE).exists()
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert finished.returncode == 0, finished.stderr
        examples = read_examples(out)
        assert len(examples) > 150
        assert_every_row_once(out, examples)
        # A kill loses at most what was under way at that moment.
        assert sum(server.answered.values()) <= len(examples) + 3 * 6
        assert all(suggested_command(example.reflection, example.commands) == example.oracle_command for example in examples)
        assert len(Counter(server.met)) >= 7
