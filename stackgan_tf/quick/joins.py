"""A feature map joined with a code, without the code's map: it is the same at every pixel, so is its convolution."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from stackgan_tf.models.layers import JointBlock, tiled
from stackgan_tf.quick.small_maps import LARGEST


def split_joins(model: keras.Model) -> None:
    """Makes every `JointBlock` on a large map add the convolution of its code to that of its features.

    Where no border is near, a code's convolution is the same at every pixel; so all of it is in that of a map no larger
    than the kernel. It saves four fifths of the operations at 128 x 128 pixels of the published G.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, JointBlock) and not layer.upsampling and type(layer.conv) is keras.layers.Conv2D:
            layer.joined = _split(layer, layer.joined)


def _split(block: JointBlock, joined: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def split(features: tf.Tensor, code: tf.Tensor, training: bool = False) -> tf.Tensor:
        _, height, width, channels = features.shape
        if min(height, width) <= LARGEST:
            return joined(features, code, training)
        kernel = tf.convert_to_tensor(block.conv.kernel)
        side, _, both, filters = kernel.shape
        first = both - channels if block.code_first else channels
        of_code, of_features = tf.split(kernel, (first, both - first), 2)[:: 1 if block.code_first else -1]
        small = tf.zeros((1, side, side, 1), features.dtype)
        places = tf.nn.conv2d(tiled(code, small), of_code, 1, "SAME")  # [B, side, side, filters]
        maps = _spread(height, width, side).astype(features.dtype.as_numpy_dtype) @ tf.reshape(
            places, (-1, side * side, filters)
        )
        return tf.nn.conv2d(features, of_features, 1, "SAME") + tf.reshape(maps, (-1, height, width, filters))

    return split


def _spread(height: int, width: int, side: int) -> np.ndarray:
    """Which place of a map of side x side each pixel of a large one is like: [height * width, side * side] of 0 and 1.

    Those within half a kernel of a border are like the same there, all others like the middle.
    """
    half = side // 2
    rows, columns = (
        np.clip(np.arange(n), 0, half) + np.clip(np.arange(n) - (n - 1 - half), 0, half) for n in (height, width)
    )
    return np.eye(side * side, dtype=np.float32)[(rows[:, None] * side + columns).reshape(-1)]
