"""The app's colours: Okabe and Ito's palette, which colour-blind people can tell apart, on light and dark ground alike."""

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILLION = "#D55E00"
SKY = "#56B4E9"
PURPLE = "#CC79A7"
GREY = "#8A8A8A"
FAINT = "rgba(138, 138, 138, 0.25)"

SERIES = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, GREY)
"""In the order in which lines take them."""


def series_colour(index: int) -> str:
    """The colour of the ``index``-th line, from the start again after the last."""
    return SERIES[index % len(SERIES)]


def see_through(colour: str, alpha: float) -> str:
    """``colour`` (``#RRGGBB``) with opacity ``alpha`` in [0, 1], for areas behind lines."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"
