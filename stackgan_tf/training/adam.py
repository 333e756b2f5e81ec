"""Adam with epsilon where the released code's framework has it, in one pass over memory."""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

Rate = Callable[[tf.Tensor], tf.Tensor]  # of an update's number, from 0, the learning rate


class Adam(tf.Module):
    """w <- w - rate * m_hat / (sqrt(v_hat) + epsilon), with m_hat and v_hat the bias-corrected moments.

    Make it under the scope of the strategy.

    Keras adds epsilon before v is corrected: at the first step 32 times more of it, the same from a few thousand on.
    Source: Kingma and Ba (arXiv 1412.6980), algorithm 1; so it is in the released code's framework.
    """

    def __init__(
        self, variables: Sequence[keras.Variable], rate: Rate, beta_1: float, beta_2: float, epsilon: float = 1e-8
    ) -> None:
        super().__init__(name="adam")
        self.rate, self.beta_1, self.beta_2, self.epsilon = rate, beta_1, beta_2, epsilon
        self.iterations = tf.Variable(0, dtype=tf.int64, trainable=False, name="iterations")
        self.m, self.v = (_zeros_like(variables) for _ in range(2))

    def apply(
        self, strategy: tf.distribute.Strategy, gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable]
    ) -> None:
        """One update by gradients that are the same on all replicas. Only in the strategy's cross-replica context."""
        beta_1, beta_2 = (float(np.float32(beta)) for beta in (self.beta_1, self.beta_2))  # as the kernel has them
        done = tf.cast(self.iterations + 1, tf.float64)
        correction = tf.sqrt(1 - beta_2**done)
        rate = tf.cast(self.rate(self.iterations), tf.float64) * correction / (1 - beta_1**done)

        def update(w: tf.Variable, m: tf.Variable, v: tf.Variable, gradient: tf.Tensor) -> None:
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=0.0,  # the kernel would correct in float32, and add epsilon first
                beta2_power=0.0,
                lr=tf.cast(rate, tf.float32),
                beta1=beta_1,
                beta2=beta_2,
                epsilon=tf.cast(self.epsilon * correction, tf.float32),
                grad=gradient,
            )

        for variable, gradient in zip(variables, gradients, strict=True):
            moments = self.m[variable.path], self.v[variable.path]
            strategy.extended.update(variable.value, update, args=(*moments, gradient), group=False)
        self.iterations.assign_add(1)


def _zeros_like(variables: Sequence[keras.Variable]) -> Mapping[str, tf.Variable]:
    return {v.path: tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False, name="moment") for v in variables}
