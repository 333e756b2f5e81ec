"""All that training changes, as one object to save."""

from typing import Any

import keras
import tensorflow as tf

from stackgan_tf import networks
from stackgan_tf.checkpoint import variables_by_path
from stackgan_tf.config import Config
from stackgan_tf.distribution import synchronize_batch_norm
from stackgan_tf.training.ema import copy_weights
from stackgan_tf.training.precision import make_optimizer


class TrainState(tf.Module):
    """Networks, the average of G, one optimizer a network, and the step.

    The step is also the data position: batch number `step` is a pure function of the seed.
    """

    def __init__(self, config: Config, strategy: tf.distribute.Strategy, steps_per_epoch: int) -> None:
        super().__init__(name="state")
        precision = config.train.precision
        keras.utils.set_random_seed(config.train.seed)
        with strategy.scope():
            self.generator, self.discriminators = networks.build(config, precision)
            self.average = networks.build_generator(config, precision)
            copy_weights(self.average, self.generator)
            self.generator_optimizer = _optimizer_for(
                self.generator, config, config.optimizer.generator_learning_rate, steps_per_epoch
            )
            self.discriminator_optimizers = [
                _optimizer_for(d, config, config.optimizer.discriminator_learning_rate, steps_per_epoch)
                for d in self.discriminators
            ]
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        if strategy.num_replicas_in_sync > 1:
            for model in (self.generator, *self.discriminators):
                synchronize_batch_norm(model)

    def parts(self) -> dict[str, Any]:
        """What is saved, by name: every variable of everything above."""
        return {
            "generator": variables_by_path(self.generator),
            "discriminators": [variables_by_path(d) for d in self.discriminators],
            "average": variables_by_path(self.average),
            "generator_optimizer": variables_by_path(self.generator_optimizer),
            "discriminator_optimizers": [variables_by_path(o) for o in self.discriminator_optimizers],
            "step": self.step,
        }


def _optimizer_for(
    model: keras.Model, config: Config, learning_rate: float, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
    optimizer = make_optimizer(config.optimizer, learning_rate, config.train.precision, steps_per_epoch)
    optimizer.build(model.trainable_variables)
    return optimizer
