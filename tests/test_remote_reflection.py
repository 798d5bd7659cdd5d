"""The reflection player behind a server: asked once, outlives restarts, and noticed when it becomes another one."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.faulty_server import FaultyServer, serving
from tests.small_runs import carry_on, run_config, short_config
from workbench.cli import main
from workbench.config import EndpointConfig, RunConfig, apply_overrides, load_config
from workbench.errors import ConfigError, EndpointError, RunStopped
from workbench.models.endpoint import Endpoint
from workbench.models.remote_reflection import Asking, RemoteReflection, identify, key_of
from workbench.prompts import reflection_text
from workbench.recipes.execute import prepare_run
from workbench.recipes.remote import PROBE_STATES, Answers, endpoint_of
from workbench.recipes.session import open_session
from workbench.records import Reflection, Turn
from workbench.rollout.play import Situation
from workbench.seeding import generator
from workbench.store.files import read_lines
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import Run

BARE = Asking(chat=False, max_words=20, shorten=lambda text: text)
LITTLE = ("sft_policy.max_steps=2", "rl.max_steps=4", "rl.trajectories_per_update=4", "rl.eval_steps=0", "evaluation.trajectories=8")


def advice(messages):
    """What a warmed-up player would say of the chain."""
    return "I am on the way, so I go right." if "@" in messages[-1]["content"] else "Where am I?"


def situations(*places):
    return [Situation("Walk.", f"at {place} @", None, generator(0, place)) for place in places]


@dataclass
class Notebook:
    """Keeps answers in memory; ``on_check`` is what a look at the server finds."""

    kept: dict[str, Reflection] = field(default_factory=dict)
    checks: int = 0
    on_check: Exception | None = None
    wants_stop: bool = False

    def asked(self) -> bool:
        return self.wants_stop

    def keep(self, key: str, reflection: Reflection) -> None:
        self.kept[key] = reflection

    def check(self) -> None:
        self.checks += 1
        if self.on_check:
            raise self.on_check

    def stop(self) -> Exception:
        return RunStopped("reflection", 0)


def player(server, notebook, *, greedy=True, asking=BARE, memo=None, check_seconds=1e6, **settings):
    quick = {"timeout_seconds": 2.0, "max_backoff_seconds": 0.02, "max_retries": 30, "temperature": 0.0, "max_tokens": 12}
    config = EndpointConfig.model_validate({"base_url": server.base_url, "model": "m", **quick, **settings})
    endpoint = Endpoint(config, bare=not asking.chat)
    return RemoteReflection(
        endpoint, asking, greedy=greedy, keeper=notebook, memo={} if memo is None else memo, check_seconds=check_seconds
    )


# One player -----------------------------------------------------------------------------------------------


def test_the_bare_prompt_is_the_one_of_the_warm_up_and_is_asked_once():
    notebook = Notebook()
    with serving(FaultyServer(advice)) as server:
        asked = player(server, notebook)
        first = asked.reflect(situations(1, 2, 1, 1))
        again = asked.reflect(situations(2, 3))
    prompts = [reflection_text("Walk.", f"at {place} @") for place in (1, 2, 3)]
    assert server.answered == Counter({f'[{{"role": "user", "content": "{text}"}}]'.replace("\n", "\\n"): 1 for text in prompts})
    assert server.seen[0] == {"model": "m", "prompt": server.seen[0]["prompt"], "max_tokens": 12, "temperature": 0.0}
    assert first == [Reflection(text="I am on the way, so I go right.")] * 4 and again == first[:2]
    assert len(notebook.kept) == 3 and notebook.checks == 0 and asked.questions_sent == 3


def test_what_was_answered_before_is_not_asked():
    key = key_of(BARE.question("Walk.", "at 7 @"))
    with serving(FaultyServer(advice)) as server:
        assert player(server, Notebook(), memo={key: Reflection(text="left")}).reflect(situations(7)) == [Reflection(text="left")]
        assert server.seen == []


def test_many_are_asked_at_once():
    with serving(FaultyServer(advice, delay=0.1)) as server:
        player(server, Notebook(), concurrency=8).reflect(situations(*range(16)))
        assert 2 <= server.most_under_way <= 8


def test_a_player_that_samples_is_asked_every_time():
    notebook = Notebook()
    with serving(FaultyServer(advice)) as server:
        asked = player(server, notebook, greedy=False, temperature=0.9)
        asked.reflect(situations(1, 1))
        asked.reflect(situations(1))
        assert len(server.seen) == 3 and server.seen[0]["temperature"] == 0.9
    assert notebook.kept == {}


def test_a_chat_model_is_instructed_and_its_answer_is_made_to_fit():
    short = Asking(chat=True, max_words=20, shorten=lambda text: text[:6])
    with serving(FaultyServer(lambda messages: "<think>hm</think> Go right.\n# Choose:\n1")) as server:
        (found,) = player(server, Notebook(), asking=short).reflect(situations(1))
        assert [one["role"] for one in server.seen[0]["messages"]] == ["system", "user"]
        assert "at most 20 words" in server.seen[0]["messages"][1]["content"]
    assert found == Reflection(text="Go rig", finished=False)


def test_a_restart_is_outlived_and_looked_into_before_anything_is_kept():
    class Looking(Notebook):
        def check(self) -> None:
            assert not self.kept, "nothing counts before it is known who answered"
            super().check()

    notebook = Looking()
    with serving(FaultyServer(advice, script=[(503, {}), (500, {}), (502, {}), (503, {}), (429, {})])) as server:
        found = player(server, notebook, concurrency=4).reflect(situations(*range(6)))
    assert notebook.checks == 1 and len(notebook.kept) == len(found) == 6


def test_another_model_after_a_restart_leaves_nothing_behind():
    notebook = Notebook(on_check=EndpointError("another one"))
    with serving(FaultyServer(advice, script=[(503, {})])) as server, pytest.raises(EndpointError, match="another one"):
        player(server, notebook, concurrency=1).reflect(situations(1, 2))
    assert notebook.kept == {}


def test_the_probe_is_asked_again_after_a_while():
    notebook = Notebook()
    with serving(FaultyServer(advice)) as server:
        asked = player(server, notebook, check_seconds=0.01)
        time.sleep(0.02)
        asked.reflect(situations(1))
        asked.reflect(situations(1))
    assert notebook.checks == 1, "only where something is asked"


def test_a_stop_is_heard_while_the_server_is_down_and_only_then():
    with serving(FaultyServer(advice)) as server:
        assert player(server, Notebook(wants_stop=True)).reflect(situations(1)), "it answers: nobody gives up"
        server.down = True
        with pytest.raises(RunStopped):
            player(server, Notebook(wants_stop=True), max_retries=100, max_backoff_seconds=60).reflect(situations(1))


def test_a_server_that_stays_away_is_told_in_one_line():
    with serving(FaultyServer(advice)) as server:
        server.down = True
        with pytest.raises(EndpointError) as caught:
            player(server, Notebook(), max_retries=1).reflect(situations(1))
    assert "left 1 of 1 reflections unanswered after 2 tries each" in str(caught.value) and "\n" not in str(caught.value)


def test_the_identity_is_name_revision_and_answers():
    questions = [BARE.question("Walk.", f"at {place} @") for place in range(3)]
    with serving(FaultyServer(advice)) as server:
        one = identify(player(server, Notebook(), model="gpt@abc123").endpoint, questions)
        same = identify(player(server, Notebook(), model="gpt@abc123").endpoint, questions)
        server.answer = lambda messages: "I go left."
        other = identify(player(server, Notebook(), model="gpt@abc123").endpoint, questions)
    assert one == same and one is not None and other is not None
    assert (one.model, one.revision, one.prompt_tokens) == ("gpt", "abc123", 300)
    assert other.probe != one.probe and len(one.probe) == 16


# Whole runs -----------------------------------------------------------------------------------------------


def remote_config(server: FaultyServer, *more: str) -> RunConfig:
    endpoint = (f"base_url={server.base_url}", "model=m", "timeout_seconds=5", "max_backoff_seconds=0.05", "max_retries=100")
    return short_config(*LITTLE, "reflection.kind=endpoint", *(f"reflection.endpoint.{one}" for one in endpoint), *more)


def events(paths: RunPaths, kind: str) -> list[dict[str, object]]:
    return [line for line in read_lines(paths.events) if line["kind"] == kind]


def turns(paths: RunPaths, *, phase: str | None = None) -> list[Turn]:
    run = Run(paths)
    listed = run.trajectories(phase=phase)["trajectory_id"]
    return [turn for name in listed for turn in run.trajectory(name).turns]


def test_a_run_asks_each_prompt_once_and_notes_who_answered(tmp_path):
    with serving(FaultyServer(advice)) as server:
        paths = run_config(tmp_path, remote_config(server))
    assert Run(paths).status()["state"] == "finished"
    kept = [line for line in read_lines(paths.reflections) if line["kind"] == "answer"]
    assert 3 <= len(kept) == len({line["key"] for line in kept}) <= 5, "positions 1 to 4 of the chain"
    probing = 2 * PROBE_STATES  # before learning and before judging
    assert len(server.seen) == 1 + probing + len(kept), "once before the run began, too"
    told = events(paths, "reflection-model")
    assert (
        len(told) == 2 and told[0]["model"] == "m" and told[0]["probe"] == told[1]["probe"] and server.base_url in str(told[0]["message"])
    )
    assert "is another than the server's (the probe is" in str(told[0]["message"]), "100 tokens a prompt, it says"
    assert events(paths, "phase")[0]["message"] == "generate begins" and not (paths.checkpoints / "sft-reflection").exists()
    said = {(turn.reflection.text, turn.reflection.suggested_command) for turn in turns(paths)}
    assert said == {("I am on the way, so I go right.", "right")}


def test_a_run_outlives_two_restarts_and_asks_again_for_nothing(tmp_path):
    with serving(FaultyServer(advice, delay=0.02)) as server:
        paths = prepare_run(tmp_path, remote_config(server, "reflection.endpoint.check_seconds=0.001"))
        server.script = [(200, {}), (503, {}), (503, {})] * 2  # 200 with no completion in it, then not ready
        carry_on(paths)
        assert server.met == Counter({"200": 2, "503": 4})
    assert Run(paths).status()["state"] == "finished"
    keys = [line["key"] for line in read_lines(paths.reflections) if line["kind"] == "answer"]
    assert len(keys) == len(set(keys)) >= 3
    assert len([line for line in read_lines(paths.reflections) if line["kind"] == "model"]) == 1


def test_another_model_is_refused_at_a_resume_until_somebody_accepts_it(tmp_path, capsys):
    with serving(FaultyServer(advice)) as server:
        paths = prepare_run(tmp_path, remote_config(server, "rl.max_steps=400", "rl.save_steps=1"))

        def stop() -> None:
            while not (paths.metrics.exists() and b'"rl"' in paths.metrics.read_bytes()):
                time.sleep(0.02)
            paths.stop.touch()

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(RunStopped):
            carry_on(paths)
        stopping.join()
        paths.config.write_text(paths.config.read_text().replace("max_steps: 400", "max_steps: 6"))
        server.answer = lambda messages: "I am elsewhere, so I go left."
        capsys.readouterr()
        assert main(["resume", paths.run_id, "--runs-dir", str(tmp_path), "--quiet"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "has changed: this run began with m, probe " in error
        assert f"`workbench resume {paths.run_id} --set reflection.endpoint.on_change=warn`" in error
        assert Run(paths).status()["state"] == "failed"
        accept = ["--set", "reflection.endpoint.on_change=warn"]
        assert main(["resume", paths.run_id, "--runs-dir", str(tmp_path), "--quiet", *accept]) == 0, capsys.readouterr().err
    assert load_config(paths.config).reflection.endpoint.on_change == "warn"
    assert any("has changed" in str(line["message"]) for line in events(paths, "warning"))
    probes = [line["probe"] for line in read_lines(paths.reflections) if line["kind"] == "model"]
    assert len(set(probes)) == len(probes) == 2
    assert {turn.reflection.text for turn in turns(paths, phase="evaluate")} == {"I am elsewhere, so I go left."}


# Bad input ------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_told_before_a_run_exists(tmp_path, capsys):
    with serving(FaultyServer(advice)) as server:
        address = server.base_url
    given = ["reflection.kind=endpoint", f"reflection.endpoint.base_url={address}", "reflection.endpoint.model=m"]
    arguments = [word for one in given for word in ("--set", one)]
    assert main(["train", "taxi-smoke", *arguments, "--runs-dir", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert (
        error.count("\n") == 1
        and f"{address} does not answer (the connection broke" in error
        and "`workbench serve RUN` tells how" in error
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["reflection.kind=endpoint"], "reflection: kind=endpoint needs reflection.endpoint.model"),
        (["reflection.endpoint.base_url=http://me:word@host/v1"], "reflection.endpoint.base_url: must hold no user, password"),
        (["reflection.endpoint.interface=telnet"], "reflection.endpoint.interface: Input should be 'completions' or 'chat'"),
        (
            ["reflection={kind: endpoint, decoding: sample, temperature: 3, endpoint: {model: m}}"],
            "reflection: kind=endpoint takes temperatures up to 2, found reflection.temperature=3",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        apply_overrides(RunConfig(), settings)
    assert message in str(caught.value) and "me:word" not in str(caught.value)


def test_the_probe_is_greedy_where_the_player_samples(tmp_path):
    with serving(FaultyServer(advice)) as server:
        sampled = ("reflection.decoding=sample", "reflection.temperature=0.7", "rl.max_steps=1", "evaluation.trajectories=2")
        paths = run_config(tmp_path, remote_config(server, *sampled))
    temperatures = [one["temperature"] for one in server.seen]
    probing = 2 * PROBE_STATES
    assert temperatures.count(0.0) == probing and temperatures[0] == 0.7 and set(temperatures) == {0.0, 0.7}
    assert [line["kind"] for line in read_lines(paths.reflections)] == ["model"], "answers that are not a function are not kept"


def test_who_only_looks_notices_a_change_and_writes_nothing(tmp_path):
    with serving(FaultyServer(advice)) as server:
        config = remote_config(server)
        session = open_session(create_run(tmp_path, config))
        answers = Answers(session, endpoint_of(config, temperature=0.0), [BARE.question("Walk.", "at 1 @")], policy_tokens=None)
        answers.check()
        answers.check()
        server.answer = lambda messages: "I go left."
        with pytest.raises(EndpointError, match="has changed: this run began with m, probe"):
            answers.check()
    assert not session.paths.reflections.exists() and not session.paths.events.exists()
