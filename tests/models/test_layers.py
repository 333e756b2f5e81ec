"""The blocks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.models import layers
from stackgan_tf.models.conditioning import ConditioningAugmentation
from stackgan_tf.models.discriminator import ConditionalHead, ImageEncoder
from stackgan_tf.models.v2 import FirstStage, NextStage

X = np.random.default_rng(0).standard_normal((2, 8, 8, 4)).astype(np.float32)


def test_glu_gates_the_first_half_by_the_second():
    x = tf.constant([[3.0, -1.0, 0.0, 100.0]])
    np.testing.assert_allclose(layers.glu(x), [[1.5, -1.0]])


def test_upsampling_repeats_pixels():
    up = layers.NearestUpsampling()(X).numpy()
    np.testing.assert_array_equal(up, X.repeat(2, axis=1).repeat(2, axis=2))


def test_upsampling_has_a_second_derivative():
    x = tf.Variable(X)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = tf.reduce_sum(layers.NearestUpsampling()(x.value()) ** 3)
        slope = tf.reduce_sum(inner.gradient(y, x))
    np.testing.assert_allclose(outer.gradient(slope, x), 4 * 6 * X, rtol=1e-4)


def test_down_pads_one_pixel_on_each_side():
    block = layers.ConvBlock(3, 4, 2, activation=None, norm=None)
    got = block(X)
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))
    np.testing.assert_allclose(got, tf.nn.conv2d(padded, block.conv.kernel, 2, "VALID"), atol=1e-5)


def test_batch_norm_uses_the_published_constants():
    block = layers.ConvBlock(3, activation=None)
    block(X)
    before = block.conv(X).numpy()
    y = block(X, training=True).numpy()
    mean, var = before.mean((0, 1, 2)), before.var((0, 1, 2))
    np.testing.assert_allclose(y, (before - mean) / np.sqrt(var + 1e-5) * block.norm.gamma.numpy(), atol=1e-4)
    np.testing.assert_allclose(block.norm.moving_mean, 0.1 * mean, atol=1e-5)
    np.testing.assert_allclose(block.norm.moving_variance, 0.9 + 0.1 * var, atol=1e-5)


def test_two_blocks_of_one_shape_start_differently():
    a, b = (layers.ConvBlock(4, initializer="normal", name=n) for n in "ab")
    a(X), b(X)
    assert np.abs(a.conv.kernel.numpy() - b.conv.kernel.numpy()).max() > 1e-3


@pytest.mark.parametrize("initializer, spread", [("normal", 0.02), ("orthogonal", 1 / 16)])
def test_initial_weights(initializer, spread):
    block = layers.ConvBlock(64, 4, 2, initializer=initializer)
    block(np.zeros((1, 8, 8, 16), np.float32))
    kernel = block.conv.kernel.numpy().reshape(-1, 64)
    assert kernel.std() == pytest.approx(spread, rel=0.05)
    if initializer == "orthogonal":
        np.testing.assert_allclose(kernel.T @ kernel, np.eye(64), atol=1e-4)
    assert block.norm.gamma.numpy().mean() == pytest.approx(1, abs=0.02)
    assert 0.01 < block.norm.gamma.numpy().std() < 0.03


@pytest.mark.parametrize("activation", ["relu", "glu"])
def test_conditioning_augmentation(activation):
    layer = ConditioningAugmentation(5, activation)
    text, eps = np.random.default_rng(1).standard_normal((2, 3, 7)).astype(np.float32), np.ones((3, 5), np.float32)
    c, mu, log_var = layer(text[0], eps)
    y = text[0] @ layer.dense.kernel.numpy()
    y = np.maximum(y, 0) if activation == "relu" else y[:, :10] / (1 + np.exp(-y[:, 10:]))
    np.testing.assert_allclose(mu, y[:, :5], atol=1e-5)
    np.testing.assert_allclose(log_var, y[:, 5:], atol=1e-5)
    np.testing.assert_allclose(c, y[:, :5] + np.exp(y[:, 5:] / 2), rtol=1e-4)


HEAD = {"width": 4, "condition_first": True, "initializer": "normal"}
CASES = [
    (layers.ConvBlock, {"filters": 6, "norm": "layer"}, (X,)),
    (layers.ConvBlock, {"filters": 6, "spectral_norm": True}, (X,)),
    (layers.NearestUpsampling, {}, (X,)),
    (layers.ConvBlock, {"filters": 6, "activation": "glu", "upsample": True}, (X,)),
    (layers.ConvBlock, {"filters": 6, "kernel": 4, "stride": 2, "activation": "leaky_relu"}, (X,)),
    (layers.ResidualBlock, {"filters": 4}, (X,)),
    (layers.ResidualBlock, {"filters": 4, "activation": "relu", "final_relu": True, "initializer": "normal"}, (X,)),
    (layers.Start, {"filters": 4}, (X[:, 0, 0],)),
    (layers.ToImage, {}, (X,)),
    (layers.LogitHead, {}, (X[:, :4, :4],)),
    (layers.LogitHead, {"spectral_norm": True}, (X[:, :4, :4],)),
    (ConditioningAugmentation, {"size": 3}, (X[:, 0, 0], X[:, 0, 0, :3])),
    (ImageEncoder, {"size": 8, "df": 2, "initializer": "normal", "norm": "batch"}, (X[..., :3],)),
    (ConditionalHead, HEAD | {"norm": "batch"}, (X[:, :4, :4], X[:, 0, 0])),
    (ConditionalHead, HEAD | {"norm": "layer"}, (X[:, :4, :4], X[:, 0, 0])),
    (ConditionalHead, HEAD | {"norm": "batch", "spectral_norm": True}, (X[:, :4, :4], X[:, 0, 0])),
    (FirstStage, {"gf": 2, "size": 8}, (X[:, 0, 0],)),
    (NextStage, {"width": 4, "residual_blocks": 1}, (X, X[:, 0, 0])),
]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("cls, arguments, inputs", CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_layer(cls, arguments, inputs, policy):
    """Every layer runs at each precision, keeps float32 variables, and comes back from its configuration."""
    layer = cls(**arguments, dtype=policy)
    outputs = keras.tree.flatten(layer(*inputs))
    exact = cls in (layers.ToImage, layers.LogitHead, ConditioningAugmentation, ConditionalHead)
    assert {keras.backend.standardize_dtype(y.dtype) for y in outputs} == {
        "float32" if exact else policy.removeprefix("mixed_")
    }
    assert all(v.dtype == "float32" for v in layer.variables if "seed" not in v.path)
    again = cls.from_config(layer.get_config())
    again(*inputs)
    again.set_weights(layer.get_weights())
    for y, z in zip(outputs, keras.tree.flatten(again(*inputs)), strict=True):
        np.testing.assert_array_equal(y, z)
