"""Sliced Wasserstein distance between patches, scale by scale: do the textures look alike?"""

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from stackgan_tf.evaluation.metric import Metric, Score, Seen

if TYPE_CHECKING:
    from stackgan_tf.evaluation.plan import Plan

COARSEST = 16  # side of the last level in pixels
PATCH = 7  # side in pixels
PATCHES = 32  # of an image at a level
DIRECTIONS = 512
BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16


def laplacian_pyramid(images: np.ndarray, levels: int) -> list[np.ndarray]:
    """[B, S, S, 3] -> what each scale adds to the next coarser one, finest first; the last is the rest itself.

    Source: Burt and Adelson, 1983, as in Karras et al., ICLR 2018, section 5; tensorflow-gan 2.1.
    """
    gaussian = np.asarray(images, np.float32)
    pyramid = []
    for _ in range(levels - 1):
        coarser = _blurred(gaussian)[:, ::2, ::2]
        spread = np.zeros_like(gaussian)
        spread[:, ::2, ::2] = coarser
        pyramid.append(gaussian - 4 * _blurred(spread))
        gaussian = coarser
    return [*pyramid, gaussian]


def _blurred(images: np.ndarray) -> np.ndarray:
    across = ndimage.correlate1d(images, BINOMIAL, axis=2, mode="mirror")
    return ndimage.correlate1d(across, BINOMIAL, axis=1, mode="mirror")


def normalized(patches: np.ndarray) -> np.ndarray:
    """[N, P, P, 3] -> [N, P * P * 3], each patch of mean 0 and deviation 1.

    Source: tensorflow-gan 2.1. Karras et al. do so by colour, over all patches, which keeps their contrast.
    Deviation: a patch of one flat colour becomes zeros; there it becomes no numbers.
    """
    flat = patches.reshape(len(patches), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-6)


def sliced_distance(a: np.ndarray, b: np.ndarray, directions: np.ndarray) -> float:
    """The mean distance of sorted projections of two clouds [N, D] on unit directions [D, R].

    Source: Rabin et al., 2011; tensorflow-gan 2.1.
    """
    columns = np.array_split(directions, math.ceil(directions.shape[1] / 64), axis=1)  # some at a time: memory
    apart = [np.abs(np.sort(a @ some, axis=0) - np.sort(b @ some, axis=0)).mean(axis=0) for some in columns]
    return float(np.concatenate(apart).mean())


class SlicedWasserstein(Metric):
    """1,000 times the distance, as published; lower is better. Of each level, and their mean.

    Source: Karras et al., ICLR 2018, section 5; tensorflow-gan 2.1, `sliced_wasserstein_distance`.
    """

    needs = "images"
    most = 2048

    def __init__(self, count: int, plan: "Plan") -> None:
        super().__init__(count, plan)
        self.side, self.patches = 0, np.zeros(0, np.float32)

    def add(self, seen: Seen) -> None:
        """Keeps some patches of each level of each image: [N, levels, PATCHES, D]."""
        self.side = seen.images.shape[1]
        levels = max(1, int(math.log2(self.side / COARSEST)) + 1)
        if not self.patches.size:
            self.patches = np.zeros((int(self.count), levels, PATCHES, 3 * PATCH**2), np.float32)
        for level, images in enumerate(laplacian_pyramid(seen.images, levels)):
            for number, image in zip(seen.numbers, images, strict=True):
                self.patches[number, level] = _patches(image, np.random.default_rng((number, level)))

    def scores(self, real: "SlicedWasserstein") -> dict[str, Score]:
        """The mean over the levels, and each."""
        count, size = min(len(self.patches), len(real.patches)), self.patches.shape[-1]
        directions = np.random.default_rng(0).standard_normal((size, DIRECTIONS), np.float32)
        directions /= np.linalg.norm(directions, axis=0)
        found = {}
        for level in range(self.patches.shape[1]):
            a, b = (side.patches[:count, level].reshape(-1, size) for side in (self, real))
            found[str(int(self.side) >> level)] = Score(1000 * sliced_distance(a, b, directions))
        return {"": Score(float(np.mean([score.value for score in found.values()])))} | found

    def notes(self, real: "SlicedWasserstein") -> list[str]:
        """Whether fewer images were compared than the name says."""
        return [f"of {len(real.patches)} images of each kind"] if len(real.patches) < len(self.patches) else []


def _patches(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some patches at random places: [S, S, 3] -> [PATCHES, D], normalized."""
    places = rng.integers(0, len(image) - PATCH, (PATCHES, 2), endpoint=True)
    return normalized(np.stack([image[y : y + PATCH, x : x + PATCH] for y, x in places]))
