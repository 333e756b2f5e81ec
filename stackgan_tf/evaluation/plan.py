"""Which record, and which of its captions, sample number i is drawn for."""

import numpy as np

from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.records import Records


class Plan:
    """A pure function of i: all records in one fixed, shuffled order, again and again, each time its next caption.

    Shuffled, because records lie by class, and a part of the samples shall be like the whole.

    Args:
        each: samples with the same caption, one after the other.
        joint: the captions' embeddings by the jointly trained encoder, for the metric that needs them.
    """

    def __init__(self, records: Records, each: int = 1, joint: Embeddings | None = None) -> None:
        self.records, self.each, self.joint = records, each, joint
        self.order = np.random.default_rng(0).permutation(len(records))

    def record(self, numbers: np.ndarray) -> np.ndarray:
        """[B] -> [B], numbers of records."""
        return self.order[numbers // self.each % len(self.order)]

    def caption(self, numbers: np.ndarray) -> np.ndarray:
        """[B] -> [B], numbers of captions of these records."""
        return numbers // self.each // len(self.order) % self.records.index.caption_counts[self.record(numbers)]
