"""What makes a step quick, beside what it stands for: the same numbers."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import objectives
from stackgan_tf.distribution import batch_norms, statistics, synchronize_batch_norm
from stackgan_tf.models.discriminator import Discriminator
from stackgan_tf.models.layers import ConvBlock, JointBlock, Start
from stackgan_tf.quick.batch_norm import batches_apart, quicken_batch_norm
from stackgan_tf.quick.gates import compile_gates
from stackgan_tf.quick.joins import split_joins
from stackgan_tf.quick.small_maps import multiply_small_maps
from stackgan_tf.quick.upsampling import transpose_upsampling
from stackgan_tf.training import state as training_state
from stackgan_tf.training.step import TrainStep
from tests.conftest import tiny_config
from tests.training.test_step import train

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-0.3, 0.3, (3, 4, 16, 16, 3)).astype(np.float32)
CONDITION = RNG.standard_normal((4, 128)).astype(np.float32)


def two_models(make, shape, dtype="float32"):
    """Of one layer each, with the same weights."""
    models = [keras.Sequential([keras.Input(shape, dtype=dtype), make()]) for _ in range(2)]
    values = [np.random.default_rng(i).uniform(0.5, 1.5, w.shape) for i, w in enumerate(models[0].get_weights())]
    for model in models:
        model.set_weights(values)
    return models


def computed(model, x, runs=2):
    """What a model says of x in training mode, a gradient by x and by every weight, and the statistics afterwards."""
    weight = tf.constant(np.random.default_rng(2).standard_normal(model(x).shape), tf.float32)
    for _ in range(runs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(model(x, training=True), tf.float32)
            loss = tf.reduce_sum(weight * y)
        gradients = tape.gradient(loss, [x, *(v.value for v in model.trainable_variables)])
    found = [y, *gradients, *statistics(model)]
    return [tf.cast(v, tf.float32).numpy() for v in found]


def assert_close(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("bfloat16", 0.02), ("float16", 0.003)])
@pytest.mark.parametrize("shape", [(6,), (4, 4, 6), (1, 1, 6)])
def test_batch_norm_is_that_of_keras(shape, dtype, tolerance):
    x = tf.cast(3 + 2 * RNG.standard_normal((5, *shape)), dtype)
    policy = dtype if dtype == "float32" else f"mixed_{dtype}"
    make = partial(keras.layers.BatchNormalization, epsilon=1e-5, momentum=0.9, dtype=policy)
    plain, quick = two_models(make, shape, dtype)
    quicken_batch_norm(quick)
    assert_close(computed(quick, x), computed(plain, x), tolerance)
    expected = tf.cast(plain(x), tf.float32)
    np.testing.assert_allclose(tf.cast(quick(x), tf.float32), expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("synchronized", [False, True])
def test_batches_at_once_are_those_one_by_one(synchronized):
    """The known-bad twin takes them for one batch."""
    found = {}
    for way in ("one by one", "at once", "as one"):
        keras.utils.set_random_seed(0)
        d = Discriminator(16, df=4)
        real, mismatched, fake = (tf.constant(IMAGES[i] * (i + 1)) for i in range(3))
        condition = tf.constant(CONDITION)
        d(real, condition)
        quicken_batch_norm(d)
        if synchronized:
            synchronize_batch_norm(d)
        at_once = way != "one by one"
        with tf.GradientTape() as tape, batches_apart(d, 3 if way == "at once" else 1):
            pairs = objectives.pairs_v2(d, real, mismatched, fake, condition, at_once)
            loss = sum(tf.reduce_sum(term) for term in objectives.discriminator_terms(pairs).values())
            gradients = tape.gradient(loss, [v.value for v in d.trainable_variables])
        heads = [head for logits in pairs.values() for head in logits]
        assert list(pairs) == ["real", "mismatched", "fake"] and all(layer.batches == 1 for layer in batch_norms(d))
        found[way] = [v.numpy() for v in (*heads, *gradients, *statistics(d))]
    assert_close(found["at once"], found["one by one"], 2e-5)
    with pytest.raises(AssertionError):
        assert_close(found["as one"], found["one by one"], 2e-5)


@pytest.mark.parametrize(
    "side, kernel, stride, padding",
    [(16, 4, 2, "same"), (7, 3, 1, "same"), (5, 4, 2, "same"), (4, 4, 4, "valid"), (8, 3, 2, "valid")],
)
def test_small_maps_are_those_of_the_convolution(side, kernel, stride, padding):
    x = tf.constant(RNG.standard_normal((3, side, side, 5)), tf.float32)
    plain, quick = two_models(partial(keras.layers.Conv2D, 7, kernel, stride, padding), (side, side, 5))
    multiply_small_maps(quick)
    assert_close(computed(quick, x), computed(plain, x), 1e-5)
    assert operations(plain, x).count("Conv2D") == 1 and "Conv2D" not in operations(quick, x)


HALVES = [("float32", 1e-5), ("mixed_bfloat16", 0.02), ("mixed_float16", 0.003)]


@pytest.mark.parametrize("policy, tolerance", HALVES)
def test_upsampling_is_the_transposed_convolution(policy, tolerance):
    x = tf.constant(RNG.standard_normal((2, 9, 10, 3)), tf.float32)
    plain, quick = two_models(partial(ConvBlock, 4, activation=None, upsample=True, dtype=policy), (9, 10, 3))
    transpose_upsampling(quick)
    assert_close(computed(quick, x), computed(plain, x), tolerance)
    np.testing.assert_allclose(quick(x), plain(x), atol=tolerance * np.abs(plain(x)).max())
    assert {"Tile", "Conv2DBackpropInput"} & set(operations(quick, x)) == {"Conv2DBackpropInput"}


def test_upsampling_small_maps_stays():
    x = tf.zeros((1, 8, 8, 3))
    plain, quick = two_models(partial(ConvBlock, 4, upsample=True), (8, 8, 3))
    transpose_upsampling(quick)
    assert operations(quick, x) == operations(plain, x)


@pytest.mark.parametrize("policy, tolerance", HALVES)
@pytest.mark.parametrize("code_first", [False, True])
@pytest.mark.parametrize("kernel, shape", [(3, (9, 10, 4)), (5, (12, 9, 4)), (1, (9, 9, 4)), (3, (8, 8, 4))])
def test_a_join_is_split(kernel, shape, code_first, policy, tolerance):
    """Gradients by features, code and kernel, as in float32; the last shape is small and stays whole."""
    features, code = (tf.constant(RNG.standard_normal((2, *size)), tf.float32) for size in (shape, (6,)))
    found = []
    for quick in (False, True):
        keras.utils.set_random_seed(0)
        dtype = policy if quick else "float32"
        block = JointBlock(3, code_first, kernel=kernel, activation=None, norm=None, dtype=dtype)
        block(features, code)
        if quick:
            split_joins(block)
        with tf.GradientTape() as tape:
            tape.watch([features, code])
            y = tf.cast(block(features, code), tf.float32)
            loss = tf.reduce_sum(y * tf.reshape(tf.sin(tf.range(tf.size(y), dtype=tf.float32)), y.shape))
        gradients = tape.gradient(loss, [features, code, block.conv.kernel.value])
        found.append([y, *gradients])
        assert ("ConcatV2" in operations(block, features, code)) != (quick and shape[0] > 8)
    expected, split = ([v.numpy() for v in values] for values in found)
    assert_close(split, expected, 3 * tolerance)


@pytest.mark.parametrize("policy, tolerance", HALVES)
def test_a_compiled_gate_is_that_of_keras(policy, tolerance):
    x = tf.constant(RNG.standard_normal((2, 9, 9, 3)), tf.float32)
    plain, quick = two_models(partial(ConvBlock, 4, activation="glu", dtype=policy), (9, 9, 3))
    compile_gates(quick)
    assert_close(computed(quick, x), computed(plain, x), tolerance)
    expected = plain(x)
    np.testing.assert_allclose(quick(x), expected, atol=tolerance * np.abs(expected).max())
    assert ("Sigmoid" in operations(quick, x)) == (policy == "float32")


def test_a_start_has_its_gate_compiled():
    x = tf.constant(RNG.standard_normal((3, 6)), tf.float32)
    plain, quick = two_models(partial(Start, 2, dtype="mixed_bfloat16"), (6,))
    compile_gates(quick)
    assert_close(computed(quick, x), computed(plain, x), 0.02)
    assert "Sigmoid" not in operations(quick, x)


def test_large_maps_stay_convolutions():
    x = tf.zeros((1, 9, 9, 2))
    _, quick = two_models(partial(keras.layers.Conv2D, 3, 3, padding="same"), (9, 9, 2))
    multiply_small_maps(quick)
    assert "Conv2D" in operations(quick, x)


def operations(model, *inputs):
    return [op.type for op in tf.function(model).get_concrete_function(*inputs).graph.get_operations()]


@pytest.mark.parametrize("family, sections", [("v2", {}), ("v2", {"model": {"conditional": False}}), ("v1_stage2", {})])
def test_a_quick_step_is_the_plain_one(family, sections, one_replica, monkeypatch):
    """Adam's first moments, batch norm's statistics and the metrics after two steps."""
    found = []
    for plain in (False, True):
        if plain:
            monkeypatch.setattr(training_state, "quicken", lambda model: None)
            monkeypatch.setattr(TrainStep, "_batches_at_once", lambda *_: 1)
        state, metrics = train(tiny_config(family, **sections), one_replica, 2)
        moments = [m.numpy() for o in state.optimizers.values() for m in o.adam.m.values()]
        found.append(
            (metrics, moments + [v.numpy() for m in (state.generator, *state.discriminators) for v in statistics(m)])
        )
    (quick, values), (expected, plain_values) = found
    assert quick == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert_close(values, plain_values, 2e-5)
