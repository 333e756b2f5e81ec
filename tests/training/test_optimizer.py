"""Updates: Adam's arithmetic, float16's scale, and numbers that are not finite on any of the replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.training.adam import Adam
from stackgan_tf.training.optimizer import LossScale, Optimizer, finite_statistics

INF, NAN = np.float32(np.inf), np.float32(np.nan)


class Trial:
    """One weight, w = 1, with loss w x the factor of each replica."""

    def __init__(self, strategy, scaled, rate=0.1):
        self.strategy = strategy
        with strategy.scope():
            self.model = keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
            self.model.build((1, 1))
            self.healthy = tf.Variable(True)
            adam = Adam(self.model.trainable_variables, lambda step: tf.constant(rate, tf.float64), 0.5, 0.999)
            self.optimizer = Optimizer(self.model, adam, self.healthy, scaled)

    @property
    def weight(self):
        return self.model.trainable_variables[0].value

    def copies(self):
        return [float(np.squeeze(v.numpy())) for v in self.strategy.experimental_local_results(self.weight)]

    def step(self, *factors):
        """The norm of the gradient that every replica saw."""

        def replica_step():
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(self.weight) * tf.gather(np.array(factors, np.float32), index)
                gradients = self.optimizer.gradients(loss, tape)
            return self.optimizer.apply(loss, gradients)

        shares = tf.function(lambda: self.strategy.run(replica_step))()
        return float(sum(self.strategy.experimental_local_results(shares)))


def reference(gradients, rate=0.1, beta_1=0.5, beta_2=0.999, epsilon=1e-8):
    """Algorithm 1 of Kingma and Ba, in float64, from w = 1."""
    w, m, v = 1.0, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g * g
        w -= rate * (m / (1 - beta_1**t)) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    return w


@pytest.mark.parametrize("size", [1.0, 1e-8])
def test_adam_is_that_of_the_paper(one_replica, size):
    """At gradients as small as epsilon it matters where epsilon is added: Keras' own is off by 20 % there."""
    gradients = [3 * size, -1 * size, 2 * size, 0.5 * size]
    trial = Trial(one_replica, scaled=False)
    for gradient in gradients:
        trial.step(gradient)
    assert trial.copies()[0] == pytest.approx(reference(gradients), abs=1e-6)
    theirs, weight = keras.optimizers.Adam(0.1, 0.5, 0.999, epsilon=1e-8), keras.Variable(1.0)
    for gradient in gradients:
        theirs.apply([tf.constant(gradient)], [weight])
    assert (abs(float(weight.numpy()) - reference(gradients)) > 1e-3) == (size == 1e-8)


@pytest.mark.parametrize("scaled", [False, True])
def test_an_update_is_the_sum_over_the_replicas(two_replicas, scaled):
    trial = Trial(two_replicas, scaled)
    assert trial.step(2.0, 5.0) == pytest.approx(7)
    assert trial.copies() == [pytest.approx(reference([7.0]))] * 2
    assert float(trial.optimizer.adam.m[trial.model.trainable_variables[0].path].numpy().sum()) == pytest.approx(3.5)


@pytest.mark.parametrize("bad", [INF, NAN])
@pytest.mark.parametrize("replica", [0, 1])
def test_an_overflow_on_any_replica_skips_the_update_on_all(two_replicas, replica, bad):
    trial = Trial(two_replicas, scaled=True)
    trial.step(1.0, 1.0)
    before, moments = trial.copies(), [v.numpy() for v in trial.optimizer.adam.variables]
    trial.step(*(bad if i == replica else 1.0 for i in range(2)))
    assert trial.copies() == before and before[0] == before[1]
    for now, former in zip(trial.optimizer.adam.variables, moments, strict=True):
        np.testing.assert_array_equal(now.numpy(), former)
    scale = trial.optimizer.loss_scale
    assert [float(v) for v in two_replicas.experimental_local_results(scale.value)] == [2.0**14] * 2
    assert scale.skipped.numpy() == 1 and bool(trial.healthy.numpy())
    trial.step(1.0, 1.0)
    assert trial.copies()[0] < before[0], "and it goes on"


def test_keras_wrapper_does_not_see_an_overflow_on_the_second_replica(two_replicas):
    """The known-bad twin: why the sum is taken first."""
    with two_replicas.scope():
        weight = keras.Variable(1.0)
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
        optimizer.build([weight])

    def replica_step():
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        optimizer.apply([tf.gather(tf.constant([1.0, INF]), index)], [weight])

    tf.function(lambda: two_replicas.run(replica_step))()
    assert not np.isfinite(weight.numpy())


@pytest.mark.parametrize("replica", [0, 1])
def test_without_a_scale_what_is_not_finite_freezes_everything(two_replicas, replica):
    trial = Trial(two_replicas, scaled=False)
    trial.step(*(NAN if i == replica else 1.0 for i in range(2)))
    assert trial.copies() == [1.0, 1.0] and not bool(trial.healthy.numpy())
    assert trial.optimizer.finite.numpy().tolist() == [False]
    trial.step(1.0, 1.0)
    assert trial.copies() == [1.0, 1.0] and trial.optimizer.adam.iterations.numpy() == 0
    assert trial.optimizer.finite.numpy().tolist() == [False], "it still tells of the update that failed"


def test_an_infinite_loss_of_finite_gradients_counts(one_replica):
    trial = Trial(one_replica, scaled=False)

    def step():
        trial.optimizer.apply(INF, [tf.ones((1, 1))])

    tf.function(lambda: one_replica.run(step))()
    assert not bool(trial.healthy.numpy()) and trial.copies() == [1.0]


def test_the_scale_has_a_floor_where_hope_ends_and_a_ceiling(one_replica, monkeypatch):
    scale = LossScale()
    hopes = [bool(scale.after(tf.constant(False))) for _ in range(16)]
    assert hopes == [True] * 15 + [False] and float(scale.value) == 1.0
    monkeypatch.setattr(LossScale, "PATIENCE", 3)
    seen = []
    for _ in range(3 * 26):
        assert bool(scale.after(tf.constant(True)))
        seen.append(float(scale.value))
    assert seen[:7] == [1, 1, 2, 2, 2, 4, 4] and seen[-1] == 2.0**24 == max(seen)
    scale.after(tf.constant(True)), scale.after(tf.constant(False))
    assert float(scale.value) == 2.0**23 and int(scale.finite_updates) == 0, "an overflow begins the count anew"


def test_statistics_stay_numbers(two_replicas):
    with two_replicas.scope():
        norm = keras.layers.BatchNormalization(name="norm")
        model = keras.Sequential([norm])
        model.build((2, 3))
        healthy = tf.Variable(True)
    forward = tf.function(lambda x: two_replicas.run(lambda: norm(x, training=True)))

    def pass_on(x):
        with finite_statistics(two_replicas, [model], healthy):
            forward(tf.constant(x, tf.float32))
        return norm.moving_mean.numpy()

    np.testing.assert_allclose(pass_on([[1, 1, 1], [3, 1, 1]]), [0.02, 0.01, 0.01], rtol=1e-5)
    np.testing.assert_allclose(pass_on([[1, INF, 1], [3, 1, 1]])[1], 0.01, rtol=1e-5)
    frozen = norm.moving_mean.numpy()
    healthy.assign(False)
    np.testing.assert_array_equal(pass_on([[1, 1, 1], [3, 1, 1]]), frozen)
    healthy.assign(True)
    forward(tf.constant([[1, INF, 1], [3, 1, 1]], tf.float32))
    assert not np.isfinite(norm.moving_mean.numpy()).all(), "without care they would be lost for good"
