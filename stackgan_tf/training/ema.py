"""The exponential moving average of G, batch norm's statistics included: what is sampled, measured and exported."""

import keras
import tensorflow as tf

from stackgan_tf.config import TrainConfig


def decay_at(train: TrainConfig, step: tf.Tensor) -> float | tf.Tensor:
    """The decay of a step's update of the average.

    Of a run that starts from other networks (`train.start_from`), min(decay, (1 + step) / (10 + step)): branches that
    are new there, or a few images of one's own, would else hardly show in the average for a thousand steps.

    Source: tf.train.ExponentialMovingAverage, `num_updates`.
    """
    if not train.start_from:
        return train.ema_decay
    done = tf.cast(step, tf.float32)
    return tf.minimum(train.ema_decay, (1.0 + done) / (10.0 + done))


def update_average(
    strategy: tf.distribute.Strategy, average: keras.Model, live: keras.Model, decay: float | tf.Tensor
) -> None:
    """average <- decay * average + (1 - decay) * live, on every replica. Outside `strategy.run`, under its scope.

    Source: StackGAN-v2 released code, `avg_param_G`, decay 0.999.
    Deviation: averages batch norm's statistics too, so that they fit the averaged weights; theirs stay the live ones.
    """
    for mean, value in zip(average.variables, live.variables, strict=True):
        if mean.dtype.startswith("float"):
            strategy.extended.update(
                mean.value,
                lambda m, v: m.assign_sub((1.0 - decay) * (m - v), read_value=False),
                args=(value.value,),
            )


def copy_weights(target: keras.Model, source: keras.Model) -> None:
    """Gives a model the weights and statistics of another of the same make."""
    for to, value in zip(target.variables, source.variables, strict=True):
        to.assign(value)
