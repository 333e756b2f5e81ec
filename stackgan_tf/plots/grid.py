"""Captions by noises: a row for each caption, the same noises in every row."""

from matplotlib.figure import Figure

from stackgan_tf.plots import Request
from stackgan_tf.plots._page import Row, page

ROWS, COLUMNS = 6, 8


def draw(request: Request) -> Figure:
    """A row for each text, `num` noises in it, at the finest scale; without text all are different noises."""
    artist, columns = request.artist, request.num or COLUMNS
    captions = request.captions(ROWS)
    finest = artist.config.scales[-1]
    if not captions:
        drawn = artist(ROWS * columns, request.seed)[finest]
        return page([Row(drawn[i : i + columns]) for i in range(0, len(drawn), columns)])
    return page([Row(artist([c] * columns, request.seed)[finest], c) for c in captions])
