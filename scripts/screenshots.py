"""Pictures of the app's pages for the README: ``python scripts/screenshots.py --runs-dir examples/runs --run RUN --out docs``.

Starts the app on a free port of this machine and closes it afterwards. Needs ``pip install playwright`` and Chromium.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_STARTS_WITHIN_SECONDS = 60
_SETTLES_WITHIN_MILLISECONDS = 2000
_WIDTH, _HEIGHT, _TALLEST = 1280, 900, 4000
# Figures come after the page's script has ended; until then each has a grey bar in its place.
_DRAWN = "!document.querySelector('[data-testid=stSkeleton]')"


@contextmanager
def served_app(runs_dir: Path) -> Iterator[str]:
    """The app over ``runs_dir``, at the address that is given, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.headless", "true"]
    environment = {**os.environ, "WORKBENCH_RUNS": str(runs_dir.resolve())}
    with subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as app:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, app)
            yield address
        finally:
            app.terminate()


def _wait_for(address: str, app: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline and app.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the app did not answer within {_STARTS_WITHIN_SECONDS} seconds; `streamlit run app.py` says why")


def take(address: str, pages: dict[str, str], out: Path, *, chromium: str, scheme: str) -> list[Path]:
    """Write a picture of each page; ``pages`` gives the path below ``address`` by the picture's name.

    Args:
        address: Where the app listens.
        pages: Path and query by name.
        out: Folder of the pictures.
        chromium: The browser's executable.
        scheme: ``light`` or ``dark``.
    """
    sync_playwright = import_module("playwright.sync_api").sync_playwright  # an extra that nothing else needs
    written = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"])
        for name, path in pages.items():
            view = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme=scheme)
            view.goto(f"{address}/{path}")
            view.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=_STARTS_WITHIN_SECONDS * 1000)
            view.wait_for_function(_DRAWN, timeout=_STARTS_WITHIN_SECONDS * 1000)
            height = int(view.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight"))
            view.set_viewport_size({"width": _WIDTH, "height": min(height, _TALLEST)})
            view.wait_for_timeout(_SETTLES_WITHIN_MILLISECONDS)
            written.append(out / f"{name}-{scheme}.png")
            view.screenshot(path=written[-1])
            view.close()
        browser.close()
    return written


def main() -> None:
    """Take the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs-dir", type=Path, required=True, help="run root that the app shows")
    parser.add_argument("--run", required=True, help="run to show")
    parser.add_argument("--trajectory", default="", help="trajectory to show; the last recorded one when empty")
    parser.add_argument("--turn", default="0", help="turn to show")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser's executable")
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    settings = parser.parse_args()
    settings.out.mkdir(parents=True, exist_ok=True)
    turn = {"trajectory": settings.trajectory, "turn": settings.turn} if settings.trajectory else {}
    pages = {
        "runs": "",
        "run": "run?" + urllib.parse.urlencode({"run": settings.run}),
        "trajectory": "trajectories?" + urllib.parse.urlencode({"run": settings.run, **turn}),
    }
    with served_app(settings.runs_dir) as address:
        for picture in take(address, pages, settings.out, chromium=settings.chromium, scheme=settings.scheme):
            print(picture)


if __name__ == "__main__":
    main()
