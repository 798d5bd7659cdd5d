"""What a newcomer does, in a real browser: look at the recorded run, train one, stop it, resume it, ask its players. ``make test-browser``.

Pictures of the way and of every page go to ``screenshots/``, or where the environment variable SCREENSHOTS says.
"""

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect

from scripts.browser import (
    NO_CHROMIUM,
    PATIENCE_MILLISECONDS,
    PYTORCH_LOADS_WITHIN_MILLISECONDS,
    ROOT,
    WIDTH,
    browser,
    chromium_path,
    new_page,
    picture,
    served_app,
    settle,
)
from scripts.screenshots import load_players, shots, take
from workbench.store.files import read_json
from workbench.store.layout import RunPaths, run_names
from workbench.store.reader import Run
from workbench.store.status import LIVE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1500)]

OTHER_WORDS = "I see the passenger west, so drive west."
EXAMPLE = "taxi-quickstart-example"
PICTURES = Path(os.environ.get("SCREENSHOTS", ROOT / "screenshots"))
_LOOK_AGAIN_SECONDS = 0.02


def _status(paths: RunPaths) -> dict[str, Any]:
    return read_json(paths.status) or {}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    yield folder
    names = set(run_names(folder))
    for process in psutil.process_iter(["cmdline"]):  # a journey that broke off leaves no training behind
        if names & set(process.info["cmdline"] or ()):
            process.kill()


@pytest.fixture
def opened():
    if chromium_path() is None:
        pytest.skip(NO_CHROMIUM)
    with browser() as started:
        yield started


def test_a_newcomers_journey(opened, root, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with served_app(root) as address:
        page = new_page(opened)
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        page.goto(address)
        _look_at_the_recorded_run(page)
        _step_by_key_and_follow_a_permalink(page)
        name = _start(page, root)
        paths = RunPaths(root / name)
        _watch_stop_and_resume(page, paths)
        _edit_a_reflection(page, paths)
        child = _launch_from_its_players(page, address, root, name)
        assert _status(paths)["state"] == _status(RunPaths(root / child))["state"] == "finished"
        _see_every_page(page, address, name)


def _look_at_the_recorded_run(page: Page) -> None:
    expect(page.get_by_text("No run yet.")).to_be_visible()
    expect(page.get_by_role("heading", name="Recorded examples")).to_be_visible()
    picture(page, PICTURES / "journey-1-first-visit.png")
    # The table is painted on a canvas: the first cell of its first row is below the heading at the left.
    page.get_by_test_id("stDataFrame").last.click(position={"x": 80, "y": 53})
    expect(page).to_have_url(re.compile(rf"/run\?run={EXAMPLE}$"))
    expect(page.get_by_text("recorded example, read only")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)


def _step_by_key_and_follow_a_permalink(page: Page) -> None:
    page.get_by_role("link", name="Its trajectories, step by step").click()
    expect(page.get_by_text("Turn 0: the world")).to_be_visible()
    for turn in (1, 2):
        settle(page)
        page.keyboard.press("ArrowRight")
        expect(page.get_by_text(f"Turn {turn}: the world")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"run={EXAMPLE}&trajectory=[\w-]+&turn=2$"))
    picture(page, PICTURES / "journey-2-third-turn.png")
    settle(page)
    facts = page.locator("pre", has_text="entropy, nats").inner_text()
    tab = page.context.new_page()
    tab.goto(page.url)
    expect(tab.get_by_text("Turn 2: the world")).to_be_visible()
    shown = tab.locator("pre", has_text="entropy, nats")
    expect(shown).to_have_text(facts, use_inner_text=True)
    settle(tab)
    tab.keyboard.press("ArrowLeft")
    expect(tab.get_by_text("Turn 1: the world")).to_be_visible()
    expect(shown).not_to_have_text(facts, use_inner_text=True)
    tab.close()


def _start(page: Page, root: Path) -> str:
    page.get_by_role("link", name="Runs", exact=True).click()
    field = page.locator(".st-key-preset input")
    expect(page.get_by_role("button", name="Start taxi-quickstart")).to_be_visible()
    settle(page)
    field.click()
    field.fill("taxi-smoke")
    field.press("Enter")
    page.get_by_role("button", name="Start taxi-smoke").click()
    expect(page).to_have_url(re.compile(r"/run\?run=taxi-smoke-[\w-]+$"))
    (name,) = run_names(root)
    assert page.url.endswith(name)
    return name


