"""Captions by noises: a row for each caption, the same noises in every row."""

import numpy as np
from matplotlib.figure import Figure

from stackgan_tf.plots import Request
from stackgan_tf.plots._page import Row, page

ROWS, COLUMNS = 6, 8


def draw(request: Request) -> Figure:
    """A row for each text, `num` noises in it, at the finest scale; without text all are different noises."""
    artist, columns = request.artist, request.num or COLUMNS
    captions, embeddings = request.told(ROWS)
    finest = artist.scales[-1]
    if embeddings is None:
        drawn = artist(ROWS * columns, request.seed)[finest]
        return page([Row(drawn[i : i + columns]) for i in range(0, len(drawn), columns)])
    told = zip(captions, embeddings, strict=True)
    return page([Row(artist(np.tile(row, (columns, 1)), request.seed)[finest], caption) for caption, row in told])
