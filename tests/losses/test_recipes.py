"""Losses that are off by default, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.losses.hinge import generator_hinge, hinge
from stackgan_tf.losses.least_squares import least_squares
from stackgan_tf.losses.matching_aware import matching_aware
from stackgan_tf.losses.r1 import r1

HALVES = ("float16", "bfloat16", "float32")


def test_hinge_stops_a_margin_of_one_away():
    logits = tf.constant([-2.0, 0.0, 0.5, 1.0, 3.0])
    assert hinge(logits, 1.0).numpy().tolist() == [3, 1, 0.5, 0, 0]
    assert hinge(logits, 0.0).numpy().tolist() == [0, 1, 1.5, 2, 4]


def test_hinge_of_g_never_stops():
    """The known-bad twin is D's side with target 1: it teaches nothing where D is sure already."""
    logits = tf.constant([-2.0, 0.5, 3.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        good, bad = generator_hinge(logits), hinge(logits, 1.0)
    assert good.numpy().tolist() == [2, -0.5, -3]
    assert tape.gradient(good, logits).numpy().tolist() == [-1, -1, -1]
    assert tape.gradient(bad, logits).numpy().tolist() == [-1, -1, 0]


def test_least_squares_of_each_target():
    logits = tf.constant([0.0, 1.0, 3.0])
    assert least_squares(logits, 1.0).numpy().tolist() == [0.5, 0, 2]
    assert least_squares(logits, 0.0).numpy().tolist() == [0, 0.5, 4.5]


def test_r1_is_half_the_squared_norm_of_each_image():
    gradients = np.zeros((2, 2, 2, 3), np.float32)
    gradients[0, 0, 0], gradients[1] = [1, 2, 2], 0.5
    assert r1(tf.constant(gradients)).numpy().tolist() == [4.5, 1.5]  # (1 + 4 + 4) / 2, 12 / 4 / 2


def test_the_matching_aware_penalty_takes_one_norm_over_both_gradients():
    of_image, of_text = np.zeros((2, 2, 2, 3), np.float32), np.zeros((2, 5), np.float32)
    of_image[0, 1, 1, 2], of_text[0, 3], of_text[1, 0] = 1, 1, 3
    found = matching_aware(tf.constant(of_image), tf.constant(of_text))
    assert found.numpy().tolist() == [8, 729]  # sqrt(1 + 1)^6; the paper's sum of two norms would give (1 + 1)^6 = 64


@pytest.mark.parametrize("dtype", HALVES)
def test_each_is_one_float32_number_an_example_and_finite(dtype):
    """Squares of 300, and sums of 65,536 of them, overflow in float16."""
    logits, image, text = (tf.fill(shape, tf.constant(300.0, dtype)) for shape in ((2,), (2, 64, 64, 3), (2, 5)))
    found = [hinge(logits, 0.0), generator_hinge(logits), least_squares(logits, 0.0), r1(image)]
    for loss in (*found, matching_aware(image, text)):
        assert loss.shape == (2,) and loss.dtype == tf.float32 and np.isfinite(loss).all()
    if dtype == "float16":
        assert not np.isfinite(tf.reduce_sum(image**2).numpy())
