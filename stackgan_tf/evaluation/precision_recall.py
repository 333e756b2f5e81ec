"""Precision and recall: do the pictures lie among the real ones, and the real ones among the pictures?"""

from collections.abc import Iterator

import numpy as np

from stackgan_tf.evaluation.metric import Rows, Score

NEIGHBOURS = 3
AT_ONCE = 1000  # rows


def covered(rows: np.ndarray, by: np.ndarray, neighbours: int = NEIGHBOURS) -> float:
    """The share of `rows` [N, F] within reach of a row of `by` [M, F]: not farther than that one's k-th neighbour.

    Source: Kynkaanniemi et al., NeurIPS 2019, equation (1) and (2).
    """
    rows, by = rows - by.mean(axis=0), by - by.mean(axis=0)  # small numbers: squares lose fewer digits
    nearest = min(neighbours, len(by) - 1)  # the nearest to itself is itself
    reach = np.concatenate([np.partition(d, nearest, axis=1)[:, nearest] for d in _distances(by, by)])
    hits = [(d <= reach).any(axis=1) for d in _distances(rows, by)]
    return float(np.concatenate(hits).mean())


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each row to each: [N, F], [M, F] -> [N, M]."""
    return np.maximum(np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T, 0)


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[np.ndarray]:
    """Squared distances to all of `b`, of some rows of `a` at a time."""
    for start in range(0, len(a), AT_ONCE):
        yield squared_distances(a[start : start + AT_ONCE], b)


class PrecisionRecall(Rows):
    """Both from 0 to 1, higher is better.

    Source: Kynkaanniemi et al., NeurIPS 2019, k = 3.
    """

    most = 10_000

    def scores(self, real: "PrecisionRecall") -> dict[str, Score]:
        """Precision, and recall."""
        return {"precision": Score(covered(self.rows, real.rows)), "recall": Score(covered(real.rows, self.rows))}

    def notes(self, real: "PrecisionRecall") -> list[str]:
        """Whether both sides have as many images, as they should."""
        if len(self.rows) == len(real.rows):
            return []
        return [f"unequal numbers: {len(self.rows)} samples, {len(real.rows)} real images"]
