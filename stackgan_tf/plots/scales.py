"""A sample at every scale that the generator draws, side by side."""

from matplotlib.figure import Figure

from stackgan_tf.plots import Request
from stackgan_tf.plots._page import Row, page

ROWS = 4


def draw(request: Request) -> Figure:
    """A row for each sample, its scales from coarse to fine."""
    captions, images = request.samples(request.rows(ROWS))
    rows = [Row([scale[i] for scale in images.values()], caption) for i, caption in enumerate(captions)]
    return page(rows, [f"{side} × {side} pixels" for side in images])
