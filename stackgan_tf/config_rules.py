"""What a configuration may say: which values, and which go together."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from stackgan_tf.errors import UserError

CHOICES = {
    "model.family": ("v1_stage1", "v1_stage2", "v2"),
    "model.discriminator_norm": ("batch", "layer"),
    "model.eps_distribution": ("normal", "truncated_normal"),
    "loss.adversarial": ("logistic", "hinge", "least_squares"),
    "loss.kl_reduction": ("mean", "sum"),
    "optimizer.decay": ("none", "linear", "cosine"),
    "train.precision": ("float32", "mixed_bfloat16", "mixed_float16", "auto"),
    "train.on_nan": ("stop", "rollback"),
}
UNSCALED = CHOICES["train.precision"][:2]  # those that need no loss scale
AT_LEAST_ONE = (
    "data.captions_per_image",
    "model.gf",
    "model.df",
    "model.noise_size",
    "model.condition_size",
    "loss.r1_every_steps",
    "train.batch_size",
    "train.accumulate",
    "train.steps",
    "train.log_every_steps",
    "train.sample_every_steps",
    "train.checkpoint_every_steps",
    "train.keep_checkpoints",
)
ONLY = {  # fields that one family has
    "v2": (
        "model.conditional",
        "model.branches",
        "model.only_finest",
        "model.same_size",
        "loss.joint",
        "loss.detach_condition",
        "loss.color_weight",
        "loss.color_mean_weight",
        "loss.color_covariance_weight",
    ),
    "v1_stage1": ("model.straight",),
    "v1_stage2": ("model.stage2_text", "model.stage1_batch_statistics", "train.stage1_run_dir"),
}
WITH_TEXT_ONLY = (
    "data.captions_per_image",
    "model.conditioning_augmentation",
    "model.eps_distribution",
    "loss.matching_aware_weight",
)
OF_NO_USE_WITHOUT = {"loss.r1_every_steps": "loss.r1_weight", "optimizer.decay_from": "optimizer.decay"}
AUGMENTATIONS = ("color", "translation", "cutout")  # of loss.diff_augment
NOT_NEGATIVE = (
    "data.text_size",
    "model.residual_blocks",
    "loss.kl_weight",
    "loss.color_weight",
    "loss.color_mean_weight",
    "loss.color_covariance_weight",
    "loss.r1_weight",
    "loss.matching_aware_weight",
    "optimizer.halve_every_epochs",
    "optimizer.warmup_steps",
    "train.keep_every_hours",
)


def check(flat: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Whether a configuration can be, by the values of its fields: `{"section.field": value}`.

    Args:
        defaults: the same of a card that says nothing.

    Raises:
        UserError: a value is out of range, or does not go with another.
    """

    def require(name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise UserError(f"{name}={flat[name]!r}: must be {rule}")

    family, conditional, base, gf = (flat[f"model.{name}"] for name in ("family", "conditional", "base_size", "gf"))
    branches, same_size = flat["model.branches"], flat["model.same_size"]
    for name, value in flat.items():
        require(name, not isinstance(value, float) or math.isfinite(value), "finite")
    for name, known in CHOICES.items():
        require(name, flat[name] in known, f"one of {', '.join(known)}")
    for name in AT_LEAST_ONE:
        require(name, flat[name] >= 1, "at least 1")
    for name in NOT_NEGATIVE:
        require(name, flat[name] >= 0, "at least 0")
    for name in ("optimizer.generator_learning_rate", "optimizer.discriminator_learning_rate"):
        require(name, flat[name] > 0, "above 0")
    for name in ("optimizer.beta_1", "optimizer.beta_2", "train.ema_decay"):
        require(name, 0 <= flat[name] < 1, "from 0 to below 1")
    require("model.base_size", 8 <= base <= 1024 and base & (base - 1) == 0, "a power of two from 8 to 1024")
    require("model.branches", 1 <= branches <= 5, "from 1 to 5")
    for other, names in ONLY.items():
        for name in names if other != family else ():
            require(name, flat[name] == defaults[name], f"left out: {family} has no such choice")
    for name in WITH_TEXT_ONLY if not conditional else ():
        require(name, flat[name] == defaults[name], "left out: a model without text has no such choice")
    require("model.same_size", not (same_size and flat["model.only_finest"]), "false where model.only_finest is true")
    finest = gf // 2 ** (branches - 1) if family == "v2" else gf // (8 if flat["model.straight"] else 4)
    require("model.gf", finest >= 1, "wide enough that the finest scale keeps a channel")
    require("train.seed", 0 <= flat["train.seed"] < 2**31, "from 0 to 2147483647")
    lone = family != "v2" and flat["train.batch_size"] < 2
    require("train.batch_size", not lone, "at least 2: v1 pairs neighbours")
    for name, other in OF_NO_USE_WITHOUT.items():
        off = flat[other] == defaults[other]
        require(name, not off or flat[name] == defaults[name], f"left out where {other} is {defaults[other]}")
    _check_recipe(flat, require)


def _check_recipe(flat: Mapping[str, Any], require: Callable[[str, bool, str], None]) -> None:
    """The ranges of what makes training better; every family may have all of it."""
    smoothing, augmented = flat["loss.label_smoothing"], flat["loss.diff_augment"]
    require("loss.label_smoothing", 0 <= smoothing < 0.5, "from 0 to below 0.5")
    probable = flat["loss.adversarial"] == "logistic"
    require("loss.label_smoothing", probable or not smoothing, "0 where loss.adversarial is not logistic")
    named = augmented.split(",") if augmented else []
    known = set(named) <= set(AUGMENTATIONS) and len(set(named)) == len(named)
    require("loss.diff_augment", known, f"empty or some of {','.join(AUGMENTATIONS)}, with commas and without blanks")
    require("optimizer.decay_from", 0 <= flat["optimizer.decay_from"] < 1, "from 0 to below 1")
