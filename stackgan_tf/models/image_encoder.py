"""The network that a text encoder learns beside: images into the same space."""

from typing import Any

import keras
from keras import ops

from stackgan_tf.models.network import Network
from stackgan_tf.structs import Tensor


class ImageEncoder(Network):
    """Images [B, S, S, 3] in [-1, 1] -> embeddings [B, T], float32.

    Strided convolutions with batch norm until 4 pixels are left, two a size, then their mean and a dense layer.

    Args:
        size: T.
        side: S, a power of two.
        width: channels at half of S; doubled at every halving.

    Deviation: Reed et al. (CVPR 2016) take the features of a GoogLeNet trained on ImageNet; this one is small enough
    to learn from the data set alone.
    """

    def __init__(self, size: int = 1024, side: int = 64, width: int = 32, **kwargs: Any) -> None:
        super().__init__({"size": size, "side": side, "width": width}, **kwargs)
        dtype = self.dtype_policy
        self.blocks = []
        halvings = (side // 4).bit_length() - 1
        for i in range(halvings):
            for strides in (2, 1):
                name = f"conv{i}_{strides}"
                convolution = keras.layers.Conv2D(
                    width * 2**i, 3, strides, padding="same", use_bias=False, dtype=dtype, name=name
                )
                self.blocks.append((convolution, keras.layers.BatchNormalization(dtype=dtype, name=f"{name}_norm")))
        self.project = keras.layers.Dense(size, dtype="float32", name="project")

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """[B, S, S, 3] -> [B, T] float32."""
        x = ops.cast(images, self.compute_dtype)
        for convolution, norm in self.blocks:
            x = ops.relu(norm(convolution(x), training=training))
        return self.project(ops.mean(x, axis=(1, 2)))
