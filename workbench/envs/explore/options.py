"""Checks of AutoExplore's options: each refusal is one line that says what was found and what is right."""

import math
from collections.abc import Sequence

from workbench.errors import EnvError, nearest


def checked_word(name: str, value: object, known: Sequence[str]) -> str:
    """``value`` if it is one of ``known``, or any non-empty text where that is empty.

    Raises:
        EnvError: It is not.
    """
    if isinstance(value, str) and value.strip() and (not known or value in known):
        return value
    hint = nearest(str(value), known) if known else "give a text"
    raise EnvError(f"explore: {name} is {value!r}; {hint}")


def checked_number(name: str, value: object, low: int, high: int) -> int:
    """``value`` if it is a whole number from ``low`` to ``high``.

    Raises:
        EnvError: It is not.
    """
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise EnvError(f"explore: {name} must be a whole number from {low} to {high}, found {value!r}")


def checked_share(name: str, value: object) -> float:
    """``value`` if it lies in [0, 1].

    Raises:
        EnvError: It does not.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1:
        return float(value)
    raise EnvError(f"explore: {name} must be a number from 0 to 1, found {value!r}")


def checked_switch(name: str, value: object) -> bool:
    """``value`` if it is true or false.

    Raises:
        EnvError: It is not.
    """
    if isinstance(value, bool):
        return value
    raise EnvError(f"explore: {name} must be true or false, found {value!r}")
