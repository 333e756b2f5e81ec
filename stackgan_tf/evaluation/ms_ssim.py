"""MS-SSIM of pictures of one caption: does the noise change anything?"""

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from stackgan_tf.evaluation.metric import Metric, Score, Seen

if TYPE_CHECKING:
    from stackgan_tf.evaluation.plan import Plan

POWERS = np.array((0.0448, 0.2856, 0.3001, 0.2363, 0.1333))  # Wang et al., 2003
WINDOW = 11  # pixels


def ms_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multi-scale structural similarity of pairs of images, [N, S, S, 3] uint8 twice -> [N], 1 for the same.

    Five scales, each half the last; as many as are no smaller than the window, their weights made to add up to 1.
    """
    scales = max(1, int(np.log2(a.shape[1] / WINDOW)) + 1)
    powers = POWERS[:scales] / POWERS[:scales].sum()
    return tf.image.ssim_multiscale(a, b, 255, powers.tolist(), filter_size=min(WINDOW, a.shape[1])).numpy()


class MsSsim(Metric):
    """The mean over pairs of the same caption, or without text of any pictures. Lower is more diverse; 1 is a collapse.

    Source: Odena et al., ICML 2017, section 4.2, there within a class.
    """

    needs = "images"
    most = 2000
    compares = False
    each = 2

    def __init__(self, count: int, plan: "Plan") -> None:
        super().__init__(count, plan)
        self.similarity = np.full(count // 2, np.nan)

    def add(self, seen: Seen) -> None:
        """A batch holds whole pairs."""
        pairs = len(seen.numbers) // 2
        a, b = seen.images[: 2 * pairs : 2], seen.images[1 : 2 * pairs : 2]
        self.similarity[seen.numbers[: 2 * pairs : 2] // 2] = ms_ssim(a, b)

    def scores(self, real: None) -> dict[str, Score]:
        """The mean over the pairs and its standard error."""
        count = len(self.similarity)
        error = float(self.similarity.std(ddof=1) / np.sqrt(count)) if count > 1 else None
        return {"": Score(float(self.similarity.mean()), error)}
