"""The objectives of spec: targets, weights, pairs."""

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import networks, objectives
from stackgan_tf.structs import GeneratorOutputs, Logits
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


@pytest.mark.parametrize(
    "adversarial, of_one, of_zero, of_g",
    [("hinge", 0.0, 3.0, -2.0), ("least_squares", 0.5, 2.0, 0.5), ("logistic", None, None, None)],
)
def test_the_adversarial_loss_by_its_name(adversarial, of_one, of_zero, of_g):
    """Of logits that are 2: for D where it shall say 1, where 0; for G."""
    if adversarial == "logistic":
        of_one = of_g = np.log(1 + np.exp(-2))
        of_zero = np.log(1 + np.exp(2))
    config = tiny_config(loss={"adversarial": adversarial})
    two = tf.constant([2.0])
    pairs = {name: Logits(two, two) for name in ("real", "mismatched", "fake")}
    terms = objectives.discriminator_terms(pairs, loss=config.loss)
    for name, term in terms.items():
        assert float(term[0]) == pytest.approx(of_one if objectives.TARGETS[name] else of_zero), name
    outputs = GeneratorOutputs((np.zeros((1, 8, 8, 3), np.float32),), None, None)
    terms = objectives.generator_terms((lambda *_, **__: Logits(two, two),), outputs, config)
    assert {name: float(term[0]) for name, term in terms.items()} == pytest.approx(
        {"conditional/0": of_g, "unconditional/0": of_g}
    )


def test_only_photographs_are_smoothed():
    """The known-bad twin smooths both sides: then D would be asked to find what G draws 0.1 real."""
    logits = tf.constant([1.5])
    pairs = {name: Logits(logits, logits) for name in ("real", "mismatched", "fake")}
    plain = objectives.discriminator_terms(pairs)
    smooth = objectives.discriminator_terms(pairs, loss=tiny_config(loss={"label_smoothing": 0.1}).loss)
    moved = {name for name in plain if float(plain[name][0]) != float(smooth[name][0])}
    assert moved == {"real", "real_unconditional", "mismatched_unconditional"}
    # 0.9 of -log p and 0.1 of -log(1 - p)
    p = 1 / (1 + np.exp(-1.5))
    assert float(smooth["real"][0]) == pytest.approx(-0.9 * np.log(p) - 0.1 * np.log(1 - p), rel=1e-6)


def test_penalties_are_weighed_by_their_fields_and_r1_by_its_interval():
    assert objectives.penalty_weights(tiny_config().loss, lazy=True) == {}
    loss = tiny_config(loss={"r1_weight": 10.0, "r1_every_steps": 4, "matching_aware_weight": 2.0}).loss
    assert objectives.penalty_weights(loss, lazy=True) == {"r1": 40.0, "matching_aware": 2.0}
    assert objectives.penalty_weights(loss, lazy=False) == {"matching_aware": 2.0}


BOTH = {"r1_weight": 10.0, "matching_aware_weight": 2.0}


def penalties_of(d, images, condition, names):
    """The penalties, and the gradient of their sum for each of D's weights."""
    variables = d.trainable_variables
    with tf.GradientTape() as tape:
        with tf.GradientTape(persistent=True) as inner:
            inner.watch([x for x in (images, condition) if x is not None])
            logits = d(images, condition, training=True)
        terms = objectives.penalty_terms(names, logits, images, condition, inner.gradient)
        loss = sum(tf.reduce_sum(term) for term in terms.values())
    return terms, tape.gradient(loss, [v.value for v in variables])


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("family", ["v2", "v1_stage1", "v1_stage2"])
def test_penalties_of_a_real_discriminator_teach_it(family, precision):
    config = tiny_config(family, loss=BOTH, model={"spectral_norm": True})
    d = networks.build(config, precision).discriminators[-1]
    images = tf.constant(random_batch(config).images[-1])
    condition = tf.constant(np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32))
    terms, gradients = penalties_of(d, images, condition, objectives.penalty_weights(config.loss, lazy=True))
    for name, term in terms.items():
        assert term.shape == (4,) and term.dtype == tf.float32 and np.isfinite(term).all() and np.all(term > 0), name
    moved = [v.path for v, g in zip(d.trainable_variables, gradients, strict=True) if g is not None and np.any(g)]
    assert any("down_0" in path for path in moved) and any("conditional_head" in path for path in moved)


class Linear:
    """A discriminator whose gradients are its weights."""

    trainable_variables = ()
    by_image, by_text = np.float32([0.5, 0, 0]), np.float32([0, 1, 0, 0, 0])

    def __call__(self, images, condition=None, training=False):
        unconditional = tf.reduce_sum(images * self.by_image, axis=(1, 2, 3))
        if condition is None:
            return Logits(None, unconditional)
        return Logits(2 * unconditional + tf.linalg.matvec(condition, self.by_text), unconditional)


def test_what_each_penalty_differentiates():
    images, condition = tf.ones((2, 2, 2, 3)), tf.ones((2, 5))
    terms, _ = penalties_of(Linear(), images, condition, ["r1", "matching_aware"])
    assert terms["r1"].numpy().tolist() == [4.5, 4.5]  # both heads: 4 pixels of (1 + 0.5)^2, halved
    assert terms["matching_aware"].numpy().tolist() == [125, 125]  # one head: (4 + 1)^3
    terms, _ = penalties_of(Linear(), images, None, ["r1"])
    assert terms["r1"].numpy().tolist() == [0.5, 0.5]


def test_d_may_see_other_images_than_color_consistency():
    config = tiny_config(loss={"color_weight": 50.0})
    generator, discriminators = networks.build(config)
    zeros = {k: np.zeros((4, s), np.float32) for k, s in generator.noise_sizes.items()}
    outputs = generator(**zeros, text_embedding=random_batch(config).text_embedding)
    plain = objectives.generator_terms(discriminators, outputs, config)
    shown = [image + 0.5 for image in outputs.images]
    augmented = objectives.generator_terms(discriminators, outputs, config, shown)
    for name in ("kl", "color/0"):
        np.testing.assert_array_equal(plain[name], augmented[name])
    assert np.abs(plain["conditional/1"] - augmented["conditional/1"]).max() > 1e-3


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
