"""Solutions token by token as a picture: a box for each token, coloured by what it was worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from workbench.dashboard.palette import BLUE, GREY, VERMILLION, see_through
from workbench.errors import ConfigError
from workbench.pictures.marks import INK, text
from workbench.pictures.show import Picture

WIDTH = 720
_LEFT, _BOX, _HEIGHT, _GAP = 112, 24, 34, 10
_STRONGEST = 0.75


@dataclass(frozen=True)
class Strip:
    """One line of tokens.

    Attributes:
        name: What stands before it.
        tokens: Text of each; None leaves the place empty, so that strips stay aligned.
        values: A number for each; None has no colour.
        marked: Places with a thick frame, such as what has to change.
    """

    name: str
    tokens: Sequence[str | None]
    values: Sequence[float | None]
    marked: Sequence[int] = ()


def credit_picture(
    strips: Sequence[Strip],
    label: str,
    *,
    largest: float | None = None,
    above: str = BLUE,
    below: str = VERMILLION,
    digits: int = 2,
) -> Picture:
    """Strips one below the other: the colour says how large a number is, the number stands below its token.

    Args:
        strips: Strips that are longer than the picture is wide go on below, all at the same place.
        label: What it shows; stands above it, too.
        largest: The number that has the full colour; the largest there is when None.
        above: Colour of numbers above 0.
        below: Colour of numbers below 0.
        digits: After the point.

    Raises:
        ConfigError: A strip has more or fewer numbers than tokens.
    """
    for strip in strips:
        if len(strip.tokens) != len(strip.values):
            raise ConfigError(f"strip {strip.name!r} has {len(strip.tokens)} tokens and {len(strip.values)} numbers; give one for each")
    full = largest or max((abs(value) for strip in strips for value in strip.values if value is not None), default=1.0) or 1.0
    in_a_row = (WIDTH - _LEFT - 8) // _BOX
    parts = [text(12, 20, label, size=14, weight="bold")]
    y = 32
    for start in range(0, max((len(strip.tokens) for strip in strips), default=0), in_a_row):
        for strip in strips:
            parts.append(text(12, y + 20, strip.name if start == 0 else "", size=12))
            for place in range(start, min(start + in_a_row, len(strip.tokens))):
                token, value = strip.tokens[place], strip.values[place]
                if token is not None:
                    ground = _ground(value, full, above, below)
                    words = "" if value is None else f"{value:.{digits}f}"
                    parts += _box(_LEFT + _BOX * (place - start), y, token, words, ground, place in strip.marked)
            y += _HEIGHT + 4
        y += _GAP
    return Picture(_svg(y, "".join(parts), label), label)


def _ground(value: float | None, full: float, above: str, below: str) -> str:
    share = 0.0 if value is None else min(1.0, abs(value) / full)
    return "white" if share < 0.005 else see_through(above if (value or 0) > 0 else below, round(_STRONGEST * share, 2))


def _box(x: float, y: float, token: str, words: str, ground: str, marked: bool) -> list[str]:
    edge = f'stroke="{INK}" stroke-width="2"' if marked else f'stroke="{see_through(GREY, 0.6)}"'
    shown = token.replace("\n", "↵") or "■"
    size = 13 if len(shown) < 3 else 9 if len(shown) < 5 else 6
    middle = x + _BOX / 2 - 1
    return [
        f'<rect x="{x + 0.5:g}" y="{y + 0.5:g}" width="{_BOX - 2}" height="{_HEIGHT - 2}" rx="3" fill="{ground}" {edge}/>',
        f'<text x="{middle:g}" y="{y + 15:g}" font-size="{size}" font-family="monospace" text-anchor="middle" fill="{INK}">'
        f"{escape(shown)}</text>",
        text(middle, y + 28, words, size=7, anchor="middle"),
    ]


def _svg(height: float, body: str, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" role="img" '
        f'aria-label="{escape(label)}" font-family="sans-serif"><rect width="{WIDTH}" height="{height:g}" fill="white"/>{body}</svg>'
    )
