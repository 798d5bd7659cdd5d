"""One request to an endpoint: what is tried again, what is not, how long it waits, and what is never told."""

import time

import pytest

from tests.faulty_server import FAULTS, FaultyServer, serving
from workbench.config import EndpointConfig, RunConfig, apply_overrides
from workbench.errors import ConfigError, EndpointError
from workbench.models import endpoint as client
from workbench.models.completion import seconds as parsed
from workbench.models.endpoint import Completion, Endpoint, Passing
from workbench.models.spending import Spending, estimated_tokens

ASK = [{"role": "user", "content": "The best next command is: right"}]


def endpoint_to(server: FaultyServer, **settings: object) -> Endpoint:
    quick = {"timeout_seconds": 1.0, "max_backoff_seconds": 0.02, "max_retries": 2}
    return Endpoint(EndpointConfig.model_validate({"base_url": server.base_url, "model": "m", **quick, **settings}))


def test_an_answer_and_what_it_took():
    with serving(FaultyServer(lambda messages: "hello")) as server:
        asked = endpoint_to(server)
        assert asked.complete(ASK) == Completion("hello", "stop", 100, 10, estimated=False, tries=1)
        assert server.seen == [{"model": "m", "messages": ASK, "max_tokens": 256, "temperature": 0.7}]
        assert (asked.spending.tokens, asked.spending.answers) == (110, 1)


def test_settings_reach_the_endpoint():
    with serving(FaultyServer()) as server:
        endpoint_to(server, temperature=None, max_tokens=9, max_tokens_field="max_completion_tokens").complete(ASK)
        assert server.seen == [{"model": "m", "messages": ASK, "max_completion_tokens": 9}]


def test_tokens_are_estimated_where_no_usage_is_told():
    with serving(FaultyServer(lambda messages: "hello", usage=False)) as server:
        found = endpoint_to(server).complete(ASK)
    assert found.estimated
    assert (found.prompt_tokens, found.completion_tokens) == (estimated_tokens(ASK), estimated_tokens([{"content": "hello"}])) == (15, 6)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "hang"])
def test_passing_faults_are_tried_again_and_end_in_one_line(fault):
    with serving(FaultyServer(fault_rate=1.0, faults=(fault,))) as server:
        with pytest.raises(Passing) as caught:
            endpoint_to(server).complete(ASK)
        assert len(server.seen) == 3, "two further tries"
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
        server.fault_rate = 0.0
        assert endpoint_to(server).complete(ASK).tries == 1


def test_a_slow_answer_is_given_up():
    with serving(FaultyServer(delay=0.6)) as server, pytest.raises(Passing, match=r"no answer within 0.1 seconds"):
        endpoint_to(server, timeout_seconds=0.1, max_retries=0).complete(ASK)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, r"refuses model 'm' \(status 400.*check model, max_tokens_field and temperature"),
        (404, r"refuses model 'm' \(status 404.*check base_url and model"),
        (401, r"asks for a key \(status 401\); the environment variable WORKBENCH_TEST_KEY is set, but its value is not accepted"),
        (307, r"redirects \(status 307\); give the address it leads to as base_url"),
    ],
)
def test_lasting_faults_are_not_tried_again(status, message, monkeypatch):
    monkeypatch.setenv("WORKBENCH_TEST_KEY", "sk-secret")
    with serving(FaultyServer(script=[(status, {"Location": "http://127.0.0.1:9/elsewhere"})])) as server:
        with pytest.raises(EndpointError, match=message) as caught:
            endpoint_to(server, api_key_env="WORKBENCH_TEST_KEY").complete(ASK)
        assert len(server.seen) == 1
        assert not isinstance(caught.value, Passing)
        assert server.keys == {"Bearer sk-secret"} and "sk-secret" not in str(caught.value)


def test_the_endpoint_says_when_to_come_back_and_every_thread_heeds_it():
    with serving(FaultyServer(script=[(429, {"Retry-After": "0.4"})])) as server:
        asked = endpoint_to(server, max_backoff_seconds=5)
        started = time.monotonic()
        assert asked.complete(ASK).tries == 2
        assert 0.4 <= server.times[1] - server.times[0] < 5
        assert asked._not_before >= started + 0.4, "others wait as well"
    with serving(FaultyServer(script=[(429, {"Retry-After": "3600"})])) as server:
        assert endpoint_to(server, max_backoff_seconds=0.05).complete(ASK).tries == 2
        assert server.times[1] - server.times[0] < 5, "never longer than max_backoff_seconds"


