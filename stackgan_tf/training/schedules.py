"""Learning rates as functions of the step."""

import math
from collections.abc import Callable

import tensorflow as tf

from stackgan_tf.config import OptimizerConfig

Rate = Callable[[tf.Tensor], tf.Tensor]


def rate(config: OptimizerConfig, base_rate: float, steps_per_epoch: int, total_steps: int) -> Rate:
    """The learning rate of a step, a float32 scalar: `base_rate`, warmed up, halved and decayed as configured.

    Steps count from 0. A warm-up of n steps begins at 1 / n of the rate. A decay ends at 0 with step `total_steps`,
    which is never taken, and stays there.

    Source: halving: StackGAN section 4.1 and released code. Warm-up: Goyal et al. (arXiv 1706.02677), section 2.2.
    Linear: Zhu et al., ICCV 2017 (CycleGAN), section 4. Cosine: Loshchilov and Hutter, ICLR 2017 (arXiv 1608.03983).
    """

    def of_step(step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        value = tf.constant(base_rate, tf.float32)
        if config.halve_every_epochs:
            value *= 0.5 ** (step // (config.halve_every_epochs * steps_per_epoch))
        if config.decay != "none":
            value *= _decayed(config, step, total_steps)
        if config.warmup_steps:
            value *= tf.minimum(1.0, (step + 1) / config.warmup_steps)
        return value

    return of_step


def _decayed(config: OptimizerConfig, step: tf.Tensor, total_steps: int) -> tf.Tensor:
    """What is left of the rate: 1 at the share `decay_from` of the run and before, 0 at its end."""
    first = config.decay_from * total_steps
    gone = tf.clip_by_value((step - first) / (total_steps - first), 0.0, 1.0)
    return 1 - gone if config.decay == "linear" else (1 + tf.cos(math.pi * gone)) / 2
