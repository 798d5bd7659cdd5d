"""Pictures of the app's pages, light and dark, for the README: ``python -m scripts.screenshots --runs-dir runs --run RUN --out docs``.

Starts the app on a free port of this machine and closes it afterwards. Needs Chromium: ``scripts/install_chromium.sh``.
"""

import argparse
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scripts.browser import PYTORCH_LOADS_WITHIN_MILLISECONDS, browser, new_page, pictures, served_app, settle

if TYPE_CHECKING:
    from playwright.sync_api import Page


def _as_it_is(page: "Page") -> None:
    pass


class Shot(NamedTuple):
    """One picture: a page, and what is done on it first."""

    name: str
    path: str
    """Below the app's address, with its query."""
    prepare: "Callable[[Page], None]" = _as_it_is


def shots(run: str, *, trajectory: str = "", turn: int = 0, say: str = "") -> list[Shot]:
    """A picture of every page.

    Args:
        run: The run that the pages show.
        trajectory: The trajectory to show; the latest recorded one when empty.
        turn: Its turn.
        say: What is written instead of the reflection on the page What if; nothing is changed when empty.
    """

    def at(page: str, **more: str) -> str:
        return f"{page}?{urllib.parse.urlencode({'run': run, **more})}"

    step = {"trajectory": trajectory, "turn": str(turn)} if trajectory else {}
    return [
        Shot("runs", ""),
        Shot("run", at("run")),
        Shot("trajectory", at("trajectories", **step)),
        Shot("compare", at("compare")),
        Shot("reflections", at("reflections")),
        Shot("rewards", at("rewards")),
        Shot("what-if", at("what_if", **step), lambda page: load_players(page, say)),
        Shot("data", at("data")),
        Shot("selection", "selection"),
        Shot("launch", "launch"),
    ]


def load_players(page: "Page", say: str = "") -> None:
    """Load the players on the page What if, and write ``say`` instead of the reflection."""
    load = page.get_by_role("button", name="Load the players")
    if load.count() == 0:  # a run without weights; the page says so
        return
    if load.is_enabled():  # else they are loaded
        load.click()
    page.get_by_text("What it would do").wait_for(timeout=PYTORCH_LOADS_WITHIN_MILLISECONDS)
    settle(page)
    if say:
        field = page.get_by_label("Reflection", exact=True)
        field.fill(say)
        field.press("Control+Enter")
        page.get_by_text("of the probability.").wait_for()


def take(page: "Page", address: str, wanted: Iterable[Shot], out: Path) -> Iterator[Shot]:
    """Open each of ``wanted``, write ``<name>-light.png`` and ``<name>-dark.png`` into ``out``, and give it while its page is still open.

    Args:
        page: The window to do it in.
        address: Where the app listens.
        wanted: The pictures.
        out: Their folder.

    Raises:
        SystemExit: A page shows an error.
    """
    for shot in wanted:
        page.goto(f"{address}/{shot.path}")
        settle(page)
        shot.prepare(page)
        pictures(page, out, shot.name)
        if page.get_by_test_id("stException").count():
            raise SystemExit(f"the page {shot.name} shows an error; {out / shot.name}-light.png has it")
        yield shot


def main() -> None:
    """Take the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs-dir", type=Path, required=True, help="run root that the app shows")
    parser.add_argument("--run", required=True, help="run to show")
    parser.add_argument("--trajectory", default="", help="trajectory to show; the latest recorded one when empty")
    parser.add_argument("--turn", type=int, default=0, help="turn to show")
    parser.add_argument("--say", default="", help="what the reflection is changed to on the page What if")
    parser.add_argument("--pages", nargs="+", default=[], help="only the pictures of these names, e.g. run what-if")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    settings = parser.parse_args()
    wanted = shots(settings.run, trajectory=settings.trajectory, turn=settings.turn, say=settings.say)
    chosen = [shot for shot in wanted if not settings.pages or shot.name in settings.pages]
    with served_app(settings.runs_dir) as address, browser() as opened:
        for shot in take(new_page(opened), address, chosen, settings.out):
            print(settings.out / f"{shot.name}-*.png")


if __name__ == "__main__":
    main()
