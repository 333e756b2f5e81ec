"""Convolutions to small feature maps as one product of matrices: the same sums, up to twenty times as fast on CPUs."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

LARGEST = 8  # side of the map that comes out, in pixels; from 16 on oneDNN's convolutions are faster


def multiply_small_maps(model: keras.Model) -> None:
    """Makes every convolution of a model, where what comes out is small, the product of its patches and its kernel.

    A kernel is large where a map is small: 33 million numbers from 8 x 8 to 4 x 4 pixels of the published D_256. A
    convolution's gradient by such a kernel runs at a fiftieth of the rate of the product.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D):
            layer.convolution_op = _product(layer, layer.convolution_op)


def _product(layer: keras.layers.Conv2D, convolution: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def product(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        _, *shape = layer.compute_output_shape(inputs.shape)
        if max(shape[:2]) > LARGEST:
            return convolution(inputs, kernel)
        _, height, width, channels = inputs.shape
        pixels = _seen(height, width, layer)
        patches = _collected(tf.reshape(inputs, (-1, height * width, channels)), pixels)
        flat = tf.reshape(patches, (-1, kernel.shape[0] * kernel.shape[1] * channels))
        return tf.reshape(flat @ tf.reshape(kernel, (-1, kernel.shape[-1])), (-1, *shape))

    return product


def _seen(height: int, width: int, layer: keras.layers.Conv2D) -> np.ndarray:
    """The numbers of the pixels that each place of a kernel sees, patch by patch; height * width outside the map."""
    borders = []
    for size, kernel, stride in zip((height, width), layer.kernel_size, layer.strides, strict=True):
        missing = max((-(-size // stride) - 1) * stride + kernel - size, 0) if layer.padding == "same" else 0
        borders.append((missing // 2, missing - missing // 2))
    numbers = np.arange(height * width).reshape(height, width)
    numbers = np.pad(numbers, borders, constant_values=height * width)
    windows = np.lib.stride_tricks.sliding_window_view(numbers, layer.kernel_size)
    return windows[:: layer.strides[0], :: layer.strides[1]].reshape(-1)


def _collected(pixels: tf.Tensor, chosen: np.ndarray) -> tf.Tensor:
    """The chosen of n pixels, with zeros for the number n: [B, n, C] -> [B, len(chosen), C].

    TensorFlow's own patches take ten times as long, their gradient three times.
    """
    count = pixels.shape[1]
    places = [np.flatnonzero(chosen == number) for number in range(count)]
    most = max(map(len, places))
    back = np.stack([np.pad(at, (0, most - len(at)), constant_values=len(chosen)) for at in places])

    @tf.custom_gradient
    def collect(x: tf.Tensor) -> tuple:
        return _gathered(x, chosen), add

    @tf.custom_gradient
    def add(dy: tf.Tensor) -> tuple:
        return tf.reduce_sum(_gathered(dy, back), 2), collect

    return collect(pixels)


def _gathered(x: tf.Tensor, numbers: np.ndarray) -> tf.Tensor:
    """Rows of every example; zeros after the last one."""
    return tf.gather(tf.pad(x, ((0, 0), (0, 1), (0, 0))), numbers, axis=1)