def _watch_stop_and_resume(page: Page, paths: RunPaths) -> None:
    """Nothing is clicked while the page has to move by itself."""
    # It stands still meanwhile: otherwise so small a run would have ended before a busy browser has pressed Stop.
    process = psutil.Process(_followed(paths, until={"phase": "sft-policy"})["pid"])
    process.suspend()
    expect(page.get_by_text("✓ generate")).to_be_visible()
    expect(page.get_by_text("▸ sft-policy")).to_be_visible()
    picture(page, PICTURES / "journey-3-training.png", moves=True)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("stop asked for")).to_be_visible()
    process.resume()
    _followed(paths, until={"state": "stopped"})
    expect(page.get_by_text("■ stopped", exact=True)).to_be_visible()
    with suppress(psutil.NoSuchProcess):  # gone already, or on its way out
        process.wait(timeout=60)
    done = len(Run(paths).metrics())
    picture(page, PICTURES / "journey-4-stopped.png")
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.get_by_text("■ stopped", exact=True)).to_have_count(0)
    _followed(paths, until={"state": "finished"})
    expect(page.get_by_text("✓ finished", exact=True)).to_be_visible()
    expect(page.get_by_text("6 / 6", exact=True)).to_be_visible()
    rows = Run(paths).metrics()
    assert len(rows) > done
    assert not rows.duplicated(["phase", "update"]).any()
    picture(page, PICTURES / "journey-5-finished.png")


def _followed(paths: RunPaths, *, until: dict[str, str]) -> dict[str, Any]:
    """The run's status once it says ``until``. A run that ends otherwise, or says nothing new for long, fails the test."""
    seen: dict[str, Any] = {}
    since = time.monotonic()
    while not until.items() <= (status := _status(paths)).items():
        if status != seen:
            seen, since = status, time.monotonic()
        waited = time.monotonic() - since
        stands = waited > PYTORCH_LOADS_WITHIN_MILLISECONDS / 1000
        assert status.get("state") in LIVE and not stands, f"{until} never came; {waited:.0f} s ago: {status}"
        time.sleep(_LOOK_AGAIN_SECONDS)
    return status


def _bars(page: Page) -> dict[str, list[float]]:
    """Probabilities that the figure of What if draws, by the name of the bars."""
    read = """figure => figure.data.filter(trace => trace.type === 'bar').map(trace => [trace.name, Array.from(trace.x)])"""
    settle(page)
    return dict(page.locator(".st-key-change_figure .js-plotly-plot").evaluate(read))


def _edit_a_reflection(page: Page, paths: RunPaths) -> None:
    page.get_by_role("link", name="Its trajectories, step by step").click()
    expect(page.get_by_text("Turn 0: the world")).to_be_visible()
    page.get_by_test_id("stMain").get_by_role("link", name="What if").click()
    expect(page).to_have_url(re.compile(rf"/what_if\?run={paths.run_id}"))
    settle(page)
    load_players(page)
    before = _bars(page)
    assert before["with your changes"] == before["unchanged"]
    assert sum(before["unchanged"]) == pytest.approx(1, abs=1e-3)
    load_players(page, OTHER_WORDS)
    after = _bars(page)
    assert after["unchanged"] == before["unchanged"]
    assert max(abs(a - b) for a, b in zip(after["with your changes"], after["unchanged"], strict=True)) > 1e-4
    picture(page, PICTURES / "journey-6-what-if.png")


def _launch_from_its_players(page: Page, address: str, root: Path, parent: str) -> str:
    """The form of the page Launch starts a run that goes on from the first one's players."""
    page.goto(f"{address}/launch?preset=taxi-smoke&parent={parent}")
    page.get_by_role("button", name="Check", exact=True).click()
    start = page.get_by_role("button", name="Start", exact=True)
    expect(start).to_be_enabled(timeout=PYTORCH_LOADS_WITHIN_MILLISECONDS)
    picture(page, PICTURES / "journey-7-launch.png")
    start.click()
    expect(page).to_have_url(re.compile(r"/run\?run=taxi-smoke-[\w-]+$"))
    (child,) = set(run_names(root)) - {parent}
    _followed(RunPaths(root / child), until={"state": "finished"})
    expect(page.get_by_text("✓ finished", exact=True)).to_be_visible()
    assert page.url.endswith(child)
    return child


def _see_every_page(page: Page, address: str, run: str) -> None:
    """No traceback, nothing wider than the window, no error in the browser."""
    raised: list[str] = []
    page.on("pageerror", lambda error: raised.append(error.message))
    for shot in take(page, address, shots(run, say=OTHER_WORDS), PICTURES):
        assert page.evaluate("document.documentElement.scrollWidth") == WIDTH, shot.name
    assert raised == []
