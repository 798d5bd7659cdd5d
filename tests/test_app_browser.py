"""The app in a real browser: run with ``-m browser``; needs ``pip install playwright`` and Chromium."""

import os
import shutil

import pytest

from scripts.screenshots import served_app
from tests.app_runs import make_run
from tests.test_app_trajectories import ATTACK

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address_and_run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    run = make_run(root, updates=2, reflection=ATTACK)
    with served_app(root) as address:
        yield address, run.run_id


@pytest.fixture
def page():
    api = pytest.importorskip("playwright.sync_api")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed; install it, or name it in the environment variable CHROMIUM")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"])
        yield browser.new_page(viewport={"width": 1280, "height": 1000})
        browser.close()


def test_keys_turn_the_pages_text_stays_text_and_nothing_is_fetched_from_elsewhere(page, address_and_run):
    address, run = address_and_run
    fetched: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.goto(f"{address}/trajectories?run={run}&trajectory=rl-000002-0001&turn=0")
    page.get_by_text("Turn 0: the world").wait_for(timeout=60_000)
    page.get_by_text("<script>alert(1)</script>").wait_for(timeout=20_000)
    page.get_by_role("button", name="Next").wait_for(timeout=20_000)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=20_000)
    page.keyboard.press("ArrowRight")
    page.get_by_text("Turn 1: the world").wait_for(timeout=20_000)
    assert page.url.endswith("turn=1")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=20_000)
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Turn 0: the world").wait_for(timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    assert [url for url in fetched if not url.startswith((address, "data:", "blob:"))] == []
    assert dialogs == []
