"""What changes a network: Adam, on all replicas together, and never by a number that is not finite."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from stackgan_tf.distribution import statistics
from stackgan_tf.training.adam import Adam


class LossScale(tf.Module):
    """The factor that keeps float16's gradients from vanishing: halved where they overflow, doubled after a while.

    Source: Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.2; figures as in Keras' wrapper.
    Deviation: Keras' scale has neither a floor nor a ceiling.
    """

    FIRST, FLOOR, CEILING = 2.0**15, 1.0, 2.0**24
    PATIENCE = 2000  # finite updates before it is doubled

    def __init__(self) -> None:
        super().__init__(name="loss_scale")
        self.value = tf.Variable(self.FIRST, trainable=False, name="value")
        self.finite_updates = tf.Variable(0, dtype=tf.int64, trainable=False, name="finite_updates")
        self.skipped = tf.Variable(0, dtype=tf.int64, trainable=False, name="skipped")

    def after(self, finite: tf.Tensor) -> tf.Tensor:
        """Moves on after an update or a skipped one; whether there was hope: finite, or the scale could be less."""
        hope = finite | (self.value > self.FLOOR)
        count = tf.where(finite, self.finite_updates + 1, 0)
        grown = tf.where(count == self.PATIENCE, tf.minimum(2 * self.value, self.CEILING), self.value)
        self.value.assign(tf.where(finite, grown, tf.maximum(self.value / 2, self.FLOOR)))
        self.finite_updates.assign(count % self.PATIENCE)
        self.skipped.assign_add(tf.cast(~finite, tf.int64))
        return hope


class Optimizer(tf.Module):
    """The updates of one network. Make it under the scope of the strategy.

    A loss or gradient that is not finite changes nothing, on any replica. With float16 the scale of the loss goes down
    then; where that cannot help, `healthy` becomes false, and no network changes any more: the state stays that
    before the update that failed, for whoever asks why.

    Args:
        healthy: of the whole training.
        scaled: float16 needs its losses scaled.
    """

    def __init__(self, model: keras.Model, adam: Adam, healthy: tf.Variable, scaled: bool) -> None:
        super().__init__(name="optimizer")
        self._model, self._healthy = model, healthy
        self.adam, self.loss_scale = adam, LossScale() if scaled else None
        count = len(model.trainable_variables)
        self.finite = tf.Variable(tf.ones(count, tf.bool), trainable=False, name="finite")  # the last gradients

    def gradients(self, loss: tf.Tensor, tape: tf.GradientTape) -> list[tf.Tensor]:
        """Of this replica's share of the loss, for `apply`. Call with the tape still recording."""
        scaled = loss * self.loss_scale.value if self.loss_scale else loss
        with tape.stop_recording():
            return tape.gradient(scaled, [v.value for v in self._model.trainable_variables])

    def apply(self, loss: tf.Tensor, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
        """One update by this replica's shares; its share of the gradient's norm. Only inside `strategy.run`.

        Shares are summed over the replicas first, so that all of them see the same numbers: Keras' own scaling looks
        for infinities on the first replica only.
        """
        context = tf.distribute.get_replica_context()
        loss, *gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, [loss, *gradients])
        if self.loss_scale:
            gradients = [g / self.loss_scale.value for g in gradients]
        squares = tf.stack([2 * tf.nn.l2_loss(g) for g in gradients])  # in one pass over memory
        context.merge_call(self._update, args=(gradients, tf.math.is_finite(squares), tf.math.is_finite(loss)))
        return tf.sqrt(tf.reduce_sum(squares)) / context.num_replicas_in_sync

    def _update(
        self,
        strategy: tf.distribute.Strategy,
        gradients: Sequence[tf.Tensor],
        finite: tf.Tensor,
        finite_loss: tf.Tensor,
    ) -> None:
        """With all replicas at hand, whose numbers are the same."""
        finite, finite_loss = (strategy.experimental_local_results(v)[0] for v in (finite, finite_loss))
        all_finite = tf.reduce_all(finite) & finite_loss

        def apply() -> None:
            self.adam.apply(strategy, gradients, self._model.trainable_variables)

        def judge() -> None:
            tf.cond(all_finite, apply, _nothing)
            self._healthy.assign(self.loss_scale.after(all_finite) if self.loss_scale else all_finite)
            self.finite.assign(finite)

        tf.cond(self._healthy, judge, _nothing)

    def saved(self) -> dict[str, Any]:
        """What a checkpoint holds of it, by name."""
        found = {"iterations": self.adam.iterations, "m": self.adam.m, "v": self.adam.v}
        if self.loss_scale:
            found |= {name: getattr(self.loss_scale, name) for name in ("value", "finite_updates", "skipped")}
        return found

    def signals(self) -> dict[str, tf.Tensor]:
        """With float16: its scale, and how many updates were left out."""
        if not self.loss_scale:
            return {}
        scale, skipped = self.loss_scale.value, self.loss_scale.skipped
        return {"loss_scale": scale.read_value(), "skipped": tf.cast(skipped, tf.float32)}


@contextmanager
def finite_statistics(
    strategy: tf.distribute.Strategy, models: Sequence[keras.Model], healthy: tf.Variable
) -> Iterator[None]:
    """Batch norm's statistics stay as they were where they become no numbers, and where `healthy` becomes false.

    A forward pass changes them before anybody can tell that it overflowed. Around `strategy.run`.
    """
    before = [(v, v.read_value()) for model in models for v in statistics(model)]
    yield

    def held(now: tf.Variable, former: tf.Tensor) -> None:
        now.assign(tf.where(healthy & tf.math.is_finite(now), now, former))

    for variable, former in before:
        strategy.extended.update(variable, held, args=(former,), group=False)


def _nothing() -> None:
    pass
