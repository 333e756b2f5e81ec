"""A stored photograph becomes images at every scale: the papers' preparation."""

import io
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from stackgan_tf.config import DataConfig
from stackgan_tf.data.captioned import Box

LOAD_RATIO = 76 / 64  # 304 for 256
FILTER = Image.Resampling.BILINEAR  # Pillow's, which averages when it makes smaller


def load_image(
    encoded: bytes, box: Box | None, side: int, dice: np.ndarray, random_crop: bool, random_flip: bool
) -> Image.Image:
    """Decodes, resizes the short side to `side` * 76 / 64, crops at random to a square, mirrors half of them.

    Resizing and cropping are one: only the pixels that remain are made. A JPEG of more than twice the size needed is
    decoded at a half, a quarter or an eighth, which is many times faster.

    Args:
        encoded: JPEG or PNG bytes.
        box: to which the image is cropped first; None for the whole.
        dice: [3] in [0, 1): where the crop lies down and across, and mirrored below 1/2.
        random_crop: else the short side becomes `side` itself and the crop is central.

    Returns:
        [side, side] RGB.

    Source: StackGAN-v2 released code, `TextDataset` and `trainer`'s transforms (scale, random crop, random flip).
    """
    image = Image.open(io.BytesIO(encoded))
    top, left, height, width = box or (0, 0, image.height, image.width)
    scale = min(height, width) / (round(side * LOAD_RATIO) if random_crop else side)  # stored pixels a pixel
    kept = side * scale
    down, across = dice[:2] if random_crop else (0.5, 0.5)
    top, left = top + down * (height - kept), left + across * (width - kept)
    stored_width = image.width
    drafted = image.draft(None, (int(image.width / scale), int(image.height / scale)))
    zoom = drafted[1][2] / stored_width if drafted else 1  # decoded pixels a stored one
    square = np.multiply((left, top, left + kept, top + kept), zoom)
    image = image.resize((side, side), FILTER, tuple(np.minimum(square, 2 * image.size)))
    image = image if image.mode == "RGB" else image.convert("RGB")
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random_flip and dice[2] < 0.5 else image


def load_plain(encoded: bytes, box: Box | None, side: int, data: DataConfig) -> np.ndarray:
    """As for training but for chance: the crop is central, and nothing is mirrored. [side, side, 3] uint8."""
    box = box if data.box_crop else None
    return np.asarray(load_image(encoded, box, side, np.full(3, 0.5), data.random_crop, random_flip=False))


def pyramid(image: Image.Image, scales: Sequence[int]) -> list[np.ndarray]:
    """The same picture at every scale: [S, S] -> uint8 [s, s, 3] for each s of `scales`, which divide S.

    Deviation: the released code resizes with overlapping triangles, which is five times slower; here a pixel is the
    mean of those that it stands for.
    """
    return [np.asarray(image if scale == image.width else image.reduce(image.width // scale)) for scale in scales]


def scaled(images: tf.Tensor) -> tf.Tensor:
    """uint8 -> float32 in [-1, 1]; what is float32 is so already."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0 if images.dtype == tf.uint8 else images
