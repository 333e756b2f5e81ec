"""Whole networks: sizes, ranges, determinism, published parameter counts."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import config as configs
from stackgan_tf import networks
from stackgan_tf.config_rules import CHOICES
from tests.conftest import tiny_config

FAMILIES = CHOICES["model.family"]


def inputs_of(generator, config, rows=3, seed=0):
    rng = np.random.default_rng(seed)
    inputs = {k: rng.standard_normal((rows, s)).astype(np.float32) for k, s in generator.noise_sizes.items()}
    if config.model.conditional:
        inputs["text_embedding"] = rng.standard_normal((rows, config.data.text_size)).astype(np.float32)
    return inputs


@pytest.mark.parametrize("precision", [p for p in CHOICES["train.precision"] if p != "auto"])
@pytest.mark.parametrize("family", FAMILIES)
def test_images_of_every_scale_and_logits(family, precision):
    config = tiny_config(family)
    generator, discriminators = networks.build(config, precision)
    outputs = generator(**inputs_of(generator, config))
    assert tuple(image.shape[1] for image in outputs.images) == config.scales
    for image in outputs.images:
        assert image.dtype == tf.float32 and np.abs(image).max() <= 1 and image.numpy().std() > 0
    assert outputs.mu.shape == outputs.log_var.shape == (3, 5)
    for d, image in zip(discriminators, outputs.images[-len(discriminators) :], strict=True):
        logits = d(image, outputs.mu)
        assert logits.conditional.shape == (3,) and logits.conditional.dtype == tf.float32
        assert (logits.unconditional is None) == (family == "v1_stage1")


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("branches", [1, 2, 3, 4, 5])
def test_any_number_of_branches(branches, conditional):
    config = tiny_config(model={"branches": branches, "gf": 16, "conditional": conditional, "residual_blocks": 1})
    generator, discriminators = networks.build(config)
    outputs = generator(**inputs_of(generator, config))
    assert [image.shape[1] for image in outputs.images] == [8 * 2**i for i in range(branches)]
    assert len(discriminators) == branches
    if not conditional:
        assert outputs.mu is None and discriminators[-1](outputs.images[-1]).conditional is None


@pytest.mark.parametrize("family", FAMILIES)
def test_a_generator_is_a_function_of_its_inputs(family):
    """In training mode, where batch norm keeps v1's small initial weights from fading out."""
    config = tiny_config(family)
    generator = networks.build_generator(config)

    def draw(inputs):
        return generator(**inputs, training=True).images[-1].numpy()

    inputs = inputs_of(generator, config)
    image = draw(inputs)
    np.testing.assert_array_equal(image, draw(inputs))
    for name in inputs:
        changed = inputs | {name: inputs[name][::-1]}
        assert np.abs(draw(changed) - image).max() > 1e-4, f"{name} is ignored"


def test_without_joint_there_is_no_unconditional_head():
    _, (d, *_) = networks.build(tiny_config(loss={"joint": False}))
    assert d.unconditional_head is None and d.conditional_head is not None


@pytest.mark.parametrize("norm, separate", [("layer", True), ("batch", False)])
def test_layer_norm_judges_each_pair_alone(norm, separate):
    """Batch norm, the known-bad twin here, lets the other rows of a batch change the judgement."""
    config = tiny_config(model={"discriminator_norm": norm})
    _, (d, *_) = networks.build(config)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    condition = rng.standard_normal((4, 5)).astype(np.float32)
    together = d(images, condition, training=True).conditional.numpy()
    other_rows = np.concatenate([images[:1], -images[1:]])
    beside_others = d(other_rows, condition, training=True).conditional.numpy()
    assert (abs(together[0] - beside_others[0]) < 1e-5) == separate


def test_stage2_trains_its_own_weights_only():
    config = tiny_config("v1_stage2")
    generator = networks.build_generator(config)
    trained = {id(v) for v in generator.trainable_variables}
    assert trained and not trained & {id(v) for v in generator.stage1.variables}
    assert len(trained) + len(generator.stage1.trainable_variables) == len(
        [v for v in generator.variables if v.trainable]
    )


@pytest.mark.parametrize("batch_statistics", [True, False])
def test_the_frozen_stage1_normalises_as_configured(batch_statistics):
    config = tiny_config("v1_stage2", model={"stage1_batch_statistics": batch_statistics})
    generator = networks.build_generator(config)
    moving = generator.stage1.start.norm.moving_mean
    before = moving.numpy()
    generator(**inputs_of(generator, config), training=True)
    assert (np.abs(moving.numpy() - before).max() > 0) == batch_statistics


@pytest.mark.parametrize("model", [{}, {"spectral_norm": True}], ids=["", "spectral_norm"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_network_comes_back_from_its_configuration(family, model):
    config = tiny_config(family, model=model)
    generator, (*_, d) = networks.build(config)
    inputs = inputs_of(generator, config)
    again = type(generator).from_config(generator.get_config())
    again(**inputs)
    again.set_weights(generator.get_weights())
    images = generator(**inputs).images
    np.testing.assert_array_equal(again(**inputs).images[-1], images[-1])
    judge = type(d).from_config(d.get_config())
    condition = np.ones((3, 5), np.float32)
    judge(images[-1], condition)
    judge.set_weights(d.get_weights())
    np.testing.assert_array_equal(judge(images[-1], condition).conditional, d(images[-1], condition).conditional)
    for model in (generator, d):
        arguments = set(inspect.signature(type(model).__init__).parameters) - {"self", "kwargs"}
        assert arguments <= set(model.get_config())


PUBLISHED = {
    "v2": {
        "generator": 21_239_696,
        "discriminator_64": 5_723_906,
        "discriminator_128": 18_834_178,
        "discriminator_256": 71_269_122,
    },
    "v1_stage2": {"discriminator_256": 71_269_122},
}


@pytest.mark.parametrize("family", PUBLISHED)
def test_full_size_parameter_counts(family):
    config = configs.from_dict({"model": {"family": family}, "data": {"text_size": 1024}})
    with tf.Graph().as_default():
        counts = dict(networks.parameter_counts(networks.build(config)))
    assert {name: counts[name] for name in PUBLISHED[family]} == PUBLISHED[family]


def test_the_counts_of_a_graph_are_those_of_real_weights():
    config = tiny_config()
    with tf.Graph().as_default():
        counts = networks.parameter_counts(networks.build(config))
    built = networks.build(config)
    assert counts == networks.parameter_counts(built)
    assert sum(count for _, count in counts) == sum(
        keras.ops.size(v) for model in (built.generator, *built.discriminators) for v in model.trainable_variables
    )
