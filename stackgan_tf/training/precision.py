"""Optimizers of each precision."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from stackgan_tf.config import OptimizerConfig
from stackgan_tf.training.adam import Adam


def make_optimizer(
    config: OptimizerConfig, learning_rate: float, precision: str, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
    """Adam; the rate is halved every `halve_every_epochs`; float16 scales its losses dynamically.

    Source: StackGAN section 4.1 and StackGAN++ section 5.1; released code of both, epsilon 1e-8.
    """
    rate: float | keras.optimizers.schedules.LearningRateSchedule = learning_rate
    if config.halve_every_epochs:
        steps = config.halve_every_epochs * steps_per_epoch
        rate = keras.optimizers.schedules.ExponentialDecay(rate, steps, 0.5, staircase=True)
    adam = Adam(rate, config.beta_1, config.beta_2, epsilon=1e-8, name="adam")
    return keras.optimizers.LossScaleOptimizer(adam, name="loss_scale") if precision == "mixed_float16" else adam


def minimize(
    optimizer: keras.optimizers.Optimizer,
    loss: tf.Tensor,
    tape: tf.GradientTape,
    variables: Sequence[keras.Variable],
) -> None:
    """One update from this replica's share of the loss, summed over the replicas. Only inside `strategy.run`.

    Call with the tape still recording. Keras' loss scaling looks for infinities on the first replica only and
    then sums over the replicas: so with float16 the sum is taken first, and each replica gives its equal part.
    """
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if scaled:
        loss = optimizer.scale_loss(loss)
    with tape.stop_recording():
        gradients = tape.gradient(loss, [v.value for v in variables])
        if scaled:
            context = tf.distribute.get_replica_context()
            summed = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            gradients = [g / context.num_replicas_in_sync for g in summed]
        optimizer.apply(gradients, variables)
