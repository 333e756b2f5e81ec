"""Small plots, three a row, each with a title and what is counted underneath."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMNS = 3
SIZE = (2.33, 1.45)  # inches of one plot


def panels(titles: Sequence[str], counted: str) -> tuple[Figure, list[Axes]]:
    """A figure and an empty plot for each title."""
    rows = math.ceil(len(titles) / COLUMNS)
    figure = Figure((COLUMNS * SIZE[0], rows * SIZE[1]), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in grid[len(titles) :]:
        axes.remove()
    for axes, title in zip(grid, titles, strict=False):
        axes.set_title(title, loc="left")
        axes.margins(x=0.01)
        axes.tick_params(width=0.6, length=2.5)
    for axes in grid[: len(titles)][-COLUMNS:]:
        axes.set_xlabel(counted)
    return figure, list(grid[: len(titles)])
