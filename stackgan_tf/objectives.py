"""L_D and L_G: which terms, which targets, which weights. Nothing else knows the weights.

The terms come by name, [B] float32 per example and unweighted, to be averaged over the global batch and logged;
`weighted_sum` of the averages is the loss.
"""

from keras import ops

from stackgan_tf.config import Config, LossConfig
from stackgan_tf.losses.adversarial import binary_cross_entropy
from stackgan_tf.losses.color import color_consistency
from stackgan_tf.losses.kl import kl_divergence
from stackgan_tf.models.discriminator import Discriminator
from stackgan_tf.structs import GeneratorOutputs, Logits, Tensor

Terms = dict[str, Tensor]

# A bare name is the conditional head's judgement of a pair (image, text).
# A mismatched image is a real photograph: the unconditional head shall say so.
TARGETS = {
    "real": 1.0,
    "mismatched": 0.0,
    "fake": 0.0,
    "real_unconditional": 1.0,
    "mismatched_unconditional": 1.0,
    "fake_unconditional": 0.0,
}
DISCRIMINATOR_WEIGHTS = {
    "v1_stage1": {"real": 1.0, "mismatched": 1 / 2, "fake": 1 / 2},
    "v1_stage2": {
        "real": 1 / 2,
        "real_unconditional": 1 / 2,
        "fake": 1 / 3,
        "mismatched": 1 / 3,
        "fake_unconditional": 1 / 3,
    },
    "v2": dict.fromkeys(TARGETS, 1.0),
    "v2_without_joint": {"real": 1.0, "mismatched": 1 / 2, "fake": 1 / 2},
    "v2_unconditional": {"real_unconditional": 1.0, "fake_unconditional": 1.0},
}


def discriminator_weights(config: Config) -> dict[str, float]:
    """The weight of each term of every L_Di."""
    if config.model.family != "v2":
        return DISCRIMINATOR_WEIGHTS[config.model.family]
    if not config.model.conditional:
        return DISCRIMINATOR_WEIGHTS["v2_unconditional"]
    return DISCRIMINATOR_WEIGHTS["v2" if config.loss.joint else "v2_without_joint"]


def generator_weights(loss: LossConfig, terms: Terms) -> dict[str, float]:
    """The weight of each term of L_G: 1 for the adversarial ones."""
    special = {"kl": loss.kl_weight, "color": loss.color_weight}
    return {name: special.get(name.split("/")[0], 1.0) for name in terms}


def weighted_sum(terms: Terms, weights: dict[str, float]) -> Tensor:
    """The loss: sum of weight x term over the terms that have a weight."""
    return sum(weight * terms[name] for name, weight in weights.items())


def pairs_v2(
    d: Discriminator, real: Tensor, mismatched: Tensor | None, fake: Tensor, condition: Tensor | None
) -> dict[str, Logits]:
    """Logits of real, mismatched (another image, this text) and fake pairs, each its own batch for batch norm.

    Args:
        condition: mu, [B, E], as in the released code; the papers write c.

    Source: StackGAN++ sections 4.1 and 4.2; released code, `train_Dnet`.
    """
    logits = {"real": d(real, condition, training=True)}
    if mismatched is not None:
        logits["mismatched"] = d(mismatched, condition, training=True)
    return logits | {"fake": d(fake, condition, training=True)}


def pairs_v1(
    d: Discriminator, real: Tensor, fake: Tensor, condition: Tensor, next_condition: Tensor, rows: int
) -> dict[str, Logits]:
    """Logits of real, mismatched (this image, the next text) and fake pairs; the real features serve twice.

    Args:
        condition: mu, [B, E], as in the released code; the paper writes c.
        next_condition: mu of the next image's text, [B, E].
        rows: how many rows have a next image: B, but B - 1 where the batch ends.

    Source: StackGAN section 3.3; released code, `compute_discriminator_loss`.
    """
    features = d.encoder(real, training=True)
    return {
        "real": d.judge(features, condition, training=True),
        "mismatched": d.judge(features[:rows], next_condition[:rows], training=True),
        "fake": d.judge(d.encoder(fake, training=True), condition, training=True),
    }


def discriminator_terms(pairs: dict[str, Logits], mismatched_weight: Tensor | None = None) -> Terms:
    """Binary cross-entropy of each judgement, by the names of `TARGETS`.

    Source: StackGAN equation (3), StackGAN++ equations (4) and (6).
    Deviation: v1 pairs of the same class have weight 0 (`mismatched_weight`); the released code calls them mismatched.
    """
    terms = {}
    for name, logits in pairs.items():
        if logits.conditional is not None:
            terms[name] = binary_cross_entropy(logits.conditional, TARGETS[name])
        if logits.unconditional is not None:
            name = f"{name}_unconditional"
            terms[name] = binary_cross_entropy(logits.unconditional, TARGETS[name])
    if mismatched_weight is not None:
        terms["mismatched"] *= mismatched_weight[: terms["mismatched"].shape[0]]
    return terms


def generator_terms(discriminators: tuple[Discriminator, ...], outputs: GeneratorOutputs, config: Config) -> Terms:
    """Adversarial terms of every scale that has a D, KL, and colour consistency of neighbouring scales.

    Source: StackGAN equation (4), StackGAN++ equations (5) and (7), L_C of section 4.3.
    """
    condition = outputs.mu
    if condition is not None and (config.loss.detach_condition or config.model.family != "v2"):
        condition = ops.stop_gradient(condition)  # the words that D does not use yet would fade from mu
    judged = outputs.images[-len(discriminators) :]
    terms = {}
    for i, (d, images) in enumerate(zip(discriminators, judged, strict=True)):
        logits = d(images, condition, training=True)
        if logits.conditional is not None:
            terms[f"conditional/{i}"] = binary_cross_entropy(logits.conditional, 1.0)
        if logits.unconditional is not None:
            terms[f"unconditional/{i}"] = binary_cross_entropy(logits.unconditional, 1.0)
    if outputs.log_var is not None:
        terms["kl"] = kl_divergence(outputs.mu, outputs.log_var, config.loss.kl_reduction)
    if config.loss.color_weight:
        weights = config.loss.color_mean_weight, config.loss.color_covariance_weight
        for i, (coarse, fine) in enumerate(zip(judged, judged[1:], strict=False)):
            terms[f"color/{i}"] = color_consistency(coarse, fine, *weights)
    return terms
