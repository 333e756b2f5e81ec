"""Kernel Inception Distance: unbiased, with an error, and good for few images."""

import math

import numpy as np

from stackgan_tf.evaluation.metric import Rows, Score

BLOCK = 1000  # rows of the larger side


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased estimate of MMD^2 with the kernel (x . y / F + 1)^3, of [N, F] and [M, F].

    Source: Binkowski et al., ICLR 2018, equation (4).
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return _within(a) + _within(b) - 2 * float(_kernel(a, b).mean())


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _within(a: np.ndarray) -> float:
    kernel = _kernel(a, a)
    return float((kernel.sum() - np.trace(kernel)) / (len(a) * (len(a) - 1)))


def kernel_distances(a: np.ndarray, b: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """That of each pair of blocks: both sides are cut into as many as make the larger's at most `block` rows.

    Source: tensorflow-gan 2.1, `kernel_classifier_distance_and_std_from_activations`.
    Deviation: where the smaller side has less than two rows for each block, there are fewer blocks, and the larger
    side's last rows are left out.
    """
    blocks = min(math.ceil(max(len(a), len(b)) / block), min(len(a), len(b)) // 2)
    a, b = a[: blocks * block], b[: blocks * block]
    return np.array([kernel_distance(*pair) for pair in zip(_cut(a, blocks), _cut(b, blocks), strict=True)])


def _cut(rows: np.ndarray, blocks: int) -> list[np.ndarray]:
    """Blocks in order; where they are not all of one size, the last are longer by one."""
    return np.array_split(rows[::-1], blocks)[::-1]


class Kid(Rows):
    """Lower is better; around 0, below it too, for images of the same kind. The error is that of the mean over blocks.

    Source: Binkowski et al., ICLR 2018.
    """

    def scores(self, real: "Kid") -> dict[str, Score]:
        """The mean over the blocks and its standard error."""
        distances = kernel_distances(self.rows, real.rows)
        count = len(distances)
        error = float(np.std(distances, ddof=1) / np.sqrt(count)) if count > 1 else None
        return {"": Score(float(distances.mean()), error)}
