"""JupyterLab as `make lab` opens it: a notebook is shown as it is kept, and runs with a kernel that works. ``make test-browser``."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from scripts.browser import NO_CHROMIUM, PATIENCE_MILLISECONDS, ROOT, WIDTH, browser, chromium_path, new_page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
NOTEBOOK = "01_an_environment_in_words.ipynb"
TOKEN = "a-token-of-this-test"
TALL = 9000
"""Pixels; the whole notebook."""


@pytest.fixture
def lab(tmp_path):
    """A server over a copy of the notebooks, so that nothing that is shown can be saved over what is kept."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    path = tmp_path / "notebooks" / NOTEBOOK
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["execution_count"] = None  # so that a number says that the cell has run here
    path.write_text(json.dumps(notebook), encoding="utf-8")
    own = {"WORKBENCH_RUNS": tmp_path / "runs", "JUPYTER_CONFIG_DIR": tmp_path / "config", "JUPYTER_DATA_DIR": tmp_path / "data"}
    environment = {**os.environ, **{name: str(value) for name, value in own.items()}}
    assert "jupyter trust $(NOTEBOOKS)" in (ROOT / "Makefile").read_text(encoding="utf-8")
    subprocess.run([sys.executable, "-m", "jupyter", "trust", path], env=environment, check=True, timeout=120, stdout=subprocess.DEVNULL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyter", "lab", "--ServerApp.ip=127.0.0.1", f"--notebook-dir={tmp_path / 'notebooks'}"]
    command += ["--no-browser", "--allow-root", f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/api?token={TOKEN}", server)
            yield address, tmp_path / "notebooks"
        finally:
            server.terminate()
            server.wait(timeout=30)


def _wait_for(address, server):
    deadline = time.monotonic() + PATIENCE_MILLISECONDS / 1000
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"JupyterLab does not answer at {address}")


def test_a_notebook_is_shown_and_runs_with_a_working_kernel(lab, tmp_path):
    if chromium_path() is None:
        pytest.skip(NO_CHROMIUM)
    address, folder = lab
    cells = json.loads((folder / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    count = sum(cell["cell_type"] == "code" for cell in cells)
    with browser() as opened:
        page = new_page(opened)
        page.set_viewport_size({"width": WIDTH, "height": TALL})  # JupyterLab draws only what is in the window
        page.goto(f"{address}/lab/tree/{NOTEBOOK}?token={TOKEN}&reset")
        page.get_by_role("heading", name="01 · An environment in words").wait_for()
        page.locator(".jp-RenderedSVG").first.wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for()
        page.screenshot(path=tmp_path / "kept.png")
        _menu(page, "Run", "Run All Cells")
        page.get_by_text(f"[{count}]:", exact=True).wait_for()  # after it nothing is left to run
        page.keyboard.press("Control+s")
        saved = _saved(folder / NOTEBOOK, count)
        page.screenshot(path=tmp_path / "run.png")
    kinds = [output["output_type"] for cell in saved if cell["cell_type"] == "code" for output in cell["outputs"]]
    assert "error" not in kinds
    assert sum("image/svg+xml" in output.get("data", {}) for cell in saved for output in cell.get("outputs", [])) >= 4


def _menu(page, *names):
    for name in names:
        page.get_by_role("menuitem", name=name, exact=True).first.click()


def _saved(path, count):
    """The cells of the file once all of them have run in this kernel."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        numbers = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
        if numbers == list(range(1, count + 1)):
            return cells
        time.sleep(1)
    raise AssertionError(f"the cells have the numbers {numbers}")
