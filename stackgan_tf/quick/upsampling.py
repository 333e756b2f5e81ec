"""Nearest upsampling and a convolution as one transposed convolution: no large map between, half the operations."""

from collections.abc import Callable

import keras
import tensorflow as tf

from stackgan_tf.models.layers import ConvBlock
from stackgan_tf.quick.small_maps import LARGEST


def transpose_upsampling(model: keras.Model) -> None:
    """Makes every upsampling `ConvBlock` of a large map a transposed convolution.

    A pixel that is repeated twice meets two weights of the kernel; added before, they are one weight of a kernel that
    is larger by one, with 4 products where there were 9.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, ConvBlock) and layer.upsampling and type(layer.conv) is keras.layers.Conv2D:
            layer.convolved = _transposed(layer, layer.convolved)


def _transposed(block: ConvBlock, plain: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def transposed(x: tf.Tensor, training: bool = False) -> tf.Tensor:
        _, height, width, _ = x.shape
        if max(height, width) <= LARGEST:
            return plain(x, training)
        kernel = tf.transpose(tf.reverse(tf.convert_to_tensor(block.conv.kernel), (0, 1)), (0, 1, 3, 2))
        for axis in range(2):
            kernel = sum(tf.pad(kernel, [ends if i == axis else (0, 0) for i in range(4)]) for ends in ((0, 1), (1, 0)))
        shape = (tf.shape(x)[0], 2 * height, 2 * width, kernel.shape[2])
        return tf.nn.conv2d_transpose(x, kernel, shape, 2)

    return transposed
