"""An encoded photograph becomes images at every scale: the papers' preparation, as a TensorFlow graph."""

from collections.abc import Sequence

import tensorflow as tf

LOAD_RATIO = 76 / 64  # 304 for 256


def load_image(
    encoded: tf.Tensor, box: tf.Tensor, side: int, dice: tf.Tensor, random_crop: bool, random_flip: bool
) -> tf.Tensor:
    """Decodes, resizes the short side to `side` * 76 / 64, crops at random to a square, mirrors half of them.

    Args:
        encoded: JPEG or PNG bytes, scalar string.
        box: [4] top, left, height, width in pixels, to which the image is cropped first; all 0 for the whole.
        dice: [3] in [0, 1): where the crop lies down and across, and mirrored below 1/2.
        random_crop: else the short side becomes `side` itself and the crop is central.

    Returns:
        [side, side, 3] float32 in [0, 255].

    Source: StackGAN-v2 released code, `TextDataset` and `trainer`'s transforms (scale, random crop, random flip).
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    box = tf.where(tf.reduce_any(box > 0), box, tf.concat([[0, 0], tf.shape(image)[:2]], axis=0))
    image = tf.slice(image, (box[0], box[1], 0), (box[2], box[3], 3))
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    short = round(side * LOAD_RATIO) if random_crop else side
    target = tf.cast(tf.round(size * (short / tf.reduce_min(size))), tf.int32)
    image = tf.image.resize(image, target, antialias=True)
    slack = target - side
    corner = tf.cast(dice[:2] * tf.cast(slack + 1, tf.float32), tf.int32) if random_crop else slack // 2
    image = tf.slice(image, tf.pad(corner, [[0, 1]]), (side, side, 3))
    return tf.where(dice[2] < 0.5, image[:, ::-1], image) if random_flip else image


def pyramid(images: tf.Tensor, scales: Sequence[int]) -> tuple[tf.Tensor, ...]:
    """The same crops at every scale: [B, S, S, 3] in [0, 255] -> [B, s, s, 3] in [-1, 1] for each s of `scales`."""
    resized = (
        images if scale == images.shape[1] else tf.image.resize(images, (scale, scale), antialias=True)
        for scale in scales
    )
    return tuple(tf.clip_by_value(image / 127.5 - 1.0, -1.0, 1.0) for image in resized)
