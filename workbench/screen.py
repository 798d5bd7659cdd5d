"""Where text is shown to a person: a terminal with its width and colours, or plain lines.

Everything that an environment, a model or the person says reaches it without control characters.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

_STYLES = {"dim": "2", "bold": "1", "good": "32", "bad": "31", "model": "36"}


@dataclass(frozen=True)
class Screen:
    """Where it is shown.

    Attributes:
        write: Shows text without a line break at its end.
        live: Draw the screen anew at every turn.
        colour: Use the terminal's colours.
    """

    write: Callable[[str], object] = print
    live: bool = False
    colour: bool = False

    def paint(self, text: str, style: str) -> str:
        """``text`` without control characters, in a style where there are colours."""
        text = printable(text)
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colour and text else text

    @property
    def width(self) -> int:
        """Characters in a line; 100 where nobody knows."""
        return shutil.get_terminal_size((100, 24)).columns if self.live else 100

    def wrapped(self, text: str, style: str) -> str:
        """``text`` as lines that fit."""
        return self.paint("\n".join(textwrap.fill(line, self.width) for line in printable(text).split("\n")), style)


def standard_screen() -> Screen:
    """Standard output: drawn anew when both ends are a terminal, in colours unless ``NO_COLOR`` is set or the terminal is dumb."""
    live = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return Screen(print, live, live and not os.environ.get("NO_COLOR"))


def printable(text: str) -> str:
    """``text`` without characters that steer a terminal or reverse the writing direction; line breaks and tabs stay."""
    return "".join(character for character in text if character.isprintable() or character in " \n\t")
