"""Blocks that are computed again for their gradient: the same numbers, and the block really twice in the graph."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.distribution import statistics
from stackgan_tf.models.layers import JointBlock
from stackgan_tf.training.recompute import recompute_blocks
from tests.conftest import tiny_config
from tests.training.test_step import train

CASES = {
    "v2": ("v2", {}),
    "v1_stage2": ("v1_stage2", {}),
    "r1": ("v1_stage1", {"loss": {"r1_weight": 0.5, "r1_every_steps": 2}}),
    "matching_aware": ("v2", {"loss": {"matching_aware_weight": 0.1}, "model": {"branches": 1}}),
    "accumulate": ("v1_stage1", {"train": {"batch_size": 8, "accumulate": 2}}),
}
QUICK = {("one_replica", "matching_aware"), ("two_replicas", "r1")}


@pytest.mark.parametrize(
    "replicas, case",
    [
        pytest.param(replicas, case, marks=[] if (replicas, case) in QUICK else pytest.mark.slow)
        for replicas in ("one_replica", "two_replicas")
        for case in CASES
    ],
)
def test_a_step_is_the_same(replicas, case, request):
    """Metrics, gradients (Adam's first moments after a step) and batch norm's statistics; R1 and the matching-aware
    penalty differentiate twice."""
    family, sections = CASES[case]
    strategy, found = request.getfixturevalue(replicas), []
    for recompute in (False, True):
        config = tiny_config(family, **sections | {"train": sections.get("train", {}) | {"recompute": recompute}})
        state, metrics = train(config, strategy, 1)
        moments = [np.array(m.numpy()) for o in state.optimizers.values() for m in o.adam.m.values()]
        moved = [np.array(v.numpy()) for m in (state.generator, *state.discriminators) for v in statistics(m)]
        found.append((metrics, moments + moved))
    (told, plain), (as_told, recomputed) = found
    assert as_told == pytest.approx(told, rel=1e-5, abs=1e-6)
    for a, b in zip(plain, recomputed, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a).max() + 1e-9)


class Alone(keras.Model):
    """A block, its weights drawn from a fixed seed."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False)
        keras.utils.set_random_seed(0)
        self.block = JointBlock(6, activation="glu", upsample=True, **kwargs)
        self.block(tf.zeros((1, 4, 4, 3)), tf.zeros((1, 2)))


def gradient_function(block):
    """Of a sum over the block's output, with respect to its two inputs and its weights."""

    @tf.function(autograph=False)
    def gradients(x, code):
        with tf.GradientTape() as tape:
            tape.watch([x, code])
            loss = tf.reduce_sum(tf.cast(block(x, code, training=True), tf.float32) ** 2)
        return tape.gradient(loss, [x, code, *(v.value for v in block.trainable_variables)])

    return gradients


def inputs():
    rng = np.random.default_rng(0)
    return [tf.constant(rng.standard_normal(shape), tf.float32) for shape in ((2, 4, 4, 3), (2, 2))]


def moved(block):
    return [v.numpy() for v in block.non_trainable_variables]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_a_block_at_every_precision(precision, spectral_norm):
    """Its gradients, and what its forward pass moves: batch norm's statistics, the spectral norm's u."""
    plain, recomputed = (Alone(dtype=precision, spectral_norm=spectral_norm) for _ in range(2))
    recompute_blocks(recomputed)
    gradients = [gradient_function(model.block)(*inputs()) for model in (plain, recomputed)]
    for a, b in zip(*gradients, strict=True):
        assert a.dtype == b.dtype == tf.float32
        np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a).max())
    for a, b in zip(moved(plain.block), moved(recomputed.block), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_statistics_that_move_twice_are_seen():
    """The known-bad twin: TensorFlow's own way runs the block again, whatever it changes."""
    plain, recomputed, twice = (Alone() for _ in range(3))
    recompute_blocks(recomputed)
    again = tf.recompute_grad(partial(twice.block.call, training=True))
    twice.block.call = lambda x, code, training: again(x, code)
    for model in (plain, recomputed, twice):
        gradient_function(model.block)(*inputs())
    far = [np.abs(a - b).max() for a, b in zip(moved(plain.block), moved(twice.block), strict=True)]
    near = [np.abs(a - b).max() for a, b in zip(moved(plain.block), moved(recomputed.block), strict=True)]
    assert max(near) < 1e-6 < 1e-3 < max(far)


def test_the_convolution_is_there_twice():
    def convolutions(model):
        graph = gradient_function(model.block).get_concrete_function(*inputs()).graph
        return sum(op.type == "Conv2D" for op in graph.get_operations())

    plain, recomputed = Alone(), Alone()
    recompute_blocks(recomputed)
    assert (convolutions(plain), convolutions(recomputed)) == (1, 2)


def test_drawing_is_left_alone():
    plain, recomputed = Alone(), Alone()
    recompute_blocks(recomputed)
    np.testing.assert_array_equal(plain.block(*inputs()), recomputed.block(*inputs()))
