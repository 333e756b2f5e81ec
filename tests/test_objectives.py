"""The objectives of spec: targets, weights, pairs."""

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import networks, objectives
from stackgan_tf.structs import Logits
from tests.conftest import random_batch, tiny_config

LN2 = np.log(2.0)


def zeros_pairs(unconditional=True):
    zero = tf.zeros(2)
    return {name: Logits(zero, zero if unconditional else None) for name in ("real", "mismatched", "fake")}


@pytest.mark.parametrize(
    "family, changes, total",
    [
        ("v2", {}, 6),  # six terms, no halves
        ("v2", {"loss": {"joint": False}}, 2),  # 1 + 1/2 + 1/2
        ("v2", {"model": {"conditional": False}}, 2),  # real + fake
        ("v1_stage1", {}, 2),
        ("v1_stage2", {}, 2),  # (1 + 1) / 2 + (1 + 1 + 1) / 3
    ],
)
def test_weights_of_undecided_logits(family, changes, total):
    terms = {k: tf.reduce_mean(v) for k, v in objectives.discriminator_terms(zeros_pairs()).items()}
    weights = objectives.discriminator_weights(tiny_config(family, **changes))
    assert float(objectives.weighted_sum(terms, weights)) == pytest.approx(total * LN2, rel=1e-6)


def test_targets_a_mismatched_image_is_a_real_photograph():
    sure = tf.constant([10.0])
    terms = objectives.discriminator_terms({n: Logits(sure, sure) for n in ("real", "mismatched", "fake")})
    rejected = {name for name, term in terms.items() if float(term[0]) > 5}
    assert rejected == {"mismatched", "fake", "fake_unconditional"}


def test_every_term_has_a_target_and_every_weight_a_term():
    for weights in objectives.DISCRIMINATOR_WEIGHTS.values():
        assert set(weights) <= set(objectives.TARGETS)


@pytest.mark.parametrize("family", ["v1_stage1", "v1_stage2"])
def test_v1_pairs_the_real_features_with_the_next_text(family):
    config = tiny_config(family)
    _, (d,) = networks.build(config)
    batch = random_batch(config)
    condition = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    following = np.roll(condition, -1, axis=0)
    pairs = objectives.pairs_v1(d, batch.images[-1], batch.images[-1] * 0.5, condition, following, rows=3)
    features = d.encoder(batch.images[-1], training=True)
    expected = d.judge(features[:3], condition[1:], training=True)
    np.testing.assert_allclose(pairs["mismatched"].conditional, expected.conditional, atol=1e-5)
    assert np.abs(pairs["mismatched"].conditional - pairs["real"].conditional[:3]).max() > 1e-4


def test_pairs_of_one_class_do_not_count():
    pairs = {"mismatched": Logits(tf.constant([1.0, 2.0, 3.0]), None)}
    terms = objectives.discriminator_terms(pairs, tf.constant([2.0, 0.0, 2.0, 0.0]))
    assert terms["mismatched"].numpy()[1] == 0 and terms["mismatched"].numpy()[0] > 0


@pytest.mark.parametrize(
    "family, changes, reaches",
    [("v2", {}, True), ("v2", {"loss": {"detach_condition": True}}, False), ("v1_stage1", {}, False)],
)
def test_who_teaches_the_condition(family, changes, reaches):
    """v2's D teaches mu through the condition it reads in the G step, unless detached; v1 always detaches it."""
    config = tiny_config(family, **changes)
    generator, discriminators = networks.build(config)
    rng = np.random.default_rng(0)
    inputs = {k: rng.standard_normal((4, s)).astype(np.float32) for k, s in generator.noise_sizes.items()}
    with tf.GradientTape() as tape:
        outputs = generator(**inputs, text_embedding=random_batch(config).text_embedding)
        detached = outputs._replace(images=tuple(tf.stop_gradient(i) for i in outputs.images))
        terms = objectives.generator_terms(discriminators, detached, config)
        loss = sum(tf.reduce_sum(v) for k, v in terms.items() if k.startswith("conditional"))
    kernel = generator.conditioning.dense.kernel
    assert (tape.gradient(loss, kernel.value) is not None) == reaches


def test_generator_terms_and_weights():
    config = tiny_config(loss={"color_weight": 50.0, "kl_weight": 3.0})
    generator, discriminators = networks.build(config)
    zeros = {k: np.zeros((4, s), np.float32) for k, s in generator.noise_sizes.items()}
    outputs = generator(**zeros, text_embedding=random_batch(config).text_embedding)
    terms = objectives.generator_terms(discriminators, outputs, config)
    assert {name: term.shape for name, term in terms.items()} == dict.fromkeys(terms, (4,))
    weights = objectives.generator_weights(config.loss, terms)
    ones = dict.fromkeys(["conditional/0", "unconditional/0", "conditional/1", "unconditional/1"], 1.0)
    assert weights == ones | {"kl": 3.0, "color/0": 50.0}
