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

    Source: Heusel et al., NeurIPS 2017.
    """

    def __init__(self, count: int, plan: "Plan") -> None:
        super().__init__(count, plan)
        self.taken, self.mean, self.scatter = 0, np.zeros(0), np.zeros((0, 0))

    def add(self, seen: Seen) -> None:
        """Merges this batch's moments into those of all."""
        moments = Moments.of(seen.features)
        self.taken, self.mean, self.scatter = self.moments.merged(moments) if self.taken else moments

    @property
    def moments(self) -> Moments:
        """Of what was added."""
        return Moments(int(self.taken), self.mean, self.scatter)

    def scores(self, real: "Fid") -> dict[str, Score]:
        """The distance."""
        a, b = self.moments, real.moments
        return {"": Score(frechet_distance(a.mean, a.covariance, b.mean, b.covariance))}

    def notes(self, real: "Fid") -> list[str]:
        """Whether a covariance has directions that no image shows."""
        size = len(self.mean)
        few = {"samples": int(self.taken), "real images": int(real.taken)}
        return [f"rank-deficient: {n} {what}, {size} features" for what, n in few.items() if n <= size]