def test_an_exhausted_rate_limit_is_waited_for():
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}
    with serving(FaultyServer(script=[(429, headers)])) as server:
        endpoint_to(server, max_backoff_seconds=5).complete(ASK)
        assert server.times[1] - server.times[0] >= 0.3


@pytest.mark.parametrize(("text", "seconds"), [("1.5", 1.5), ("20ms", 0.02), ("6m30s", 390), ("1h", 3600), ("soon", None), ("", None)])
def test_times_in_headers(text, seconds):
    assert parsed(text) == seconds


def test_pauses_grow_and_have_jitter():
    asked = Endpoint(EndpointConfig(model="m", max_backoff_seconds=8))

    class State:
        outcome = None

        def __init__(self, number: int) -> None:
            self.attempt_number = number

    pauses = {number: [asked._pause(State(number), request) for request in range(40)] for number in (1, 3, 9)}  # type: ignore[arg-type]
    for number, longest in ((1, 0.5), (3, 2.0), (9, 8.0)):
        assert all(longest / 2 <= pause <= longest for pause in pauses[number])
        assert len(set(pauses[number])) == 40


def test_an_endless_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 10_000)
    with serving(FaultyServer(lambda messages: "x" * 50_000)) as server, pytest.raises(Passing, match="longer than 10000 bytes"):
        endpoint_to(server, max_retries=0).complete(ASK)


def test_a_closed_endpoint_gives_up_waiting():
    with serving(FaultyServer(fault_rate=1.0, faults=("500",))) as server:
        asked = endpoint_to(server, max_backoff_seconds=60, max_retries=50)
        asked.close()
        started = time.monotonic()
        with pytest.raises(client.Cancelled):
            asked.complete(ASK)
        assert time.monotonic() - started < 10


def test_promises_keep_a_budget_while_many_are_under_way():
    spending = Spending(EndpointConfig(model="m", max_tokens=85, budget_tokens=300))
    assert estimated_tokens(ASK) == 15
    assert [spending.promise(ASK) for _ in range(4)] == [True, True, True, False]
    spending.release(ASK)
    spending.add(15, 20, estimated=False)
    assert not spending.promise(ASK), "35 spent and 200 promised leave 65"
    spending.release(ASK)
    assert spending.promise(ASK)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.teacher.kind=endpoint", "kind=endpoint needs data.teacher.model"),
        ("data.teacher.kind=recorded", "kind=recorded needs data.teacher.recording"),
        ("data.teacher.trajectories=3", "trajectories are for an outside teacher"),
        ("data.teacher.budget_money=3", "budget_money needs price_input or price_output"),
        ("data.teacher.base_url=file:///etc/passwd", "must be an http:// or https:// address"),
        ("data.teacher.base_url=http://host/v1?key=1", "must hold no user, password, query or fragment"),
        ("data.teacher.api_key_env=sk-123", "api_key_env"),
    ],
)
def test_settings_of_a_teacher_that_cannot_work(setting, message):
    with pytest.raises(ConfigError, match=message):
        apply_overrides(RunConfig(), [setting])


@pytest.mark.parametrize(
    "address",
    [
        "http://me:pa55@host/v1",
        "http://me:pa55/word@host/v1",
        "me:pa55@host/v1",
        "ftp://me:pa55@host/v1",
        "http://host:pa55/v1",
        "http://[pa55/v1",
        "http://host/v1?key=pa55",
        "http://host/v1#pa55",
        "{http://me:pa55@host: 1}",
        "[http://me:pa55@host]",
        "http://me:pa55@host/v1: x: y",
    ],
)
def test_a_password_in_an_address_is_not_repeated(address):
    for setting in (f"data.teacher.base_url={address}", f"data.teacher={{kind: endpoint, base_url: '{address}'}}"):
        with pytest.raises(ConfigError) as caught:
            apply_overrides(RunConfig(), [setting])
        assert "pa55" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_key_given_for_its_name_is_not_repeated():
    with pytest.raises(ConfigError, match=r"^--set: data\.teacher\.api_key_env: String should match pattern '[^']*'$"):
        apply_overrides(RunConfig(), ["data.teacher.api_key_env=sk-pa55"])
