"""What every metric is: it takes images as they come, a batch at a time, and scores what it has kept of them."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from stackgan_tf.evaluation.plan import Plan


class Seen(NamedTuple):
    """Images of one replica, drawn or real, and what an extractor makes of them."""

    numbers: np.ndarray  # [B] int64, of the samples, from 0
    images: np.ndarray  # [B, S, S, 3] uint8
    features: np.ndarray | None = None  # [B, F] float32
    logits: np.ndarray | None = None  # [B, K] float32


class Score(NamedTuple):
    """A figure, its standard error (of IS the deviation over the splits), and what real images get."""

    value: float
    error: float | None = None
    real: float | None = None


class Metric(ABC):
    """Its attributes are numpy arrays or numbers, small enough to be saved: no image is kept.

    The same class takes the real images; only what it has kept of them is compared.

    Args:
        count: of the images that will be added.
        plan: which record and caption each of them is of.
    """

    needs: ClassVar[str] = "features"  # or logits, joint (the jointly trained encoders), or images alone
    most: ClassVar[int | None] = None  # images; more would not tell more
    compares: ClassVar[bool] = True  # with real images
    each: ClassVar[int] = 1  # images drawn for a caption, one after the other
    unsaved: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, count: int, plan: "Plan") -> None:
        self.count = count

    @abstractmethod
    def add(self, seen: Seen) -> None:
        """Takes a batch."""

    @abstractmethod
    def scores(self, real: "Metric | None") -> dict[str, Score]:
        """The figures by name; "" is the metric itself.

        Args:
            real: the same metric of the real images; None where `compares` is false.
        """

    def notes(self, real: "Metric | None") -> list[str]:
        """What a reader must know of these figures."""
        return []

    def state(self) -> dict[str, np.ndarray]:
        """What it has kept, to be saved: its attributes but those of `unsaved`."""
        return {name: np.asarray(value) for name, value in vars(self).items() if name not in self.unsaved}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes on from `state`."""
        vars(self).update(state)


class Rows(Metric):
    """A metric that needs the features of all images, each in its place."""

    def __init__(self, count: int, plan: "Plan") -> None:
        super().__init__(count, plan)
        self.rows = np.zeros((0, 0), np.float32)

    def add(self, seen: Seen) -> None:
        """Keeps the features."""
        if not self.rows.size:
            self.rows = np.zeros((int(self.count), seen.features.shape[1]), np.float32)
        self.rows[seen.numbers] = seen.features
