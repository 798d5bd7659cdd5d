"""The page Launch: a form from the schema, devices, the check, the queue."""

import os
import shlex
from datetime import UTC, datetime

import pytest

from tests.app_pages import shown, words
from tests.app_runs import make_run
from workbench.cli import _parser
from workbench.config import RunConfig, apply_overrides, load_preset, preset_names
from workbench.dashboard import form, launch, links
from workbench.errors import ConfigError
from workbench.jobs import launch as jobs_launch
from workbench.jobs import preparing
from workbench.jobs.devices import gpu_devices
from workbench.jobs.gpus import parsed
from workbench.jobs.waiting import is_first, queue
from workbench.recipes.arguments import config_of
from workbench.store.files import now
from workbench.store.layout import create_run
from workbench.store.pace import expected_seconds, phase_seconds
from workbench.store.reader import list_runs
from workbench.store.status import process_identity, write_status

OLD = "2026-01-01T00:00:01.000+00:00"

pytestmark = pytest.mark.usefixtures("root")


def test_the_form_has_every_setting_of_the_schema_and_leaves_a_preset_as_it_is():
    keys = [setting.key for setting in form.settings()]
    leaves = []

    def walk(values, schema, prefix=""):
        for name, value in values.items():
            inner = schema.model_fields[name].annotation
            if hasattr(inner, "model_fields"):
                walk(value, inner, f"{prefix}{name}.")
            else:
                leaves.append(f"{prefix}{name}")

    walk(RunConfig().model_dump(), RunConfig)
    assert set(leaves) - set(keys) == {"preset", "description"}
    test = shown("launch")
    assert "Nothing is changed from the preset." in words(test)
    assert "workbench train taxi-quickstart" in words(test)


@pytest.mark.parametrize("name", preset_names())
def test_the_command_line_gives_exactly_the_form(name):
    base = load_preset(name)
    wanted = apply_overrides(base, ["rl.learning_rate=1e-5", "seed=7", "env.options.horizon=9", "policy.max_prompt_tokens=64"])
    arguments = _parser().parse_args(shlex.split(launch.command_line(base, wanted, None))[1:])
    assert config_of(arguments) == wanted


@pytest.mark.parametrize("value", [None, "null", "true", "1e-3", "a: b", "", 1e-7, 3, True, ["a", "b"], {"x": {"y": [1]}}])
def test_any_value_comes_back_from_the_command_line(value):
    config = apply_overrides(RunConfig(), [f"env.options={form.written({'x': value})}"])
    assert config.env.options == {"x": value}


def test_ranges_come_from_the_schema():
    by_key = {setting.key: setting.info for setting in form.settings()}
    assert form.bounds(by_key["data.validation_share"]) == (0, 0.5)
    assert form.bounds(by_key["rl.max_steps"]) == (1, None)
    assert form.bounds(by_key["env.name"]) == (None, None)


def test_a_change_shows_in_the_command_line_and_a_bad_one_in_words():
    test = shown("launch")
    test.number_input(key="launch:taxi-quickstart:None:rl.max_steps").set_value(7).run()
    assert "--set rl.max_steps=7" in words(test)
    test.number_input(key="launch:taxi-quickstart:None:policy.tiny.n_head").set_value(7).run()
    assert "not a multiple of n_head=7" in words(test)
    assert not [button for button in test.button if button.key == "launch"]


def test_the_button_waits_for_a_check_of_exactly_these_settings(monkeypatch):
    started = []
    monkeypatch.setattr(preparing, "checks", lambda config, root: [preparing.Check("memory", True, "fits")])

    def submit(config, root, parent):
        started.append((config, parent))
        return "x"

    monkeypatch.setattr(jobs_launch, "submit", submit)
    monkeypatch.setattr(links, "go", lambda name, **parameters: None)
    test = shown("launch")
    assert test.button(key="launch").disabled
    test.button(key="check").click().run()
    assert not test.button(key="launch").disabled
    test.number_input(key="launch:taxi-quickstart:None:rl.max_steps").set_value(8).run()
    assert test.button(key="launch").disabled
    test.button(key="check").click().run()
    test.button(key="launch").click().run()
    assert [(config.rl.max_steps, parent) for config, parent in started] == [(8, None)]


def test_a_failed_check_keeps_the_button_off_and_says_why(monkeypatch):
    def refuse(config, root):
        raise ConfigError("no such model")

    monkeypatch.setattr(preparing, "checks", refuse)
    test = shown("launch")
    test.button(key="check").click().run()
    assert "no such model" in words(test)
    assert test.button(key="launch").disabled


