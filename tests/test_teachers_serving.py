"""A real OpenAI-compatible server, `transformers serve` with a small model of this machine: as a teacher, then as an agent."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from transformers.utils.import_utils import is_serve_available

from tests.small_models import chat_model_folder
from workbench.cli import main
from workbench.data.answers import ANSWERS_FILE, read_answers
from workbench.data.sets import CARD_FILE, read_examples

START_SECONDS = 600  # on a busy machine importing alone takes minutes


@contextmanager
def transformers_serve(model: Path, log: Path) -> Iterator[str]:
    """The base URL of a server on a free port of this machine; it is stopped when the ``with`` block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--default-seed", "0"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            patience = time.monotonic() + START_SECONDS
            while not healthy(port):
                assert process.poll() is None and time.monotonic() < patience, log.read_text(encoding="utf-8", errors="replace")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def healthy(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not is_serve_available(), reason="needs transformers[serving]: pip install -e '.[serving]'")
def test_a_served_model_teaches_and_plays(tmp_path, capsys):
    model, out = chat_model_folder(tmp_path / "model"), tmp_path / "sets"
    limits = {"max_tokens": 8, "concurrency": 2, "max_retries": 1, "timeout_seconds": 300}
    common = [word for name, value in limits.items() for word in ("--set", f"data.teacher.{name}={value}")]
    with transformers_serve(model, tmp_path / "server.log") as base_url:
        teacher = {"data.teacher.kind": "endpoint", "data.teacher.base_url": base_url, "data.teacher.model": model}
        few = {"data.trajectories": 1, "data.negatives": 2, "env.options.horizon": 8}
        settings = [word for name, value in (teacher | few).items() for word in ("--set", f"{name}={value}")]
        assert main(["generate", "taxi-smoke", "--out", str(out), *common, *settings]) == 0, capsys.readouterr().err
        examples, answers = read_examples(out), read_answers(out / ANSWERS_FILE)
        assert examples and {answer.model for answer in answers} == {str(model)}
        said = {answer.number: answer.text for answer in answers}
        assert len(said) >= len(examples) >= 3
        assert all(answer.prompt_tokens > 50 and 0 < answer.completion_tokens <= 8 and not answer.estimated for answer in answers)
        card = json.loads((out / CARD_FILE).read_text(encoding="utf-8"))
        assert (card["teacher"], card["base_url"], card["answers"]) == ("endpoint", base_url, len(answers))
        assert card["prompt_tokens"] == sum(answer.prompt_tokens for answer in answers)

        capsys.readouterr()
        asked = ["--endpoint", base_url, "--model", str(model), "--preset", "taxi-smoke", "--trajectories", "2", "--json"]
        assert main(["evaluate", *asked, *common, "--set", "env.options.horizon=4"]) == 0, capsys.readouterr().err
        found = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (found["trajectories"], found["api_failures"]) == (2, 0)
        assert found["answers"] >= 4 and found["answers_with_estimated_tokens"] == 0
    assert main(["generate", "taxi-smoke", "--out", str(tmp_path / "late"), *common, *settings]) == 2
    assert "does not answer" in capsys.readouterr().err, "the server is gone"
