"""The built-in data set and the rule that reads its pictures."""

import itertools
import random

import numpy as np
import pytest

from stackgan_tf.data.builders import shapes
from stackgan_tf.evaluation.shape_attributes import CHANCE, attribute_accuracy, read_attributes, table


def pictures(count):
    rng = random.Random(0)
    asked = [rng.choice(shapes.COMBINATIONS) for _ in range(count)]
    drawn = [shapes.draw(a, rng.choice(shapes.ROWS), rng.choice(shapes.COLUMNS), rng) for a in asked]
    return np.array([np.asarray(image) for image in drawn]), asked


def test_what_is_held_out_is_a_pair_of_colours_and_nothing_else():
    train = [c for c in shapes.COMBINATIONS if not shapes.is_held_out(c)]
    assert len(shapes.COMBINATIONS) == 252 and len(train) == 234
    assert not {(c.color, c.background) for c in train} & shapes.HELD_OUT
    for kept in itertools.combinations(shapes.Attributes._fields, 2):
        pairs = {tuple(getattr(c, name) for name in kept) for c in shapes.COMBINATIONS}
        seen = {tuple(getattr(c, name) for name in kept) for c in train}
        assert pairs - seen == (shapes.HELD_OUT if kept == ("color", "background") else set())


def test_every_caption_names_the_four_attributes():
    rng = random.Random(0)
    for attributes in shapes.COMBINATIONS:
        for caption in shapes.captions(attributes, "top", "left", rng):
            assert attributes.color in caption and attributes.background in caption
            assert attributes.shape in caption
            assert any(word in caption for word in shapes.SIZES[attributes.size])
            assert "{" not in caption


@pytest.mark.parametrize(
    "row, column, words", [("top", "left", "at the top left"), ("middle", "middle", "in the middle")]
)
def test_positions_in_words(row, column, words):
    captions = shapes.captions(shapes.COMBINATIONS[0], row, column, random.Random(0))
    assert any(words in caption for caption in captions)


def test_the_rule_reads_real_pictures():
    images, asked = pictures(600)
    assert attribute_accuracy(images, asked) == dict.fromkeys(CHANCE, 1.0)


def test_the_rule_stands_noise_and_other_sizes():
    images, asked = pictures(200)
    noisy = np.clip(images + np.random.default_rng(0).normal(0, 15, images.shape), 0, 255).astype(np.uint8)
    assert min(attribute_accuracy(noisy, asked).values()) > 0.97
    larger = images.repeat(2, axis=1).repeat(2, axis=2)
    assert min(attribute_accuracy(larger, asked).values()) > 0.97


def test_known_bad_pictures_score_at_chance():
    images, asked = pictures(600)
    random.Random(1).shuffle(asked)
    scores = attribute_accuracy(images, asked)
    for name, chance in CHANCE.items():
        assert scores[name] < chance + 0.08


def test_a_flat_picture_shows_a_background_only():
    flat = np.full((64, 64, 3), shapes.COLORS["blue"], np.uint8)
    assert read_attributes(flat) == ("none", "blue", "none", "none")


def test_the_table_names_every_attribute():
    text = table(dict.fromkeys(CHANCE, 0.5))
    assert all(name in text for name in CHANCE) and "50.0%" in text
