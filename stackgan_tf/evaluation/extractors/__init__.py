"""Networks that look at pictures for the metrics: what they make of an image is its features and its logits."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from stackgan_tf.errors import UserError

FILTERS = ("bicubic", "bilinear")
INCEPTION = "inception_v3"
JOINT = "joint_"  # begins the names of jointly trained encoders
BATCH = 64  # images


class Activations(NamedTuple):
    """What an extractor makes of images."""

    features: tf.Tensor  # [B, F] float32
    logits: tf.Tensor | None  # [B, K] float32, before any softmax


class Extractor(NamedTuple):
    """A network that looks at pictures."""

    name: str  # as in the name of a protocol
    fingerprint: str  # another one whenever an activation would be another
    side: int | None  # of the images that it takes, in pixels; None for any
    network: Callable[[tf.Tensor], Activations]  # [B, side, side, 3] float32 in [-1, 1]
    has_logits: bool

    def __call__(self, images: tf.Tensor, resize: str = FILTERS[0], at: int | None = None) -> Activations:
        """Images [B, S, S, 3] uint8; with `at` first made of that side, then as the network takes them."""
        pixels = tf.cast(images, tf.float32)
        for side in (at, self.side):
            pixels = resized(pixels, side, resize) if side else pixels
        return self.network(pixels / 127.5 - 1.0)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Images [N, S, S, 3] uint8 -> [N, F] float32."""
        parts = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
        return np.concatenate([self(tf.constant(part)).features.numpy() for part in parts])


def load(name: str, weights: str = "") -> Extractor:
    """The ImageNet InceptionV3 by its name, or the network in a .keras file or a SavedModel's folder.

    Args:
        weights: a file of weights for InceptionV3, where Keras cannot fetch its own.

    Raises:
        UserError: there is none, or it does not take images.
    """
    from stackgan_tf.evaluation.extractors import inception_v3, saved

    if name == INCEPTION:
        return inception_v3.load(weights)
    if weights:
        raise UserError(f"--weights={weights}: only {INCEPTION} takes weights of its own; leave it out with {name}")
    return saved.load(Path(name).expanduser())


def resized(images: tf.Tensor, side: int, resize: str) -> tf.Tensor:
    """Square images [B, S, S, 3] float32 -> [B, side, side, 3], antialiased as Pillow does, not rounded in between.

    Resizing is linear: TensorFlow's own, of an identity matrix, gives the weights; the rest are two products, which
    every device has, and which take a fifth of the time.
    """
    size = images.shape[1]
    if size == side:
        return images
    with tf.init_scope():  # once, not at every batch
        identity = np.eye(size, dtype=np.float32)[..., None]
        weights = tf.image.resize(identity, (side, size), resize, antialias=True)[..., 0].numpy()
    return tf.einsum("jw,biwc->bijc", weights, tf.einsum("ih,bhwc->biwc", weights, images))


def digest(parts: Iterable[bytes]) -> str:
    """A fingerprint of what was read."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def extractor_of(
    path: Path, fingerprint: str, network: Callable[[tf.Tensor], Any], shape: tuple[int | None, ...]
) -> Extractor:
    """A network, named like its file, with its outputs as `Activations`; tried on two images.

    Args:
        shape: of its input.

    Raises:
        UserError: it takes no square RGB images, or does not give [B, F].
    """
    if path.stem == INCEPTION or path.stem.startswith(JOINT):
        raise UserError(f"--extractor={path}: its figures would pass for those of another network; name it otherwise")
    if len(shape) != 4 or shape[0] is not None or shape[3] != 3 or shape[1] != shape[2]:
        raise UserError(f"--extractor={path}: takes inputs of shape {shape}; must take square images, [B, S, S, 3]")

    def activations(images: tf.Tensor) -> Activations:
        outputs = network(images)
        if not isinstance(outputs, dict):
            outputs = {"features": outputs}
        return Activations(outputs.get("features"), outputs.get("logits"))

    side, strategy = shape[1] or 64, tf.distribute.get_strategy()
    try:  # as a replica: what a strategy has loaded cannot be called outside of it
        run = tf.function(lambda: strategy.run(activations, (tf.zeros((2, side, side, 3)),)), autograph=False)
        found = strategy.experimental_local_results(run())[0]
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise UserError(f"--extractor={path}: cannot look at an image ({' '.join(str(error).split())[:200]})") from None
    shapes = [tuple(x.shape) for x in found if x is not None]
    if found.features is None or any(len(of) != 2 or of[0] != 2 for of in shapes):
        raise UserError(f"--extractor={path}: must give features [B, F], or a dictionary of features and logits [B, K]")
    return Extractor(path.stem, fingerprint, shape[1], activations, found.logits is not None)
