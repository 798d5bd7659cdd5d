"""A run whose reflection player is on a real `transformers serve`, killed and started again twice."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from transformers.utils.import_utils import is_serve_available

from tests.small_runs import carry_on, run_config, short_config
from tests.test_teachers_serving import START_SECONDS, healthy
from workbench.config import load_config
from workbench.recipes.execute import prepare_run
from workbench.recipes.serve import export_reflection_player
from workbench.store.files import read_lines
from workbench.store.layout import RunPaths
from workbench.store.reader import Run


class Server:
    """`transformers serve` on a port that stays the same when it is killed and started again."""

    def __init__(self, model: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.model, self.log, self.starts = model, log, 0
        self.base_url = f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(self.model)]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--device", "cpu"]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.starts += 1
        patience = time.monotonic() + START_SECONDS
        while not healthy(self.port):
            assert self.process.poll() is None and time.monotonic() < patience, self.log.read_text(encoding="utf-8", errors="replace")
            time.sleep(0.2)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def served(model: Path, log: Path) -> Iterator[Server]:
    server = Server(model, log)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def updates(paths: RunPaths) -> int:
    return sum(line["phase"] == "rl" for line in read_lines(paths.metrics))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not is_serve_available(), reason="needs transformers[serving]: pip install -e '.[serving]'")
def test_a_run_outlives_two_kills_of_its_server_and_plays_as_with_a_local_player(tmp_path):
    # Warmed up so far that no two tokens are about equally likely: a server computes in another order.
    warmed_up = ("phases=[generate, sft-reflection, sft-policy]", "sft_reflection.max_steps=80")
    parent = run_config(tmp_path / "runs", short_config(*warmed_up))
    model = export_reflection_player(parent)
    # A player that samples is asked at every turn, so that a server that is away is missed at once.
    sampled = ("phases=[rl, evaluate]", "reflection.decoding=sample", "rl.max_steps=8", "rl.trajectories_per_update=4", "rl.eval_steps=0")
    judged = "evaluation.trajectories=60"
    with served(model, tmp_path / "server.log") as server:
        waits = ("max_retries=100", "max_backoff_seconds=2", "timeout_seconds=300", "concurrency=2")
        there = (f"base_url={server.base_url}", f"model={model}", *waits)
        settings = ("reflection.kind=endpoint", *(f"reflection.endpoint.{one}" for one in there))
        paths = prepare_run(tmp_path / "runs", short_config(*sampled, judged, *settings), parent=parent)

        def kill_twice() -> None:
            for update in (2, 5):
                while updates(paths) < update:
                    time.sleep(0.05)
                server.kill()
                server.start()

        killer = threading.Thread(target=kill_twice, daemon=True)
        killer.start()
        carry_on(paths)
        killer.join(timeout=START_SECONDS)
        assert server.starts == 3 and Run(paths).status()["state"] == "finished" and updates(paths) == 8

        # A greedy player says there what it says here: the same run, number for number.
        greedy = ("phases=[rl, evaluate]", "rl.max_steps=4", "evaluation.trajectories=200")
        remote = carry_on(prepare_run(tmp_path / "runs", short_config(*greedy, *settings), parent=parent))
    local = carry_on(prepare_run(tmp_path / "runs", short_config(*greedy), parent=parent))
    assert len([line for line in read_lines(paths.reflections) if line["kind"] == "model"]) == 1, "the same model each time"
    here, there_too = (Run(one).evaluations().iloc[-1] for one in (local, remote))
    assert there_too["low"] <= here["high"] and here["low"] <= there_too["high"]
    said = {line["text"] for line in read_lines(remote.reflections) if line["kind"] == "answer"}
    listed = Run(local).trajectories(phase="evaluate")["trajectory_id"]
    assert said and {turn.reflection.text for one in listed for turn in Run(local).trajectory(one).turns} <= said
    assert load_config(remote.config).reflection.kind == "endpoint"
