"""Hand-computed numbers."""

import math

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.losses.adversarial import binary_cross_entropy
from stackgan_tf.losses.color import color_consistency, color_statistics
from stackgan_tf.losses.kl import kl_divergence


def test_binary_cross_entropy_is_minus_log_probability():
    logits = tf.constant([0.0, 2.0, -3.0])
    probability = 1 / (1 + np.exp([-0.0, -2.0, 3.0]))
    np.testing.assert_allclose(binary_cross_entropy(logits, 1.0), -np.log(probability), rtol=1e-6)
    np.testing.assert_allclose(binary_cross_entropy(logits, 0.0), -np.log(1 - probability), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_binary_cross_entropy_of_extreme_logits_is_finite_float32(dtype):
    loss = binary_cross_entropy(tf.constant([1e4, -1e4], dtype), 1.0)
    assert loss.dtype == tf.float32 and np.isfinite(loss).all() and loss[1] > 9e3
    # the known-bad way: probabilities in half precision
    bad = -tf.math.log(tf.sigmoid(tf.constant([-1e4], dtype)))
    assert not np.isfinite(tf.cast(bad, tf.float32)).all()


def test_kl_of_the_standard_normal_is_zero():
    assert kl_divergence(tf.zeros((2, 5)), tf.zeros((2, 5))).numpy().tolist() == [0, 0]


def test_kl_is_the_mean_over_the_entries():
    loss = kl_divergence(tf.constant([[1.0, 0.0]]), tf.constant([[0.0, math.log(4.0)]]))
    # entry 1: mu^2 / 2 = 0.5; entry 2: (4 - 1 - ln 4) / 2
    assert loss.numpy() == pytest.approx([(0.5 + (3 - math.log(4)) / 2) / 2])


def test_kl_in_half_precision_does_not_overflow():
    loss = kl_divergence(tf.zeros((1, 4), tf.float16), tf.fill((1, 4), tf.constant(12.0, tf.float16)))
    assert loss.dtype == tf.float32 and loss.numpy()[0] == pytest.approx((math.exp(12) - 13) / 2)


def test_color_statistics_of_two_colors():
    image = np.zeros((1, 2, 2, 3), np.float32)
    image[0, 0] = [1.0, 0.0, -1.0]  # half of the pixels; the rest is 0
    mean, covariance = color_statistics(tf.constant(image))
    np.testing.assert_allclose(mean, [[0.5, 0.0, -0.5]])
    np.testing.assert_allclose(covariance[0], [[0.25, 0, -0.25], [0, 0, 0], [-0.25, 0, 0.25]])


def test_color_consistency_weighs_mean_and_covariance():
    coarse = tf.zeros((1, 2, 2, 3))
    fine = np.zeros((1, 4, 4, 3), np.float32)
    fine[0, :2, :, 0] = 1.0
    # mean differs by 0.5 in one of 3 entries, covariance by 0.25 in one of 9
    expected = 1 * 0.25 / 3 + 5 * 0.0625 / 9
    assert color_consistency(coarse, tf.constant(fine)).numpy() == pytest.approx([expected])


def test_color_consistency_teaches_the_fine_image_only():
    coarse, fine = tf.Variable(tf.random.normal((1, 2, 2, 3))), tf.Variable(tf.random.normal((1, 4, 4, 3)))
    with tf.GradientTape() as tape:
        loss = color_consistency(coarse.value(), fine.value())
    gradients = tape.gradient(loss, [coarse, fine])
    assert gradients[0] is None or not np.any(gradients[0])
    assert np.any(gradients[1])


def test_losses_are_one_number_an_example():
    assert color_consistency(tf.zeros((3, 4, 4, 3)), tf.zeros((3, 8, 8, 3))).shape == (3,)
    assert kl_divergence(tf.zeros((3, 4)), tf.zeros((3, 4))).shape == (3,)
