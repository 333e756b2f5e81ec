"""Batch norm in a step: by TensorFlow's fused kernels, and several batches in one pass, each normalised by itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from stackgan_tf.distribution import batch_norms

Normalised = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # as x; of each batch mean and biased variance, [batches, C]


def quicken_batch_norm(model: keras.Model) -> None:
    """Makes every batch norm of a built model compute as here in training mode.

    Keras casts to float32, and takes moments and normalises in seven passes over memory. On the tested CPU the fused
    kernel is four times as fast, forward and backward. It is differentiated once only and knows one replica;
    a synchronised batch norm stays as Keras has it.
    """
    for layer in batch_norms(model):
        layer.batches = 1
        layer.call = _quick(layer, layer.call)


@contextmanager
def batches_apart(model: keras.Model, batches: int) -> Iterator[None]:
    """Inside, the rows that the model sees are so many batches of equal size, one after the other.

    Around the gradients as well: blocks that are recomputed run again there.
    """
    for layer in batch_norms(model):
        layer.batches = batches
    yield
    for layer in batch_norms(model):
        layer.batches = 1


def _quick(norm: keras.layers.BatchNormalization, keras_call: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def call(x: tf.Tensor, training: bool = False, mask: None = None) -> tf.Tensor:
        if not training or (norm.synchronized and norm.batches == 1):
            return keras_call(x, training=training)
        y, *moments = (_synchronised if norm.synchronized else _fused)(norm, x)
        for moving, moment in zip((norm.moving_mean, norm.moving_variance), moments, strict=True):
            average = tf.convert_to_tensor(moving)
            for of_batch in tf.unstack(moment):
                average = average * norm.momentum + of_batch * (1 - norm.momentum)
            moving.assign(average)
        return y

    return call


def _fused(norm: keras.layers.BatchNormalization, x: tf.Tensor) -> Normalised:
    """Of this replica alone."""
    gamma, beta = tf.convert_to_tensor(norm.gamma), tf.convert_to_tensor(norm.beta)
    maps = tf.reshape(x, (-1, 1, 1, x.shape[-1])) if x.shape.rank == 2 else x
    none = tf.zeros(0)
    found = [
        tf.raw_ops.FusedBatchNormV3(
            x=batch, scale=gamma, offset=beta, mean=none, variance=none, epsilon=norm.epsilon, is_training=True
        )
        for batch in tf.split(maps, norm.batches)
    ]
    count = tf.cast(tf.size(x[..., 0]) // norm.batches, tf.float32)
    biased = tf.maximum(count - 1, 1) / count  # the kernel tells the unbiased variance
    y = tf.reshape(tf.concat([batch.y for batch in found], 0), tf.shape(x))
    return y, tf.stack([b.batch_mean for b in found]), biased * tf.stack([b.batch_variance for b in found])


def _synchronised(norm: keras.layers.BatchNormalization, x: tf.Tensor) -> Normalised:
    """Of all replicas."""
    parts = tf.cast(tf.reshape(x, (norm.batches, -1, *x.shape[1:])), tf.float32)
    axes = list(range(1, parts.shape.rank - 1))
    mean, variance = keras.ops.moments(parts, axes, keepdims=True, synchronized=True)
    y = tf.nn.batch_normalization(parts, mean, variance, norm.beta, norm.gamma, norm.epsilon)
    return tf.cast(tf.reshape(y, tf.shape(x)), x.dtype), tf.squeeze(mean, axes), tf.squeeze(variance, axes)
