"""A real browser over the app, for the pictures and for the tests of the journey: the app on a free port, Chromium without a window."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 1280
"""Pixels; every page has to fit."""
NO_CHROMIUM = "found no Chromium; `scripts/install_chromium.sh` installs Debian's, or name yours in the environment variable CHROMIUM"
_HEIGHT, _TALLEST = 900, 3000
PATIENCE_MILLISECONDS = 120_000
"""How long anything is waited for; far above what a busy machine needs, so that what never comes is told soon."""
PYTORCH_LOADS_WITHIN_MILLISECONDS = 300_000
"""The one thing that takes a busy machine longer."""
_FIGURES_STAND_AFTER_MILLISECONDS = 600
_ENDS_WITHIN_SECONDS = 20
_COLOURS = 256
# Without its sandbox it starts as root and in containers, too; it opens nothing but the app.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
# Figures come after the page's script has ended; until then each has a grey bar in its place.
_DRAWN = "!document.querySelector('[data-testid=stSkeleton]')"

Scheme = Literal["light", "dark"]


@contextmanager
def served_app(runs_dir: Path) -> Iterator[str]:
    """The app over ``runs_dir``, at the address that is given, until the block ends.

    Raises:
        SystemExit: It does not answer.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.headless", "true"]
    environment = {**os.environ, "WORKBENCH_RUNS": str(runs_dir.resolve())}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as app:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, app)
            yield address
        finally:
            app.terminate()
            try:
                app.wait(timeout=_ENDS_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                app.kill()


def _wait_for(address: str, app: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_MILLISECONDS / 1000
    while time.monotonic() < deadline and app.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the app did not answer within {PATIENCE_MILLISECONDS // 1000} seconds; `streamlit run app.py` says why")


def chromium_path() -> str | None:
    """The browser's executable: what CHROMIUM names, else the system's; None where there is none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browser() -> Iterator["Browser"]:
    """Chromium without a window, which asks nobody for anything by itself.

    Raises:
        FileNotFoundError: There is no Chromium on this machine.
    """
    from playwright.sync_api import sync_playwright  # of the extra `dev`

    executable = chromium_path()
    if executable is None:
        raise FileNotFoundError(NO_CHROMIUM)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=_FLAGS, timeout=PATIENCE_MILLISECONDS)
        try:
            yield opened
        finally:
            opened.close()


def new_page(opened: "Browser") -> "Page":
    """A window of its own, as wide as a small laptop's, in light colours."""
    context = opened.new_context(viewport={"width": WIDTH, "height": _HEIGHT}, color_scheme="light", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    return context.new_page()


def settle(page: "Page") -> None:
    """Wait until the page's script has ended and its figures have come."""
    page.wait_for_selector(_IDLE)
    page.wait_for_function(_DRAWN)


def picture(page: "Page", file: Path, *, tallest: int = _TALLEST, moves: bool = False) -> None:
    """Write the whole page, down to ``tallest`` pixels, as a PNG of few colours; the window keeps its size.

    A page that ``moves``, since it refreshes itself, may never be idle on a busy machine; then only its figures are waited for.
    """
    with _whole(page, tallest, moves=moves):
        _shoot(page, file)


def pictures(page: "Page", folder: Path, name: str, *, tallest: int = _TALLEST) -> list[Path]:
    """Write ``<name>-light.png`` and ``<name>-dark.png`` of the whole page into ``folder``, as ``picture`` does, loading it once."""
    written = []
    with _whole(page, tallest):
        for scheme in get_args(Scheme):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(_FIGURES_STAND_AFTER_MILLISECONDS)  # the app follows the system's change of colours by itself
            settle(page)
            written.append(folder / f"{name}-{scheme}.png")
            _shoot(page, written[-1])
        page.emulate_media(color_scheme="light")
    return written


@contextmanager
def _whole(page: "Page", tallest: int, *, moves: bool = False) -> Iterator[None]:
    """Make the window as tall as the page, for as long as the block lasts."""
    if moves:
        page.wait_for_function(_DRAWN)
    else:
        settle(page)
    height = int(page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight"))
    page.set_viewport_size({"width": WIDTH, "height": max(300, min(height, tallest))})
    page.wait_for_timeout(_FIGURES_STAND_AFTER_MILLISECONDS)
    yield
    page.set_viewport_size({"width": WIDTH, "height": _HEIGHT})


def _shoot(page: "Page", file: Path) -> None:
    from PIL import Image  # comes with Streamlit

    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file)
    with Image.open(file) as shot:
        few = shot.convert("RGB").quantize(_COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE)
    few.save(file, optimize=True)
