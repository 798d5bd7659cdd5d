"""The app in a real browser: ``make test-browser``."""

import os
import subprocess
import sys

import pytest

from scripts.browser import NO_CHROMIUM, ROOT, WIDTH, browser, chromium_path, new_page, served_app, settle
from tests.app_runs import make_run
from tests.test_app_trajectories import ATTACK

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address_and_run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    run = make_run(root, updates=2, reflection=ATTACK)
    with served_app(root) as address:
        yield address, run


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
    page.goto(f"{address}/trajectories?run={run.run_id}&trajectory=rl-000002-0001&turn=0")
    page.get_by_text("Turn 0: the world").wait_for()
    page.get_by_text("<script>alert(1)</script>").wait_for()
    page.get_by_role("button", name="Next").wait_for()
    settle(page)
    page.keyboard.press("ArrowRight")
    page.get_by_text("Turn 1: the world").wait_for()
    assert page.url.endswith("turn=1")
    settle(page)
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Turn 0: the world").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTH
    assert [url for url in fetched if not url.startswith((address, "data:", "blob:"))] == []
    assert dialogs == []


def test_the_copy_button_gives_code_that_loads_the_turn(page, address_and_run):
    address, run = address_and_run
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page.goto(f"{address}/trajectories?run={run.run_id}&trajectory=rl-000002-0001&turn=1")
    page.get_by_text("Turn 1: the world").wait_for()
    settle(page)
    code = page.get_by_test_id("stCode").filter(has_text="find_run")
    code.hover()
    page.get_by_test_id("stElementContainer").filter(has=code).get_by_role("button").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    asked = f"{copied}\nprint(trajectory.trajectory_id, turn.index)"
    environment = {**os.environ, "WORKBENCH_RUNS": str(run.folder.parent)}
    found = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert found.stdout.split() == ["rl-000002-0001", "1"], found.stderr
