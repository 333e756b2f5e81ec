"""The learning rate as a function of the update's number."""

import math

import tensorflow as tf

from stackgan_tf.config import OptimizerConfig
from stackgan_tf.training.adam import Rate


def rate(config: OptimizerConfig, base: float, steps_per_epoch: int, total_steps: int) -> Rate:
    """`base`, warmed up, halved and decayed as configured, each a factor.

    Updates count from 0. A warm-up of n of them begins with 1 / n of the rate. A decay would reach 0 with update
    `total_steps`, the first that is not made any more, and stays there.

    Source: halving: StackGAN section 4.1 and released code. Warm-up: Goyal et al. (arXiv 1706.02677), section 2.2.
    Linear: Zhu et al., ICCV 2017 (CycleGAN), section 4. Cosine: Loshchilov and Hutter, ICLR 2017 (arXiv 1608.03983).
    """

    def of_update(number: tf.Tensor) -> tf.Tensor:
        number, value = tf.cast(number, tf.float64), tf.constant(base, tf.float64)
        if config.halve_every_epochs:
            value *= 0.5 ** (number // (config.halve_every_epochs * steps_per_epoch))
        if config.decay != "none":
            value *= _left(config, number / total_steps)
        if config.warmup_steps:
            value *= tf.minimum((number + 1) / config.warmup_steps, 1.0)
        return value

    return of_update


def _left(config: OptimizerConfig, share: tf.Tensor) -> tf.Tensor:
    """What a decay leaves of the rate after a share of the run: 1 up to `decay_from`, 0 at its end."""
    gone = tf.clip_by_value((share - config.decay_from) / (1 - config.decay_from), 0.0, 1.0)
    return 1 - gone if config.decay == "linear" else (1 + tf.cos(math.pi * gone)) / 2
