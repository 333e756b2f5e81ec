"""Samples laid out by likeness on a square lattice: t-SNE, then each to a place of its own. Shows mode collapse."""

import math

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.optimize import linear_sum_assignment
from sklearn.manifold import TSNE

from stackgan_tf.errors import UserError
from stackgan_tf.plots import Request
from stackgan_tf.plots._features import features_for
from stackgan_tf.plots._page import mosaic, shown_side

SAMPLES = 400
SIDE = 32  # pixels, of features without an extractor
FEWEST = 9
PERPLEXITY = 30  # or a third of the samples


def draw(request: Request) -> Figure:
    """`num` samples of the run's captions, neighbours where they are alike.

    Raises:
        UserError: too few or too many samples.
    """
    count = SAMPLES if request.num is None else request.num
    if count < FEWEST:
        raise UserError(f"--num={count}: at least {FEWEST} samples make a t-SNE")
    side = math.ceil(math.sqrt(count))
    finest = request.artist.scales[-1]
    shown = shown_side(finest, side, gap=0)
    images = request.samples(count)[1][finest]
    space = features_for(request, SIDE)
    rows, columns = np.divmod(lattice(_flat(space.features(images))), side)
    picture = np.full((side, shown, side, shown, 3), 255, np.uint8)
    picture[rows, :, columns] = [_thumbnail(image, shown) for image in images]
    title = f"t-SNE of {count} samples, by {space.name}"
    return mosaic(picture.reshape(side * shown, side * shown, 3), title)


def _flat(features: np.ndarray) -> np.ndarray:
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)


def lattice(points: np.ndarray) -> np.ndarray:
    """A place of its own for each point on the smallest square lattice, moved by the least squares in all.

    Shapes: [N, 2] -> [N] numbers of places, row by row.
    """
    side = math.ceil(math.sqrt(len(points)))
    low, high = points.min(axis=0), points.max(axis=0)
    points = (points - low) / np.maximum(high - low, 1e-9)
    places = np.stack(np.divmod(np.arange(side * side), side), axis=1) / max(side - 1, 1)
    costs = np.square(points[:, None] - places[None]).sum(axis=-1)
    return linear_sum_assignment(costs)[1]


def _thumbnail(image: np.ndarray, shown: int) -> np.ndarray:
    smaller = len(image) > shown
    how = Image.Resampling.LANCZOS if smaller else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(image).resize((shown, shown), how))
