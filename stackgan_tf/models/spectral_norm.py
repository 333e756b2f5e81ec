"""Spectral normalisation of convolutions."""

from typing import Any

import keras
from keras import ops

from stackgan_tf.structs import Tensor


def spectral_norm(kernel: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """The largest singular value of a kernel as a matrix [., C], by one step of power iteration; the next u.

    Shapes: kernel [..., C], u [C] -> [], [C].
    Source: Miyato et al., ICLR 2018 (arXiv 1802.05957), algorithm 1; no gradient goes through u and v.
    """
    matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
    fixed = ops.stop_gradient(matrix)
    v = ops.normalize(ops.matmul(fixed, u), axis=0)
    u = ops.normalize(ops.matmul(v, fixed), axis=0)
    return ops.sum(ops.matmul(v, matrix) * u), u


class SpectralConv2D(keras.layers.Conv2D):
    """A convolution by kernel / spectral norm, in float32 until the convolution itself.

    u goes a step further at each call in training mode. It is a function of the kernel and itself, so that replicas
    keep equal ones without speaking to each other.

    Shapes: as `keras.layers.Conv2D`.
    Source: as `spectral_norm`.
    Deviation: `keras.layers.SpectralNormalization` writes the normalised kernel over the trained one in each forward
    pass, between an optimizer's steps, and its gradient leaves out how the norm depends on the kernel.
    """

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        """As Keras' own, and read in float32 in any precision."""
        return super().add_weight(*args, **kwargs | {"autocast": False})

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the kernel, and u."""
        super().build(input_shape)
        start = keras.initializers.RandomNormal(seed=0)  # of its own: all else begins as without it
        self.u = self.add_weight(name="u", shape=(self.filters,), initializer=start, trainable=False)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """[B, H, W, C] -> [B, H', W', filters]."""
        norm, u = spectral_norm(self.kernel, self.u)
        if training:
            self.u.assign(u)
        kernel = self.kernel / ops.maximum(norm, keras.config.epsilon())  # a kernel of zeros stays one
        y = self.convolution_op(x, ops.cast(kernel, self.compute_dtype))
        return y + ops.cast(self.bias, self.compute_dtype) if self.use_bias else y
