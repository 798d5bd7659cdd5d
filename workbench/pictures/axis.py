"""One axis of a figure: from values to pixels, and where its ticks stand."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

ROOM = 0.05
"""Share of the span that an axis without a range of its own leaves free at either end."""
_FORMAT = re.compile(r"([+]?)(,?)(?:\.(\d+))?([%fgesd~]?)")


@dataclass(frozen=True)
class Axis:
    """A scale.

    Attributes:
        low: Value at ``start``; the exponent of ten on a logarithmic axis.
        high: Value at ``end``.
        start: Pixel of ``low``.
        end: Pixel of ``high``.
        categories: Texts that stand at 0, 1, 2, …; empty for an axis of numbers.
        logarithmic: Values are drawn by their logarithm.
        tick_places: Where ticks were asked for; None leaves it to the axis.
        tick_texts: What they say; None for their numbers.
        number_format: How a number is written, in the notation of d3, such as ``.0%``.
        title: What is measured.
        visible: False draws neither line nor ticks.
    """

    low: float
    high: float
    start: float
    end: float
    categories: tuple[str, ...] = ()
    logarithmic: bool = False
    tick_places: tuple[float, ...] | None = None
    tick_texts: tuple[str, ...] | None = None
    number_format: str = ""
    title: str = ""
    visible: bool = True

    def value(self, raw: Any) -> float:
        """The number that stands for a raw value: its place among the categories, its logarithm, or itself; NaN for none."""
        if self.categories:
            return float(self.categories.index(raw)) if isinstance(raw, str) else float("nan") if raw is None else float(raw)
        number = as_number(raw)
        if not self.logarithmic:
            return number
        return math.log10(number) if number > 0 else float("nan")

    def pixel(self, raw: Any) -> float:
        """Where a raw value is drawn; NaN for none."""
        return self.at(self.value(raw))

    def at(self, value: float) -> float:
        """Where a value on the axis is drawn, fractions of a category included."""
        span = self.high - self.low
        return self.start + (self.end - self.start) * (value - self.low) / (span or 1.0)

    def ticks(self) -> list[tuple[float, str]]:
        """Pixel and text of every tick inside the range."""
        if self.tick_places is not None:
            places: Sequence[float] = self.tick_places
            texts = self.tick_texts or tuple(written(place, self.number_format) for place in places)
        elif self.categories:
            places, texts = range(len(self.categories)), self.categories
        elif self.logarithmic:
            places = range(math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9) + 1)
            texts = tuple(f"{10.0**place:g}" for place in places)
        else:
            places = round_places(self.low, self.high, 6)
            texts = tuple(written(place, self.number_format) for place in places)
        first, last = sorted((self.low, self.high))
        slack = 1e-9 * (last - first)
        inside = [(place, words) for place, words in zip(places, texts, strict=True) if first - slack <= place <= last + slack]
        return [(self.at(place), words) for place, words in inside]


def as_number(raw: Any) -> float:
    """``raw`` as a number; NaN where it is none."""
    try:
        return float(raw)
    except (TypeError, ValueError):
        return float("nan")


def categories_of(values: Iterable[Any]) -> tuple[str, ...]:
    """The different texts among ``values`` in the order in which they come; empty where there is no text."""
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str)))


def round_places(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round numbers from ``low`` to ``high``, equally far apart.

    Example:
        >>> round_places(0.0, 1.0, 6)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    low, high = sorted((low, high))
    if not (math.isfinite(low) and math.isfinite(high)) or high - low <= 0:
        return [low] if math.isfinite(low) else []
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) < most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def written(value: float, number_format: str) -> str:
    """A number in a d3 format such as ``.0%``, ``.2f`` or ``,``; short where there is none.

    Example:
        >>> written(0.25, ".0%"), written(1500.0, ","), written(0.1 + 0.2, "")
        ('25%', '1,500', '0.3')
    """
    match = _FORMAT.fullmatch(number_format)
    if not number_format or match is None:
        return f"{value:.6g}"
    sign, comma, digits, kind = match.groups()
    if kind not in ("%", "f", "g", "e"):
        kind, digits = "g", digits or "6"
    precision = "" if digits is None else f".{digits}"
    return format(value, f"{sign}{comma}{precision}{kind}")


def plain(text: Any) -> str:
    """Text of a figure without its tags: Plotly reads a little HTML."""
    return unescape(re.sub(r"</?(?:b|i|br|sub|sup|span|em|strong)(?:\s[^>]*)?/?>", " ", str(text if text is not None else ""))).strip()


def finite(values: Iterable[float]) -> list[float]:
    """Those of ``values`` that are numbers."""
    return [value for value in values if math.isfinite(value)]
