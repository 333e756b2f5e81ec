"""Mean and covariance of a stream of rows, in float64."""

from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Of `count` rows; two of them merge into those of all rows, whatever the order of magnitude."""

    count: int
    mean: np.ndarray  # [F]
    scatter: np.ndarray  # [F, F]: sum of (x - mean)(x - mean)^T

    @classmethod
    def of(cls, rows: np.ndarray) -> "Moments":
        """[N, F] -> those of all rows."""
        rows = np.asarray(rows, np.float64)
        mean = rows.mean(axis=0)
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    def merged(self, other: "Moments") -> "Moments":
        """Those of both. Source: Chan, Golub and LeVeque, 1982."""
        count = self.count + other.count
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        between = np.outer(apart, apart) * (self.count * other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self) -> np.ndarray:
        """[F, F], divided by N - 1."""
        return self.scatter / (self.count - 1)
