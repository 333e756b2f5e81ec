"""Spectral normalisation: the norm, its gradient, replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import networks
from stackgan_tf.checkpoint import variables_by_path
from stackgan_tf.models.spectral_norm import SpectralConv2D, spectral_norm
from tests.conftest import tiny_config

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 8, 8, 3)).astype(np.float32)
SPECTRAL = {"spectral_norm": True}


def convolution(policy="float32"):
    layer = SpectralConv2D(4, 3, use_bias=False, dtype=policy, name="conv")
    layer.build((None, 8, 8, 3))
    return layer


def largest(kernel):
    return np.linalg.norm(np.reshape(kernel, (-1, kernel.shape[-1])), 2)


def test_one_step_by_hand():
    kernel, u = np.float32([[3, 0], [0, 4]]), np.float32([1, 0])
    norm, after = spectral_norm(kernel, u)  # v = (1, 0)
    assert float(norm) == 3 and after.numpy().tolist() == [1, 0]
    norm, after = spectral_norm(kernel, np.float32([0.6, 0.8]))  # v = (1.8, 3.2) / |.|, W'v = (5.4, 12.8) / |.|
    assert float(norm) == pytest.approx(np.hypot(5.4, 12.8) / np.hypot(1.8, 3.2))
    np.testing.assert_allclose(after, np.float32([5.4, 12.8]) / np.hypot(5.4, 12.8), rtol=1e-6)


def test_the_steps_reach_the_largest_singular_value_and_leave_the_kernel_alone():
    layer = convolution()
    kernel = layer.kernel.numpy()
    for _ in range(100):
        outputs = layer(X, training=True)
    np.testing.assert_array_equal(layer.kernel.numpy(), kernel)
    exact = tf.nn.conv2d(X, kernel / largest(kernel), 1, "VALID")
    np.testing.assert_allclose(outputs, exact, rtol=1e-3, atol=1e-5)
    u = layer.u.numpy()
    np.testing.assert_allclose(layer(X), exact, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(layer.u.numpy(), u), "outside training u stays"


def slope_along_the_kernel(layer, kernel):
    """Of a loss, by the layer's gradient, as the kernel grows."""
    with tf.GradientTape() as tape:
        tape.watch(kernel.value)
        loss = tf.reduce_mean(layer(X, training=True) ** 2)
    return float(tf.reduce_sum(tape.gradient(loss, kernel.value) * kernel)), float(loss)


def test_the_gradient_knows_that_the_norm_grows_with_the_kernel():
    """A kernel twice as large is the same normalised. The known-bad twin is Keras' own layer."""
    ours = convolution()
    slope, loss = slope_along_the_kernel(ours, ours.kernel)
    assert abs(slope) < 1e-4 * loss
    theirs = keras.layers.SpectralNormalization(keras.layers.Conv2D(4, 3, use_bias=False))
    theirs.build((None, 8, 8, 3))
    slope, loss = slope_along_the_kernel(theirs, theirs.layer.kernel)
    assert slope == pytest.approx(2 * loss, rel=1e-3), "as if the norm stayed"


def test_a_kernel_of_zeros_gives_zeros():
    layer = convolution()
    layer.kernel.assign(0 * layer.kernel)
    with tf.GradientTape() as tape:
        tape.watch(layer.kernel.value)
        outputs = layer(X, training=True)
    assert not np.any(outputs) and np.isfinite(tape.gradient(outputs, layer.kernel.value)).all()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_norm_is_taken_in_float32(policy):
    layer = convolution(policy)
    layer.kernel.assign(300 * layer.kernel)  # its squares overflow in float16
    for _ in range(20):
        outputs = layer(X, training=True)
    assert outputs.dtype == policy.removeprefix("mixed_") and layer.u.dtype == "float32"
    expected = tf.nn.conv2d(X, layer.kernel / largest(layer.kernel.numpy()), 1, "VALID")
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, atol=0.05)


def test_of_one_seed_all_else_begins_as_without_it():
    """So that a comparison is one of the option."""

    def drawn(model):
        keras.utils.set_random_seed(5)
        made = networks.build(tiny_config(model=model))
        return [v.numpy() for m in (*made.discriminators, made.generator) for v in m.trainable_variables]

    for plain, other in zip(drawn({}), drawn(SPECTRAL), strict=True):
        np.testing.assert_array_equal(plain, other)


@pytest.mark.parametrize("family", ["v2", "v1_stage2"])
def test_every_convolution_of_d_has_it_and_the_rest_of_d_is_the_same(family):
    plain = networks.build(tiny_config(family)).discriminators
    spectral = networks.build(tiny_config(family, model=SPECTRAL)).discriminators
    for d, with_norm in zip(plain, spectral, strict=True):
        names = set(variables_by_path(with_norm))  # which raises where two are the same
        kernels = {name for name in variables_by_path(d) if name.endswith("conv/kernel")}
        assert names - set(variables_by_path(d)) == {name.replace("conv/kernel", "conv/u") for name in kernels}
        assert [v.path for v in with_norm.trainable_variables] == [v.path for v in d.trainable_variables]


def test_all_heads_take_their_steps_in_training_only():
    d = networks.build(tiny_config(model=SPECTRAL)).discriminators[-1]
    images, condition = RNG.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32), np.ones((2, 5), np.float32)
    for training in (False, True):
        before = {v.path: v.numpy() for v in d.non_trainable_variables if v.path.endswith("/u")}
        d.judge(d.encoder(images, training=training), condition, training)
        moved = [np.any(v.numpy() != before[v.path]) for v in d.non_trainable_variables if v.path in before]
        assert moved and all(moved) == training == any(moved)


def test_replicas_keep_equal_vectors(two_replicas):
    """Each on its own rows, and in training, within a replica's context: without speaking to each other."""
    with two_replicas.scope():
        layer = convolution()
    start = layer.u.numpy()

    @tf.function(autograph=False)
    def step():
        def of_replica():
            rows = tf.gather(X, tf.distribute.get_replica_context().replica_id_in_sync_group)
            layer(rows[None], training=True)

        two_replicas.run(of_replica)

    for _ in range(3):
        step()
    first, second = (value.numpy() for value in layer.u.value.values)
    np.testing.assert_array_equal(first, second)
    expected = start
    for _ in range(3):
        _, expected = spectral_norm(layer.kernel, expected)
    np.testing.assert_allclose(first, expected, rtol=1e-5, atol=1e-6)
