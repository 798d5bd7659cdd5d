"""The app in a real browser: ``make test-browser``."""

import pytest

from scripts.browser import NO_CHROMIUM, browser, chromium_path, new_page, served_app
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
    if chromium_path() is None:
        pytest.skip(NO_CHROMIUM)
    with browser() as opened:
        yield new_page(opened)


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
