"""All that training changes, as one object to save."""

from typing import Any

import keras
import tensorflow as tf

from stackgan_tf import networks, objectives
from stackgan_tf.checkpoint import variables_by_path
from stackgan_tf.config import Config
from stackgan_tf.distribution import synchronize_batch_norm
from stackgan_tf.quick.model import quicken
from stackgan_tf.training import schedules
from stackgan_tf.training.adam import Adam
from stackgan_tf.training.ema import copy_weights
from stackgan_tf.training.optimizer import Optimizer
from stackgan_tf.training.recompute import recompute_blocks


class TrainState(tf.Module):
    """Networks, the average of G, one optimizer a network, the step and the data position.

    `position` is the number of the next batch, which is a pure function of the seed and it; so is the noise. It runs
    ahead of `step` where training was rolled back and left batches behind.

    `healthy` becomes false when a number is not finite, see `Optimizer`; nothing changes then.
    """

    def __init__(self, config: Config, strategy: tf.distribute.Strategy, steps_per_epoch: int) -> None:
        super().__init__(name="state")
        precision, rates = config.train.precision, config.optimizer
        keras.utils.set_random_seed(config.train.seed)
        with strategy.scope():
            self.generator, self.discriminators = networks.build(config, precision)
            self.average = networks.build_generator(config, precision)
            copy_weights(self.average, self.generator)
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
            self.position = tf.Variable(0, dtype=tf.int64, trainable=False, name="position")
            self.healthy = tf.Variable(True, trainable=False, name="healthy")

            def optimizer(model: keras.Model, learning_rate: float) -> Optimizer:
                rate = schedules.rate(rates, learning_rate, steps_per_epoch, config.train.steps)
                adam = Adam(model.trainable_variables, rate, rates.beta_1, rates.beta_2)
                return Optimizer(model, adam, self.healthy, scaled=precision == "mixed_float16")

            self.generator_optimizer = optimizer(self.generator, rates.generator_learning_rate)
            self.discriminator_optimizers = [
                optimizer(d, rates.discriminator_learning_rate) for d in self.discriminators
            ]
        # Not synchronised, batch norm has a wrong second derivative.
        penalised = objectives.penalty_weights(config.loss, lazy=True)
        for model in (self.generator, self.average, *self.discriminators):
            if strategy.num_replicas_in_sync > 1 or (penalised and model in self.discriminators):
                synchronize_batch_norm(model)
            quicken(model)
            if config.train.recompute:
                recompute_blocks(model)

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """By the names that the metrics have: d0, d1 ..., g, in the order of a step."""
        return {f"d{i}": o for i, o in enumerate(self.discriminator_optimizers)} | {"g": self.generator_optimizer}

    def parts(self) -> dict[str, Any]:
        """What is saved, by name: every variable of everything above."""
        return {
            "generator": variables_by_path(self.generator),
            "discriminators": [variables_by_path(d) for d in self.discriminators],
            "average": variables_by_path(self.average),
            "generator_optimizer": self.generator_optimizer.saved(),
            "discriminator_optimizers": [o.saved() for o in self.discriminator_optimizers],
            "step": self.step,
            "position": self.position,
        }
