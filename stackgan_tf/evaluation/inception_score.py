"""Inception Score: does each picture look like one class, and all together like many?"""

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax, xlogy

from stackgan_tf.evaluation.metric import Metric, Score, Seen

if TYPE_CHECKING:
    from stackgan_tf.evaluation.plan import Plan

SPLITS = 10


def inception_score(logits: np.ndarray) -> float:
    """exp(E_x KL(p(y|x) || p(y))) of one split, [N, K]: from 1 to K.

    Source: Salimans et al., NeurIPS 2016, section 4.
    """
    return _score(*_sums(logits))


def _sums(logits: np.ndarray) -> tuple[int, np.ndarray, float]:
    """How many rows, the sum of their p [K], and of their p . log p."""
    log_p = log_softmax(np.asarray(logits, np.float64), axis=1)
    p = np.exp(log_p)
    return len(p), p.sum(axis=0), float((p * log_p).sum())


def _score(count: int, p: np.ndarray, p_log_p: float) -> float:
    mean = p / count
    return float(np.exp(p_log_p / count - xlogy(mean, mean).sum()))


class InceptionScore(Metric):
    """Higher is better. Mean and standard deviation over ten splits, as published.

    Source: Salimans et al., NeurIPS 2016; StackGAN section 4.1, ten splits.
    """

    needs = "logits"

    def __init__(self, count: int, plan: "Plan") -> None:
        super().__init__(count, plan)
        self.counts, self.p_log_p, self.p = np.zeros(SPLITS, np.int64), np.zeros(SPLITS), np.zeros((SPLITS, 0))

    def add(self, seen: Seen) -> None:
        """Adds each image's probabilities to its split's sums."""
        if not self.p.size:
            self.p = np.zeros((SPLITS, seen.logits.shape[1]))
        splits = seen.numbers * SPLITS // self.count
        for split in np.unique(splits):
            count, p, p_log_p = _sums(seen.logits[splits == split])
            self.counts[split] += count
            self.p[split] += p
            self.p_log_p[split] += p_log_p

    def scores(self, real: "InceptionScore") -> dict[str, Score]:
        """Mean and standard deviation over the splits."""
        of_splits = self._of_splits()
        return {"": Score(float(np.mean(of_splits)), float(np.std(of_splits)), float(np.mean(real._of_splits())))}

    def notes(self, real: "InceptionScore") -> list[str]:
        """Whether a split is too small to hold every class."""
        classes = self.p.shape[1]
        smallest = {"samples": int(self.counts.min()), "real images": int(real.counts.min())}
        return [f"few {what}: {n} in a split, {classes} classes" for what, n in smallest.items() if n < 5 * classes]

    def _of_splits(self) -> list[float]:
        return [_score(*row) for row in zip(self.counts, self.p, self.p_log_p, strict=True) if row[0]]
