"""Trackers hear what the writer writes; a broken one never harms a run."""

import importlib.util
import math
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.small_runs import carry_on, lines, short_config
from workbench.cli import main
from workbench.config import RunConfig, apply_overrides, load_config
from workbench.errors import ConfigError, WorkbenchError
from workbench.recipes import preflight, tracking
from workbench.recipes.execute import prepare_run
from workbench.recipes.tracking import Mirror, mirrored
from workbench.store.files import read_lines
from workbench.store.layout import RunPaths, create_run
from workbench.store.reader import Run
from workbench.store.writer import RunWriter

START_SECONDS = 900  # on a busy machine importing alone takes minutes


@dataclass
class Heard:
    """A tracker that remembers, and breaks when told to."""

    breaks_at: int = 10**9
    logged: list[tuple[dict[str, float], int | None]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    finished: bool = False

    def start(self) -> None:
        if self.breaks_at < 0:
            raise OSError("nobody answers\nat that address")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.settings = values

    def log(self, values: dict[str, float], step: int | None = None) -> None:
        if len(self.logged) >= self.breaks_at:
            raise ConnectionError("the server\nwent away")
        self.logged.append((values, step))

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def heard(monkeypatch):
    """What each tracker heard; all are installed."""
    found: dict[str, Heard] = {name: Heard() for name in ("tensorboard", "mlflow", "wandb", "trackio")}
    monkeypatch.setattr(tracking, "_tracker", lambda name, config, paths: found[name])
    for module in (tracking, preflight):
        monkeypatch.setattr(module, "check_trackers", lambda settings: None)
    return found


def fresh(tmp_path, *overrides: str) -> tuple[RunConfig, RunPaths, RunWriter]:
    config = short_config(*overrides)
    paths = create_run(tmp_path, config)
    return config, paths, RunWriter(paths)


def test_numbers_are_heard_under_their_phase_and_update(tmp_path, heard):
    config, paths, writer = fresh(tmp_path, "tracking.report_to=[mlflow, wandb]")
    with mirrored(config, paths, writer):
        writer.metrics("rl", 3, {"success/rate": 0.5, "loss/policy": math.nan})
        writer.evaluation({"phase": "rl", "update": 3, "stage": "long", "success_rate": 0.25, "low": 0.0})
        assert not heard["mlflow"].finished
    writer.metrics("rl", 4, {"success/rate": 1.0})  # nobody listens any more
    rate, evaluated = {"rl/success/rate": 0.5}, {"evaluation/rl/success_rate": 0.25, "evaluation/rl/low": 0.0}
    assert heard["mlflow"].logged == [(rate, 3), (evaluated, 3)]
    own = [(rate | {"rl/update": 3}, None), (evaluated | {"evaluation/rl/update": 3}, None)]
    assert heard["wandb"].logged == own, "its steps may only grow, and every phase begins at 1"
    assert heard["mlflow"].finished and heard["wandb"].finished and not heard["trackio"].logged
    assert heard["mlflow"].settings["rl.max_steps"] == 6 and heard["mlflow"].settings["phases"].startswith("['generate'")
    assert len(lines(paths.metrics)) == 2 and len(lines(paths.evaluations)) == 1


def test_settings_are_told_once(tmp_path, heard):
    config, paths, writer = fresh(tmp_path, "tracking.report_to=[mlflow]")
    writer.metrics("rl", 1, {"success/rate": 0.5})
    with mirrored(config, paths, RunWriter(paths)):
        assert heard["mlflow"].settings == {}


def test_a_tracker_that_breaks_is_left_out_and_the_others_go_on(tmp_path, heard):
    heard["mlflow"].breaks_at = 1
    config, paths, writer = fresh(tmp_path, "tracking.report_to=[mlflow, trackio]")
    with mirrored(config, paths, writer):
        for update in (1, 2, 3):
            writer.metrics("rl", update, {"success/rate": 0.5})
    assert len(heard["mlflow"].logged) == 1 and len(heard["trackio"].logged) == 3
    (event,) = [line for line in read_lines(paths.events) if line["kind"] == "warning"]
    told = "mlflow is not told any more: ConnectionError: the server went away; the run folder has everything"
    assert event["message"] == told and len(lines(paths.metrics)) == 3


def test_a_run_tells_its_trackers_what_it_writes(tmp_path, heard):
    paths = carry_on(prepare_run(tmp_path, short_config("phases=[generate]", "tracking.report_to=[tensorboard]")))
    (line,) = lines(paths.metrics)
    (values, step) = heard["tensorboard"].logged[0]
    assert step == 1 and values["generate/data/examples"] == line["data/examples"] and heard["tensorboard"].finished
    assert Run(paths).status()["state"] == "finished"


def test_a_tracker_that_cannot_be_opened_ends_the_run_in_one_line(tmp_path, heard):
    heard["wandb"].breaks_at = -1
    paths = prepare_run(tmp_path, short_config("phases=[generate]", "tracking.report_to=[mlflow, wandb]"))
    with pytest.raises(WorkbenchError) as caught:
        carry_on(paths)
    message = "wandb cannot be opened: OSError: nobody answers at that address; mend that, or leave it out of tracking.report_to"
    assert str(caught.value) == message == Run(paths).status()["error"]
    assert heard["mlflow"].finished, "the one that was open is closed"


def test_closing_a_broken_tracker_harms_nothing(tmp_path):
    _, paths, writer = fresh(tmp_path)
    mirror = Mirror(writer)
    mirror.trackers["mlflow"] = object()
    mirror.close()
    assert "mlflow is not told any more" in str(read_lines(paths.events)[-1]["message"])


# The command line and what is refused ---------------------------------------------------------------------


def test_a_tracker_that_is_not_installed_is_refused_with_the_extra_named(tmp_path, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "wandb" else found(name, *rest))
    root = tmp_path / "runs"
    assert main(["train", "taxi-smoke", "--report-to", "wandb", "--runs-dir", str(root)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "names wandb, which is not installed; pip install -e '.[trackers]'" in error
    assert not root.exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("tracking.report_to=[tensorbord]", "tracking.report_to.0: Input should be 'tensorboard', 'mlflow', 'wandb' or 'trackio'"),
        ("tracking.report_to=[mlflow, mlflow]", "tracking.report_to: names a tracker twice: mlflow, mlflow"),
        ("tracking.project='../x'", "tracking.project: String should match pattern"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, message):
    with pytest.raises(ConfigError) as caught:
        apply_overrides(RunConfig(), [setting])
    assert message in str(caught.value)


def test_a_resume_may_tell_another_tracker(tmp_path, heard, capsys):
    paths = prepare_run(tmp_path, short_config("phases=[generate]"))
    assert main(["resume", paths.run_id, "--runs-dir", str(tmp_path), "--quiet", "--report-to", "mlflow, trackio"]) == 0
    assert load_config(paths.config).tracking.report_to == ["mlflow", "trackio"]
    assert heard["mlflow"].logged and heard["trackio"].logged, capsys.readouterr().err


# Real ones ------------------------------------------------------------------------------------------------


def test_tensorboard_reads_a_run(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra trackers")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config, paths, writer = fresh(tmp_path, "tracking.report_to=[tensorboard]")
    with mirrored(config, paths, writer):
        for update in (1, 2):
            writer.metrics("rl", update, {"success/rate": update / 4})
    with mirrored(config, paths, RunWriter(paths)):  # another attempt
        RunWriter(paths)
    written = EventAccumulator(str(paths.folder / "tensorboard"))
    written.Reload()
    assert [(one.step, one.value) for one in written.Scalars("rl/success/rate")] == [(1, 0.25), (2, 0.5)]


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_an_mlflow_server_receives_a_real_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="needs the extra trackers")
    pytest.importorskip("flask", reason="MLflow's server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}", "--default-artifact-root", str(tmp_path / "artifacts")]
    with (tmp_path / "server.log").open("wb") as out:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=tmp_path, start_new_session=True)
        try:
            patience = time.monotonic() + START_SECONDS
            while not _answers(port):
                assert server.poll() is None and time.monotonic() < patience, (tmp_path / "server.log").read_text(errors="replace")
                time.sleep(0.5)
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            mlflow.set_tracking_uri(address)
            config = short_config("rl.max_steps=3", "evaluation.trajectories=8", "tracking.report_to=[mlflow]")
            paths = carry_on(prepare_run(tmp_path / "runs", config))
            client = mlflow.MlflowClient(address)
            (run,) = client.search_runs([client.get_experiment_by_name(config.tracking.project).experiment_id])
            assert run.data.tags["workbench.run"] == paths.run_id == run.info.run_name and run.info.status == "FINISHED"
            assert run.data.params["rl.max_steps"] == "3"
            heard = {one.step: one.value for one in client.get_metric_history(run.info.run_id, "rl/success/rate")}
            assert heard == {line["update"]: line["success/rate"] for line in lines(paths.metrics) if line["phase"] == "rl"}
            with mirrored(config, paths, RunWriter(paths)):  # another attempt is the same run there
                pass
            assert len(client.search_runs([run.info.experiment_id])) == 1
        finally:
            os.killpg(server.pid, 15)
            server.wait(timeout=60)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False
