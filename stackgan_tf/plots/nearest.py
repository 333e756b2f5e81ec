"""Samples beside the training images nearest to them: does the generator know them by heart?

In pixels a blurred picture is near to everything; the features of an extractor say more.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from matplotlib.figure import Figure
from tqdm import tqdm

from stackgan_tf.config import Config
from stackgan_tf.data.preprocess import load_plain
from stackgan_tf.data.records import Records
from stackgan_tf.evaluation.extractors import Extractor
from stackgan_tf.evaluation.precision_recall import squared_distances
from stackgan_tf.plots import Request
from stackgan_tf.plots._features import Pixels, features_for
from stackgan_tf.plots._page import Row, page

ROWS, NEIGHBOURS = 6, 5
REAL = 200  # real images that tell how near is near
BATCH = 128  # training images at once
SIDE = 64  # pixels, of distances without an extractor


class Nearest(NamedTuple):
    """The training images nearest to each of Q pictures, nearest first."""

    distances: np.ndarray  # [Q, K] float64
    records: np.ndarray  # [Q, K] int64


def draw(request: Request) -> Figure:
    """A row for each sample: itself, its neighbours and their distances; in the title, how near real images are."""
    captions, drawn = request.samples(request.rows(ROWS))
    config, space = request.artist.config, features_for(request, SIDE)
    samples = drawn[config.scales[-1]]
    train = Records(request.builder, "train")
    real, own, told = _real(request.builder, config)
    found = search(np.concatenate([samples, real]), np.append(np.full(len(samples), -1), own), train, config, space)
    rows = []
    for sample, caption, distances, records in zip(samples, captions, *found, strict=False):
        rows.append(Row([sample, *load(train, records, config)], caption, below=["", *map(_figure, distances)]))
    headings = ["sample", "nearest", "2nd", "3rd", *(f"{k}th" for k in range(4, NEIGHBOURS + 1))]
    near = _figure(np.median(found.distances[len(samples) :, 0]))
    title = f"{_measure(request, space)}\n{told}: {near} (median of {len(real)})"
    return page(rows, headings[: len(rows[0].images)], title)


def _measure(request: Request, space: Extractor | Pixels) -> str:
    unit = "Euclidean" if request.extractor else "root mean square (0 to 255)"
    mirrored = ", as is or mirrored" if request.artist.config.data.random_flip else ""
    return f"Distance to training images: {space.name}, {unit}{mirrored}"


def _figure(distance: float) -> str:
    return f"{round(distance, 4):#.3g}"  # what is smaller is rounding


def search(images: np.ndarray, own: np.ndarray, records: Records, config: Config, space: Extractor | Pixels) -> Nearest:
    """The nearest records to each picture, or to its mirror image where training mirrors; read some at a time.

    Args:
        images: [Q, S, S, 3] uint8 at the finest scale.
        own: [Q], the record that a picture is itself, which does not count; -1: none.
    """
    views = [images, images[:, :, ::-1]] if config.data.random_flip else [images]
    views = [space.features(view).astype(np.float64) for view in views]
    best = Nearest(np.empty((len(images), 0)), np.empty((len(images), 0), int))
    with tqdm(total=len(records), desc="comparing with training images", unit="image", mininterval=0.5) as bar:
        for start in range(0, len(records), BATCH):
            numbers = np.arange(start, min(start + BATCH, len(records)))
            features = space.features(load(records, numbers, config)).astype(np.float64)
            distances = np.sqrt(np.min([squared_distances(view, features) for view in views], axis=0))
            distances[own[:, None] == numbers] = np.inf
            best = _nearer(best, distances, numbers)
            bar.update(len(numbers))
    return best


def load(records: Records, numbers: Sequence[int], config: Config) -> np.ndarray:
    """Images prepared as for training but for chance, at the finest scale: [N, S, S, 3] uint8."""
    return np.stack([load_plain(r.image, r.box, config.scales[-1], config.data) for r in records.fetch(numbers)])


def _real(builder: tfds.core.DatasetBuilder, config: Config) -> tuple[np.ndarray, np.ndarray, str]:
    """Real images to compare samples with, the training records that they are (-1: none), and what to call them."""
    split = "test" if "test" in builder.info.splits else "train"
    records = Records(builder, split)
    numbers = np.linspace(0, len(records) - 1, min(REAL, len(records))).astype(int)
    images = load(records, numbers, config)
    if split == "train":
        return images, numbers, "Training images to the nearest other one"
    return images, np.full(len(images), -1), "Real test images to the nearest training image"


def _nearer(best: Nearest, distances: np.ndarray, numbers: np.ndarray) -> Nearest:
    """The nearest of those found before and of new ones: [Q, M] away, of numbers [M]."""
    distances = np.concatenate([best.distances, distances], axis=1)
    records = np.concatenate([best.records, np.broadcast_to(numbers, (len(distances), len(numbers)))], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")[:, :NEIGHBOURS]
    return Nearest(np.take_along_axis(distances, order, axis=1), np.take_along_axis(records, order, axis=1))
