"""The learning rate of each step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.training.schedules import rate
from tests.conftest import tiny_config

BASE = 2e-4


def factors(steps, total=100, steps_per_epoch=10, **fields):
    """What a step's rate is of the base rate."""
    of_step = rate(tiny_config(optimizer=fields).optimizer, BASE, steps_per_epoch, total)
    return [float(of_step(step)) / BASE for step in steps]


def test_constant_by_default():
    assert factors([0, 99, 10**6]) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("epochs, steps_per_epoch", [(2, 10), (50, 138), (7, 3)])
def test_halved_exactly_as_by_keras(epochs, steps_per_epoch):
    config = tiny_config(optimizer={"halve_every_epochs": epochs}).optimizer
    of_step, every = rate(config, BASE, steps_per_epoch, 10**6), epochs * steps_per_epoch
    theirs = keras.optimizers.schedules.ExponentialDecay(BASE, every, 0.5, staircase=True)
    for step in (0, every - 1, every, every + 1, 5 * every - 1, 5 * every, 100_003):
        assert np.float32(of_step(step)) == np.float32(theirs(step)), step
    assert float(of_step(every - 1)) == 2 * float(of_step(every))


@pytest.mark.parametrize(
    "decay, expected",
    [("linear", [1, 1, 1, 0.5, 0.02, 0, 0]), ("cosine", [1, 1, 1, 0.5, (1 + np.cos(0.98 * np.pi)) / 2, 0, 0])],
)
def test_decay_in_the_second_half(decay, expected):
    assert factors([0, 49, 50, 75, 99, 100, 101], decay=decay) == pytest.approx(expected, abs=1e-6)


def test_decay_from_the_beginning_or_late():
    assert factors([0, 50, 99], decay="linear", decay_from=0.0) == pytest.approx([1, 0.5, 0.01], abs=1e-6)
    assert factors([0, 79, 80, 90], decay="linear", decay_from=0.8) == pytest.approx([1, 1, 1, 0.5], abs=1e-6)


def test_the_last_step_still_teaches():
    for total in (1, 2, 1000):
        assert factors([total - 1], total, decay="linear")[0] > 0


def test_warm_up_rises_to_the_whole_rate():
    assert factors([0, 1, 3, 4, 50], warmup_steps=4) == pytest.approx([0.25, 0.5, 1, 1, 1])


def test_all_of_them_multiply():
    found = factors([0, 75], warmup_steps=2, halve_every_epochs=5, decay="linear")
    assert found == pytest.approx([0.5, 0.5 * 0.5])


def test_in_a_graph_of_a_changing_step():
    of_step = rate(tiny_config(optimizer={"decay": "cosine", "warmup_steps": 3}).optimizer, BASE, 10, 100)
    step = tf.Variable(0, dtype=tf.int64)
    compiled = tf.function(lambda: of_step(step), autograph=False)
    for value in (0, 60, 99):
        step.assign(value)
        assert compiled().dtype == tf.float64 and float(compiled()) == pytest.approx(float(of_step(value)))
