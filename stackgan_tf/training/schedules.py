"""The learning rate as a function of the update's number."""

import tensorflow as tf

from stackgan_tf.config import OptimizerConfig
from stackgan_tf.training.adam import Rate


def rate(config: OptimizerConfig, base: float, steps_per_epoch: int) -> Rate:
    """`base`, halved every `halve_every_epochs`.

    Source: StackGAN section 4.1 and StackGAN++ section 5.1; released code of both.
    """
    if not config.halve_every_epochs:
        return lambda step: tf.constant(base, tf.float64)
    steps = config.halve_every_epochs * steps_per_epoch
    return lambda step: base * 0.5 ** tf.cast(step // steps, tf.float64)
