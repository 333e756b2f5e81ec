"""Does a picture of `shapes` show what its caption asked for? A rule on pixels, with no learned part."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from stackgan_tf.data.builders.shapes import COLORS, COMBINATIONS, EXTENTS, SHAPES, Attributes
from stackgan_tf.data.records import Records
from stackgan_tf.evaluation.metric import Metric, Score, Seen
from stackgan_tf.generation import TextToImage

if TYPE_CHECKING:
    from stackgan_tf.evaluation.plan import Plan

CHANCE = {
    "color": 1 / len(COLORS),
    "background": 1 / len(COLORS),
    "shape": 1 / len(SHAPES),
    "size": 1 / len(EXTENTS),
    "all": 1 / len(COMBINATIONS),
}
MIN_CONTRAST = 60.0  # Euclidean distance in RGB from which a pixel is not background


def read_attributes(image: np.ndarray) -> Attributes:
    """What the picture shows; "none" for what cannot be told, as where nothing stands out.

    The frame's median is the background; the largest connected region away from it the shape, whose median is its
    colour. Its kind is the ideal outline of the same bounding box that it overlaps best, its size the nearest
    extent (on a log scale).

    Args:
        image: [S, S, 3] uint8.
    """
    pixels, side = image.astype(np.float64), len(image)
    edge = max(side // 32, 1)
    frame = np.ones((side, side), bool)
    frame[edge:-edge, edge:-edge] = False
    ground = np.median(pixels[frame], axis=0)
    region = _largest_region(np.linalg.norm(pixels - ground, axis=-1) > MIN_CONTRAST)
    if region is None:
        return Attributes("none", _nearest_color(ground), "none", "none")
    color = np.median(pixels[region], axis=0)
    nearer = np.linalg.norm(pixels - color, axis=-1) < np.linalg.norm(pixels - ground, axis=-1)
    region = _largest_region(nearer)
    rows, columns = ndimage.find_objects(region.astype(int))[0]
    outline = region[rows, columns]
    shape = max(SHAPES, key=lambda name: _overlap(outline, _ideal(name, outline.shape)))
    extent = max(outline.shape) / side
    size = min(EXTENTS, key=lambda name: abs(np.log(EXTENTS[name] / extent)))
    return Attributes(_nearest_color(color), _nearest_color(ground), shape, size)


def attribute_accuracy(images: np.ndarray, asked: Sequence[Attributes]) -> dict[str, float]:
    """The share of pictures that show what was asked, an attribute a number, and `all` four at once.

    Args:
        images: [N, S, S, 3] uint8.
        asked: N attributes.
    """
    return _shares(_hits(images, asked))


def _hits(images: np.ndarray, asked: Sequence[Attributes]) -> np.ndarray:
    """Whether each attribute is as asked: [N, 4] bool."""
    read = [read_attributes(image) for image in images]
    return np.array([[a == b for a, b in zip(r, a, strict=True)] for r, a in zip(read, asked, strict=True)])


def _shares(hits: np.ndarray) -> dict[str, float]:
    scores = dict(zip(Attributes._fields, hits.mean(axis=0).tolist(), strict=True))
    return scores | {"all": float(hits.all(axis=1).mean())}


class ShapeAttributes(Metric):
    """`attribute_accuracy` of all samples, with its standard error and that of the data set's own pictures."""

    needs = "images"
    unsaved = frozenset({"plan"})

    def __init__(self, count: int, plan: "Plan") -> None:
        super().__init__(count, plan)
        self.plan = plan
        self.hits = np.zeros((count, len(Attributes._fields)), bool)

    def add(self, seen: Seen) -> None:
        """Reads each picture."""
        labels = self.plan.records.labels[self.plan.record(seen.numbers)]
        self.hits[seen.numbers] = _hits(seen.images, [COMBINATIONS[label] for label in labels])

    def scores(self, real: "ShapeAttributes") -> dict[str, Score]:
        """A share for each attribute, and for all four at once."""
        theirs, count = _shares(real.hits), len(self.hits)
        return {
            name: Score(share, float(np.sqrt(share * (1 - share) / count)), theirs[name])
            for name, share in _shares(self.hits).items()
        }


def held_out_accuracy(artist: TextToImage, records: Records, count: int = 256, seed: int = 0) -> dict[str, float]:
    """`attribute_accuracy` of the finest scale for one caption each of `count` records, spread over the split."""
    chosen, sentences = records.told(count)
    images = artist(sentences, seed)[artist.scales[-1]]
    return attribute_accuracy(images, [COMBINATIONS[record.label] for record in chosen])


def table(scores: dict[str, float]) -> str:
    """The scores as a table to print."""
    lines = [f"{'attribute':<12}{'found':>8}{'chance':>9}   (captions of held-out combinations)"]
    lines += [f"{name:<12}{score:>8.1%}{CHANCE[name]:>9.1%}" for name, score in scores.items()]
    return "\n".join(lines) + "\n"


def _nearest_color(rgb: np.ndarray) -> str:
    return min(COLORS, key=lambda name: np.linalg.norm(rgb - COLORS[name]))


def _largest_region(mask: np.ndarray) -> np.ndarray | None:
    labels, count = ndimage.label(mask)
    if not count:
        return None
    return labels == 1 + np.argmax(ndimage.sum_labels(mask, labels, range(1, count + 1)))


def _ideal(name: str, shape: tuple[int, int]) -> np.ndarray:
    """The outline filling a bounding box of [height, width] pixels."""
    height, width = shape
    y = (np.arange(height)[:, None] + 0.5) / height
    x = (np.arange(width)[None, :] + 0.5) / width
    if name == "cross":
        return (np.abs(x - 0.5) <= 1 / 6) | (np.abs(y - 0.5) <= 1 / 6)
    return np.abs(x - 0.5) <= y / 2 if name == "triangle" else np.ones(shape, bool)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return np.logical_and(a, b).sum() / np.logical_or(a, b).sum()
