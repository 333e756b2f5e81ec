"""Augmentation of what D sees: by hand, at each number's ends, and to be learnt through."""

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.config_rules import AUGMENTATIONS
from stackgan_tf.models import diff_augment as module
from stackgan_tf.models.diff_augment import NUMBERS, diff_augment

ALL = "color,translation,cutout"
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0.1, 1, (2, 16, 16, 3)).astype(np.float32)
STILL = np.float32([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])  # changes no colour, shifts nothing


def numbers(**changed):
    """`STILL` for both images, with the changed ones for the second."""
    names = ("brightness", "saturation", "contrast", "x", "y", "hole_x", "hole_y")
    rows = np.stack([STILL, STILL])
    for name, value in changed.items():
        rows[1, names.index(name)] = value
    return rows


def test_the_names_are_those_that_a_card_may_have():
    assert tuple(module.AUGMENTATIONS) == AUGMENTATIONS and len(STILL) == NUMBERS


def test_nothing_named_changes_nothing():
    assert diff_augment(IMAGES, numbers(), "") is IMAGES


def test_the_middle_of_each_number_changes_no_colour_and_shifts_nothing():
    np.testing.assert_allclose(diff_augment(IMAGES, numbers(), "color,translation"), IMAGES, atol=1e-6)


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({"brightness": 0.75}, IMAGES[1] + 0.25),
        ({"saturation": 0.0}, IMAGES[1].mean(axis=2, keepdims=True) + np.zeros(3)),
        ({"contrast": 0.0}, IMAGES[1].mean() + 0.5 * (IMAGES[1] - IMAGES[1].mean())),
        # brightness, then saturation, then contrast
        ({"brightness": 0.0, "saturation": 0.0, "contrast": 1.0}, None),
    ],
)
def test_colors(changed, expected):
    if expected is None:
        grey = IMAGES[1].mean(axis=2, keepdims=True) - 0.5
        expected = grey.mean() + 1.5 * (grey - grey.mean()) + np.zeros(3)
    augmented = diff_augment(IMAGES, numbers(**changed), "color")
    np.testing.assert_allclose(augmented[0], IMAGES[0], atol=1e-6)
    np.testing.assert_allclose(augmented[1], expected, atol=1e-5)


@pytest.mark.parametrize(
    "changed, where, source",
    [
        ({"x": 0.999}, np.s_[:, 2:], np.s_[:, :-2]),  # 16 / 8 pixels to the right
        ({"x": 0.0}, np.s_[:, :-2], np.s_[:, 2:]),
        ({"y": 0.7}, np.s_[1:], np.s_[:-1]),  # one of five shifts, a fifth each
        ({"y": 0.0}, np.s_[:-2], np.s_[2:]),
    ],
)
def test_shifts(changed, where, source):
    expected = np.zeros_like(IMAGES[1])
    expected[where] = IMAGES[1][source]
    np.testing.assert_array_equal(diff_augment(IMAGES, numbers(**changed), "translation")[1], expected)


@pytest.mark.parametrize(
    "changed, hole",
    [
        ({}, np.s_[4:12, 4:12]),
        ({"hole_x": 0.0}, np.s_[4:12, :4]),
        ({"hole_x": 0.999, "hole_y": 0.999}, np.s_[12:, 12:]),  # around the pixel behind the last
    ],
)
def test_holes(changed, hole):
    expected = IMAGES[1].copy()
    expected[hole] = 0
    np.testing.assert_array_equal(diff_augment(IMAGES, numbers(**changed), "cutout")[1], expected)


def test_every_shift_and_every_hole_is_as_likely_as_the_next():
    images = np.ones((8000, 8, 8, 1), np.float32)
    drawn = RNG.random((8000, NUMBERS), np.float32)
    shifted = diff_augment(images, drawn, "translation").numpy()
    counts = [np.mean(np.all(np.isin(shifted[:, :, column, 0], 0), axis=1)) for column in (0, -1)]
    np.testing.assert_allclose(counts, 1 / 3, atol=0.02)  # one pixel to the right, to the left, or none
    cut = 1 - diff_augment(images, drawn, "cutout").numpy().mean(axis=0)[..., 0]
    # of the 9 columns that a hole of 4 is around, how many reach column i
    reached = np.array([sum(centre - 2 <= i < centre + 2 for centre in range(9)) for i in range(8)])
    np.testing.assert_allclose(cut, np.outer(reached, reached) / 81, atol=0.03)


@pytest.mark.parametrize("side", [8, 64, 256])
def test_any_scale_in_a_compiled_graph_and_twice_differentiable(side):
    images = tf.constant(RNG.uniform(-1, 1, (2, side, side, 3)).astype(np.float32))
    drawn = tf.constant(RNG.random((2, NUMBERS), np.float32))

    def slopes(images):
        with tf.GradientTape() as outer:
            outer.watch(images)
            with tf.GradientTape() as inner:
                inner.watch(images)
                y = tf.reduce_sum(diff_augment(images, drawn, ALL) ** 3)
            first = inner.gradient(y, images)
            total = tf.reduce_sum(first**2)
        return first, outer.gradient(total, images)

    compiled = tf.function(slopes, jit_compile=True, autograph=False)(images)
    for found, expected in zip(compiled, slopes(images), strict=True):
        assert found.shape == images.shape and np.any(found)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_a_gradient_comes_back_to_the_pixel_it_was_drawn_from():
    images = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(images)
        corner = diff_augment(images, numbers(x=0.999, y=0.999), "translation")[1, 2, 2, 0]
    gradient = tape.gradient(corner, images).numpy()
    assert gradient[1, 0, 0, 0] == 1 and np.count_nonzero(gradient) == 1
