"""Reed et al.'s text encoder: convolutions over characters, then a recurrent network."""

from typing import Any

import keras
from keras import ops

from stackgan_tf.models.network import Network
from stackgan_tf.structs import Tensor

ALPHABET_SIZE = 70


class CharCnnRnn(Network):
    """Characters [B, 201] (0: none, else the 1-based place in the alphabet) -> embeddings [B, T], float32.

    Three convolutions of width 4, each with ReLU and max pooling, leave 8 moments of 201 characters; the embedding is
    a dense layer of the mean of a recurrent network's 8 states, h_t = relu(W x_t + U h_(t-1)).

    Args:
        size: T, 1024 as published.
        width: of the recurrent network; 256 as published with the CVPR paper, 512 in the GAN that followed.

    Source: Reed et al., CVPR 2016, section 3.2; released code, `HybridCNN.lua`, `FixedRNN.lua`.
    Deviation: Keras' initial weights instead of uniform ones in [-0.08, 0.08].
    """

    def __init__(self, size: int = 1024, width: int = 256, **kwargs: Any) -> None:
        super().__init__({"size": size, "width": width}, **kwargs)
        dtype = self.dtype_policy
        self.convolutions = [
            keras.layers.Conv1D(filters, 4, activation="relu", dtype=dtype, name=f"conv{i}")
            for i, filters in enumerate((384, 512, width), start=1)
        ]
        self.pools = [
            keras.layers.MaxPooling1D(3, strides, dtype=dtype, name=f"pool{i}")
            for i, strides in enumerate((3, 3, 2), start=1)
        ]
        self.from_input = keras.layers.Dense(width, dtype=dtype, name="from_input")
        self.from_state = keras.layers.Dense(width, dtype=dtype, name="from_state")
        self.project = keras.layers.Dense(size, dtype="float32", name="project")

    def call(self, characters: Tensor) -> Tensor:
        """[B, 201] integers -> [B, T] float32."""
        x = ops.one_hot(ops.cast(characters, "int32") - 1, ALPHABET_SIZE, dtype=self.compute_dtype)
        for convolution, pool in zip(self.convolutions, self.pools, strict=True):
            x = pool(convolution(x))
        states: list[Tensor] = []
        for moment in ops.unstack(self.from_input(x), axis=1):
            # `maximum`, for TensorFlow's graph optimizer cuts nodes out of chains of MatMul, Add and Relu
            states.append(ops.maximum(moment + self.from_state(states[-1]) if states else moment, 0))
        return self.project(ops.mean(ops.stack(states), axis=0))
