"""A run whose data comes from an outside teacher: its budget, its stop, and what a resume may change."""

import threading
import time
from pathlib import Path

import pytest

from tests.faulty_server import FaultyServer, serving
from tests.small_runs import short_config
from workbench.cli import main
from workbench.config import dump_config, load_config
from workbench.data.answers import ANSWERS_FILE
from workbench.data.sets import CARD_FILE, read_examples
from workbench.store.layout import RunPaths, find_run
from workbench.store.reader import Run

TEACHER = ("kind=endpoint", "model=good-model", "timeout_seconds=5", "max_backoff_seconds=0.05", "concurrency=4")


class Runs:
    """Calls the command line with a run root of the test's own."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.root, self.capture = root, capture

    def call(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a command."""
        self.capture.readouterr()
        code = main([*arguments, "--runs-dir", str(self.root)])
        out, error = self.capture.readouterr()
        return code, out, error

    def train(self, server: FaultyServer, *overrides: str) -> tuple[int, str, str]:
        """Every phase of a short run, taught by ``server``."""
        chosen = [f"data.teacher.{setting}" for setting in (*TEACHER, f"base_url={server.base_url}")]
        file = self.root / "config.yaml"
        self.root.mkdir(exist_ok=True)
        file.write_text(dump_config(short_config("data.trajectories=12", "data.negatives=6", *chosen, *overrides)), encoding="utf-8")
        return self.call("train", "--config", str(file), "--quiet")

    @property
    def only(self) -> RunPaths:
        (folder,) = (path for path in self.root.iterdir() if path.is_dir())
        return find_run(self.root, folder.name)


@pytest.fixture
def runs(tmp_path, capfd):
    return Runs(tmp_path / "runs", capfd)


def asked_once(server: FaultyServer) -> bool:
    return set(server.answered.values()) == {1}


def test_a_run_out_of_budget_goes_on_when_it_is_raised(runs):
    with serving(FaultyServer(lambda messages: f"I go on, {len(messages[-1]['content'])}.")) as server:
        code, _, error = runs.train(server, "data.teacher.budget_tokens=2500")
        assert code == 2 and error.count("\n") == 1
        assert error.startswith("workbench: the budget (budget_tokens=2500) is used up: ")
        assert "`workbench resume RUN --set data.teacher.budget_tokens=…`" in error
        paths = runs.only
        status = Run(paths).status()
        assert status["state"] == "failed" and "is used up" in status["error"]
        kept = (paths.data / ANSWERS_FILE).read_text(encoding="utf-8").splitlines()
        assert 0 < 110 * len(kept) <= 2500
        asked = len(server.seen)

        code, _, error = runs.call("resume", paths.run_id, "--quiet")
        assert code == 2 and error.count("\n") == 1 and "is used up" in error
        assert len(server.seen) == asked, "what was spent is remembered"

        code, out, error = runs.call("resume", paths.run_id, "--quiet", "--set", "data.teacher.budget_tokens=100000")
        assert (code, error) == (0, "") and "success " in out
        assert (paths.data / ANSWERS_FILE).read_text(encoding="utf-8").splitlines()[: len(kept)] == kept
        assert load_config(paths.config).data.teacher.budget_tokens == 100_000
        assert Run(paths).status()["state"] == "finished"
        assert len(server.seen) == sum(server.answered.values()) == len(read_examples(paths.data))


def test_a_stop_ends_a_taught_run_gracefully(runs):
    with serving(FaultyServer(delay=0.05)) as server:

        def stop() -> None:
            while sum(server.answered.values()) < 8:
                time.sleep(0.01)
            runs.only.stop.touch()  # what `workbench stop` and the app's button do

        stopping = threading.Thread(target=stop)
        stopping.start()
        code, out, error = runs.train(server)
        stopping.join()
        paths = runs.only
        assert (code, error) == (0, "") and f"stopped; `workbench resume {paths.run_id}` goes on" in out
        assert Run(paths).status()["state"] == "stopped"
        assert not (paths.data / CARD_FILE).exists()
        kept = len((paths.data / ANSWERS_FILE).read_text(encoding="utf-8").splitlines())
        assert kept == sum(server.answered.values()), "what was under way is kept, too"
        server.delay = 0.0
        code, _, error = runs.call("resume", paths.run_id, "--quiet")
        assert (code, error) == (0, "")
        assert kept < sum(server.answered.values()) == len(read_examples(paths.data))
        assert Run(paths).status()["state"] == "finished"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rl.learning_rate=1", "--set rl.learning_rate: a begun run keeps its settings, but for data.teacher.* of base_url, "),
        ("data.teacher.model=other", "--set data.teacher.model: a begun run keeps its settings"),
        ("data.teacher.concurrency=0", "data.teacher.concurrency: Input should be greater than or equal to 1, found 0"),
        ("data.teacher.base_url=http://me:pass/word@host/v1", "data.teacher.base_url: must hold no user, password"),
    ],
)
def test_a_resume_that_would_change_results_is_refused(runs, setting, message):
    with serving(FaultyServer()) as server:
        server.down = True
        assert runs.train(server, "data.teacher.max_retries=0")[0] == 2
        before = runs.only.config.read_bytes()
        code, _, error = runs.call("resume", runs.only.run_id, "--set", setting)
    assert code == 2 and error.count("\n") == 1
    assert message in error and "/word" not in error
    assert runs.only.config.read_bytes() == before
