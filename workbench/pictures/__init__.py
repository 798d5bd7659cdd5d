"""Plotly's figures as plain SVG, drawn here: a notebook's outputs are then small, equal on every machine, and seen without scripts."""

from workbench.pictures.credit import Strip, credit_picture
from workbench.pictures.figure import figure_svg
from workbench.pictures.show import Picture, flip_book, show, trajectory_book

__all__ = ["Picture", "Strip", "credit_picture", "figure_svg", "flip_book", "show", "trajectory_book"]
