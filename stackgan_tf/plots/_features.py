"""Pictures as points: what their distance is measured in."""

import numpy as np

from stackgan_tf.evaluation.extractors import Extractor
from stackgan_tf.plots import Request


class Pixels:
    """The picture itself, made smaller by means; a distance is the root mean square of the differences, 0 to 255."""

    def __init__(self, side: int) -> None:
        self.side, self.name = side, f"pixels at {side} × {side}"

    def features(self, images: np.ndarray) -> np.ndarray:
        """[N, S, S, 3] uint8 -> [N, side * side * 3] float32; S is a multiple of the side."""
        count, factor = len(images), images.shape[1] // self.side
        blocks = images.reshape(count, self.side, factor, self.side, factor, 3)
        means = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)
        return means / np.sqrt(means.shape[1], dtype=np.float32)


def features_for(request: Request, side: int) -> Extractor | Pixels:
    """The extractor asked for, else pixels at `side`, or at the finest scale where that is smaller."""
    return request.extractor or Pixels(min(side, request.artist.scales[-1]))