def test_players_of_another_kind_of_run_are_refused(root):
    paths = make_run(root, updates=1, config=load_preset("taxi-smoke"))
    checkpoint = paths.checkpoints / "rl" / "000001"
    (checkpoint / "policy").mkdir(parents=True)
    (checkpoint / "manifest.json").write_text("{}")
    test = shown("launch", preset="household-smoke", parent=paths.run_id)
    assert "env.name is household, but the run with the players has taxi" in words(test)
    test = shown("launch", preset="taxi-smoke", parent=paths.run_id)
    assert f"--from {paths.run_id}" in words(test)
    assert "phases" not in next(element.value for element in test.code)


def test_graphics_cards_are_offered_with_what_is_free():
    text = '0, NVIDIA H200, 7, 1024, 143771\n1, Odd, 2, 1, [N/A]\n2, Mute, 2, [N/A], 9\n3, "A, B", [N/A], 200, 100\n'
    first, second = gpu_devices(parsed(text))
    assert (first.name, first.memory_bytes, first.free_bytes, first.load) == ("cuda:0", 143771 * 2**20, (143771 - 1024) * 2**20, 0.07)
    assert (second.name, second.title, second.free_bytes, second.load) == ("cuda:3", "A, B", 0, None)


def _waiting(root, device, since):
    paths = create_run(root, RunConfig())
    write_status(paths.status, {"state": "queued", "heartbeat": now(), "device": device, "queued_since": since, **process_identity()})
    return paths.run_id


def test_who_came_first_is_first_and_each_device_has_its_own_queue(root):
    later = _waiting(root, "cpu", "2026-01-01T00:00:02.000+00:00")
    first = _waiting(root, "cpu", "2026-01-01T00:00:01.000+00:00")
    other = _waiting(root, "cuda:0", "2026-01-01T00:00:03.000+00:00")
    starting = create_run(root, RunConfig()).run_id
    assert {one.run: one.position for one in queue(root)} == {first: 1, later: 2, other: 1, starting: None}
    assert is_first(root, first, "cpu") and is_first(root, other, "cuda:0")
    assert not is_first(root, later, "cpu")
    test = shown("launch")
    assert f"number 2 in the queue of cpu   {later}" in words(test)
    test.button(key=f"cancel_{first}").click().run()
    assert (root / first / "stop").exists()


def test_a_run_whose_process_is_gone_holds_nobody_up(root):
    dead = _waiting(root, "cpu", "2026-01-01T00:00:01.000+00:00")
    gone = {"state": "queued", "heartbeat": OLD, "device": "cpu", "queued_since": OLD, "pid": 2**22 + 1}
    write_status(root / dead / "status.json", gone)
    second = _waiting(root, "cpu", "2026-01-01T00:00:02.000+00:00")
    assert is_first(root, second, "cpu")
    assert [one.run for one in queue(root)] == [second]


def test_time_is_judged_by_a_finished_run_of_the_same_kind(root):
    paths = make_run(root, updates=30)
    config = RunConfig.model_validate(apply_overrides(RunConfig(), ["preset=taxi-smoke", "rl.max_steps=60", "phases=[rl]"]).model_dump())
    status = {"state": "finished", "heartbeat": datetime.now(UTC).isoformat(), "device": "cpu"}
    write_status(paths.status, status)
    guess = expected_seconds(config, "cpu", list_runs(root))
    assert guess is not None and guess.run == paths.run_id
    half = expected_seconds(apply_overrides(config, ["rl.max_steps=30"]), "cpu", list_runs(root))
    assert half is not None and guess.seconds == pytest.approx(2 * half.seconds)
    assert expected_seconds(config, "cuda:0", list_runs(root)) is None
    assert expected_seconds(apply_overrides(config, ["env.name=household"]), "cpu", list_runs(root)) is None


def test_nobody_knows_how_long_worked_solutions_take(root):
    solver = RunConfig(recipe="rlmec")
    paths = create_run(root, solver)
    write_status(paths.status, {"state": "finished", "heartbeat": now(), "device": "cpu"})
    make_run(root, updates=1)
    assert expected_seconds(solver, "cpu", list_runs(root)) is None


def test_seconds_of_a_phase_are_between_the_lines():
    lines: list[dict[str, object]] = [
        {"phase": "generate", "time": "2026-01-01T00:00:10+00:00", "time/generate_seconds": 9.0},
        {"phase": "rl", "time": "2026-01-01T00:00:14+00:00"},
        {"phase": "rl", "time": "2026-01-01T00:00:20+00:00"},
        {"phase": "rl", "time": "nonsense"},
    ]
    assert phase_seconds(lines) == {"generate": 9.0, "rl": 10.0}


@pytest.mark.slow
def test_the_check_finds_what_holds_and_what_does_not(root):
    good = preparing.checks(apply_overrides(load_preset("taxi-smoke"), ["device.device=cpu"]), root)
    assert len(good) == 3 and all(check.ok for check in good)
    bad = preparing.checks(apply_overrides(load_preset("taxi-smoke"), ["policy.model=/none/such"]), root)
    assert [check.ok for check in bad] == [False] and "/none/such" in bad[0].found
    assert os.listdir(root) == []
