"""What a gradient penalty needs of D: the gradient of a gradient, beside finite differences, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.distribution import synchronize_batch_norm
from stackgan_tf.models import layers

X = tf.constant(np.random.default_rng(0).standard_normal((4, 8, 8, 3)))


class Judge(keras.Model):
    """Smooth, so that finite differences meet no kink."""

    def __init__(self, norm, spectral_norm=False):
        keras.utils.set_random_seed(0)
        super().__init__(dtype="float64")
        self.first = layers.ConvBlock(4, 4, 2, activation=None, norm=None, dtype="float64")
        self.second = layers.ConvBlock(5, activation=None, norm=norm, spectral_norm=spectral_norm, dtype="float64")
        self.last = keras.layers.Conv2D(1, 4, dtype="float64")

    def call(self, x):
        return tf.tanh(self.last(tf.tanh(self.second(tf.tanh(self.first(x)), training=True))))


def error(judge):
    """Of the gradient of a penalty for the first kernel, along a random direction."""
    judge(X)
    kernel = judge.first.conv.kernel
    start, direction = kernel.numpy(), np.random.default_rng(1).standard_normal(kernel.shape)

    def penalty(step):
        kernel.assign(start + step * direction)
        with tf.GradientTape() as outer:
            outer.watch(kernel.value)
            with tf.GradientTape() as inner:
                inner.watch(X)
                logits = judge(X)
            loss = tf.reduce_sum(inner.gradient(logits, X) ** 2)
        return float(loss), outer.gradient(loss, kernel.value)

    exact = (penalty(1e-6)[0] - penalty(-1e-6)[0]) / 2e-6
    return abs(float(tf.reduce_sum(penalty(0)[1] * direction)) / exact - 1)


@pytest.mark.parametrize("norm", ["layer", None])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_penalties_are_differentiated_exactly(norm, spectral_norm):
    judge = Judge(norm, spectral_norm)
    for _ in range(500 if spectral_norm else 0):  # u and v become the singular vectors
        judge(X)
    assert error(judge) < 1e-5


def test_batch_norm_must_be_synchronised_even_on_one_replica():
    """The known-bad twin is Keras' way on one replica: the variance holds the mean fixed."""
    good, bad = Judge("batch"), Judge("batch")
    synchronize_batch_norm(good)
    assert error(good) < 1e-5 and error(bad) > 1e-4


def test_the_layer_norm_of_keras_is_seen():
    """The known-bad twin, and the same otherwise."""
    good, bad = Judge("layer"), Judge("layer")
    bad.second.norm = keras.layers.LayerNormalization(epsilon=1e-5, dtype="float64", name="norm")
    expected = good(X)
    bad(X)
    bad.set_weights(good.get_weights())
    np.testing.assert_allclose(bad(X), expected, rtol=1e-9)
    assert [v.name for v in good.second.norm.variables] == [v.name for v in bad.second.norm.variables]
    assert error(good) < 1e-5 and error(bad) > 1e-4
