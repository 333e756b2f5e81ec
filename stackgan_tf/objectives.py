"""L_D and L_G: which terms, which targets, which weights. Nothing else knows the losses or the weights.

The terms come by name, [B] float32 per example and unweighted, to be averaged over the global batch and logged;
`weighted_sum` of the averages is the loss.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from keras import ops

from stackgan_tf.config import Config, LossConfig
from stackgan_tf.losses.adversarial import binary_cross_entropy
from stackgan_tf.losses.color import color_consistency
from stackgan_tf.losses.hinge import generator_hinge, hinge
from stackgan_tf.losses.kl import kl_divergence
from stackgan_tf.losses.least_squares import least_squares
from stackgan_tf.losses.matching_aware import matching_aware
from stackgan_tf.losses.r1 import r1
from stackgan_tf.models.discriminator import Discriminator
from stackgan_tf.structs import GeneratorOutputs, Logits, Tensor

Terms = dict[str, Tensor]


class Adversarial(NamedTuple):
    """An adversarial loss, [B] -> [B]: D's of logits that shall say 1 (real) or 0, G's of logits of what it drew."""

    of_d: Callable[[Tensor, float], Tensor]
    of_g: Callable[[Tensor], Tensor]


ADVERSARIAL = {
    "logistic": Adversarial(binary_cross_entropy, lambda logits: binary_cross_entropy(logits, 1.0)),
    "hinge": Adversarial(hinge, generator_hinge),
    "least_squares": Adversarial(least_squares, lambda logits: least_squares(logits, 1.0)),
}
PUBLISHED = LossConfig()

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


def penalty_weights(loss: LossConfig, lazy: bool) -> dict[str, float]:
    """The weight of each gradient penalty of every L_Di; those that are off are not named.

    Args:
        lazy: this step is one of every `r1_every_steps`: R1 is there too, for all of them.

    Source: lazy regularization: Karras et al., CVPR 2020 (arXiv 1912.04958), section 3.1 and appendix B.
    Deviation: R1 is part of the step's loss; there it is a step of its own, with Adam's rate and betas set for it.
    """
    weights = {"r1": loss.r1_weight * loss.r1_every_steps * lazy, "matching_aware": loss.matching_aware_weight}
    return {name: weight for name, weight in weights.items() if weight}


def generator_weights(loss: LossConfig, terms: Terms) -> dict[str, float]:
    """The weight of each term of L_G: 1 for the adversarial ones."""
    special = {"kl": loss.kl_weight, "color": loss.color_weight}
    return {name: special.get(name.split("/")[0], 1.0) for name in terms}


def weighted_sum(terms: Terms, weights: dict[str, float]) -> Tensor:
    """The loss: sum of weight x term over the terms that have a weight."""
    return sum(weight * terms[name] for name, weight in weights.items())


def pairs_v2(
    d: Discriminator,
    real: Tensor,
    mismatched: Tensor | None,
    fake: Tensor,
    condition: Tensor | None,
    at_once: bool = False,
) -> dict[str, Logits]:
    """Logits of real, mismatched (another image, this text) and fake pairs, each its own batch for batch norm.

    Args:
        condition: mu, [B, E], as in the released code; the papers write c.
        at_once: D sees them in one pass, and must keep them apart itself (`batches_apart`).

    Source: StackGAN++ sections 4.1 and 4.2; released code, `train_Dnet`.
    """
    shown = {"real": real} | ({} if mismatched is None else {"mismatched": mismatched}) | {"fake": fake}
    if not at_once:
        return {name: d(images, condition, training=True) for name, images in shown.items()}
    if condition is not None:
        condition = ops.tile(condition, (len(shown), 1))
    logits = d(ops.concatenate(list(shown.values())), condition, training=True)
    rows = [[None] * len(shown) if head is None else ops.split(head, len(shown)) for head in logits]
    return {name: Logits(*heads) for name, *heads in zip(shown, *rows, strict=True)}


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


def discriminator_terms(
    pairs: dict[str, Logits], mismatched_weight: Tensor | None = None, loss: LossConfig = PUBLISHED
) -> Terms:
    """The adversarial loss of each judgement, by the names of `TARGETS`; smoothed, D is asked for 1 - s, not for 1.

    Source: StackGAN equation (3), StackGAN++ equations (4) and (6); one-sided smoothing: Salimans et al., NIPS 2016
    (arXiv 1606.03498), section 3.4.
    Deviation: v1 pairs of the same class have weight 0 (`mismatched_weight`); the released code calls them mismatched.
    """
    of_d, sure, terms = ADVERSARIAL[loss.adversarial].of_d, 1 - loss.label_smoothing, {}
    for name, logits in pairs.items():
        if logits.conditional is not None:
            terms[name] = of_d(logits.conditional, sure * TARGETS[name])
        if logits.unconditional is not None:
            name = f"{name}_unconditional"
            terms[name] = of_d(logits.unconditional, sure * TARGETS[name])
    if mismatched_weight is not None:
        terms["mismatched"] *= mismatched_weight[: ops.shape(terms["mismatched"])[0]]
    return terms


def generator_terms(
    discriminators: tuple[Discriminator, ...],
    outputs: GeneratorOutputs,
    config: Config,
    shown: Sequence[Tensor] | None = None,
) -> Terms:
    """Adversarial terms of every scale that has a D, KL, and colour consistency of neighbouring scales.

    Args:
        shown: what each D sees of `outputs.images`, where that is not the images themselves: augmented ones.

    Source: StackGAN equation (4), StackGAN++ equations (5) and (7), L_C of section 4.3.
    """
    condition = outputs.mu
    if condition is not None and (config.loss.detach_condition or config.model.family != "v2"):
        condition = ops.stop_gradient(condition)  # the words that D does not use yet would fade from mu
    judged = outputs.images[-len(discriminators) :]
    of_g, terms = ADVERSARIAL[config.loss.adversarial].of_g, {}
    for i, (d, images) in enumerate(zip(discriminators, judged if shown is None else shown, strict=True)):
        logits = d(images, condition, training=True)
        if logits.conditional is not None:
            terms[f"conditional/{i}"] = of_g(logits.conditional)
        if logits.unconditional is not None:
            terms[f"unconditional/{i}"] = of_g(logits.unconditional)
    if outputs.log_var is not None:
        terms["kl"] = kl_divergence(outputs.mu, outputs.log_var, config.loss.kl_reduction)
    if config.loss.color_weight:
        weights = config.loss.color_mean_weight, config.loss.color_covariance_weight
        for i, (coarse, fine) in enumerate(zip(judged, judged[1:], strict=False)):
            terms[f"color/{i}"] = color_consistency(coarse, fine, *weights)
    return terms


def penalty_terms(
    names: Iterable[str],
    logits: Logits,
    images: Tensor,
    condition: Tensor | None,
    gradient: Callable[[list[Tensor], list[Tensor]], list[Tensor]],
) -> Terms:
    """The gradient penalties of a D, from its judgement of real images with their own texts.

    Args:
        names: as `penalty_weights` has them.
        logits: what D said of `images` and `condition`, [B, S, S, 3] and [B, E].
        gradient: of the sum of all logits in a list, with respect to such inputs, as `gradient` of a persistent tape
            that watched them; what it gives must be differentiable.

    Deviation: R1 is of the sum of both heads' logits; its paper's D has one. With batch norm in D, a row's gradient
    reaches the logits of the other rows as well.
    """
    heads = [head for head in logits if head is not None]
    of_penalty = {
        "r1": lambda: r1(*gradient(heads, [images])),
        "matching_aware": lambda: matching_aware(*gradient([logits.conditional], [images, condition])),
    }
    return {name: of_penalty[name]() for name in names}
