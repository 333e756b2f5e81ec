"""Frechet Inception Distance: how far apart two clouds of features are, taken for Gaussians."""

from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from stackgan_tf.evaluation.metric import Metric, Score, Seen
from stackgan_tf.evaluation.moments import Moments

if TYPE_CHECKING:
    from stackgan_tf.evaluation.plan import Plan


def frechet_distance(
    mean_a: np.ndarray, covariance_a: np.ndarray, mean_b: np.ndarray, covariance_b: np.ndarray
) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), of [F] and [F, F].

    The trace of the root is the sum of the roots of the eigenvalues of S_a^(1/2) S_b S_a^(1/2), which is symmetric:
    no complex numbers, and nothing to add where a covariance is singular.

    Source: Heusel et al., NeurIPS 2017, equation (6).
    """
    values, vectors = linalg.eigh(covariance_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(linalg.eigvalsh(root @ covariance_b @ root), 0)).sum()
    apart = mean_a - mean_b
    return float(apart @ apart + np.trace(covariance_a) + np.trace(covariance_b) - 2 * shared)


class Fid(Metric):
    """Lower is better, 0 for the same features. More images give a lower figure: their number is in the name.

    Images of even and of odd numbers are kept apart: the distance between these halves of the real ones is the floor,
    somewhat higher than that of all of them would be.

    Source: Heusel et al., NeurIPS 2017.
    """

    def __init__(self, count: int, plan: "Plan") -> None:
        super().__init__(count, plan)
        self.taken, self.mean, self.scatter = np.zeros(2, np.int64), np.zeros((2, 0)), np.zeros((2, 0, 0))

    def add(self, seen: Seen) -> None:
        """Merges this batch's moments into those of its half."""
        if not self.mean.size:
            size = seen.features.shape[1]
            self.mean, self.scatter = np.zeros((2, size)), np.zeros((2, size, size))
        for number in (0, 1):
            rows = seen.features[seen.numbers % 2 == number]
            if len(rows):
                self.taken[number], self.mean[number], self.scatter[number] = self.half(number).merged(Moments.of(rows))

    def half(self, number: int) -> Moments:
        """Of the images of even (0) or odd (1) numbers."""
        return Moments(int(self.taken[number]), self.mean[number], self.scatter[number])

    @property
    def moments(self) -> Moments:
        """Of what was added."""
        return self.half(0).merged(self.half(1))

    def scores(self, real: "Fid") -> dict[str, Score]:
        """The distance, and that between the halves of the real images where each has two or more."""
        floor = _distance(real.half(0), real.half(1)) if min(real.taken) > 1 else None
        return {"": Score(_distance(self.moments, real.moments), real=floor)}

    def notes(self, real: "Fid") -> list[str]:
        """Whether a covariance has directions that no image shows, and what the floor is of."""
        size = self.mean.shape[1]
        few = {"samples": int(self.taken.sum()), "real images": int(real.taken.sum())}
        ranks = [f"rank-deficient: {n} {what}, {size} features" for what, n in few.items() if n <= size]
        return [*ranks, f"real: one half of the real images beside the other, {real.taken.min()} each"]


def _distance(a: Moments, b: Moments) -> float:
    return frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
