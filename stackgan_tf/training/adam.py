"""Adam with epsilon where the released code's framework has it."""

import keras
from keras import ops

from stackgan_tf.structs import Tensor


class Adam(keras.optimizers.Adam):
    """w <- w - rate * m_hat / (sqrt(v_hat) + epsilon), with m_hat and v_hat the bias-corrected moments.

    Keras adds epsilon before v is corrected: at the first step 32 times more of it, the same from a few thousand on.
    Source: Kingma and Ba (arXiv 1412.6980), algorithm 1; so it is in the released code's framework.
    """

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """One variable, one step."""
        rate, gradient = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        step = ops.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, (1 - self.beta_1) * (gradient - m))
        self.assign_add(v, (1 - self.beta_2) * (ops.square(gradient) - v))
        m_hat = m / (1 - ops.power(self.beta_1, step))
        v_hat = v / (1 - ops.power(self.beta_2, step))
        self.assign_sub(variable, rate * m_hat / (ops.sqrt(v_hat) + self.epsilon))
