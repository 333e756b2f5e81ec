"""Conditioning Augmentation: a sentence as a Gaussian to draw from."""

from typing import Any

import keras
from keras import ops

from stackgan_tf.models.layers import ACTIVATIONS, init
from stackgan_tf.structs import Tensor


class ConditioningAugmentation(keras.layers.Layer):
    """c = mu(phi) + exp(log_var(phi) / 2) * eps, in float32 whatever the precision around it.

    Args:
        size: E.
        activation: `relu` (v1) or `glu` (v2) after the dense layer.
        augment: without it c = mu, log_var is None and eps is not needed: the papers' ablation.

    Shapes: text_embedding [B, T], eps [B, E] -> c, mu, log_var, each [B, E].
    Source: StackGAN section 3.2; released code, `CA_NET`.
    """

    def __init__(
        self, size: int, activation: str = "glu", initializer: str = "orthogonal", augment: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        self.augment = augment
        self.activation = ACTIVATIONS[activation]
        self.dense = keras.layers.Dense(
            (2 if augment else 1) * (2 if activation == "glu" else 1) * size,
            kernel_initializer=init(initializer),
            dtype="float32",
            name="dense",
        )

    def gaussian(self, text_embedding: Tensor) -> tuple[Tensor, Tensor | None]:
        """mu and log_var of the condition: [B, T] -> [B, E] each."""
        code = self.activation(self.dense(ops.cast(text_embedding, "float32")))
        if not self.augment:
            return code, None
        mu, log_var = ops.split(code, 2, axis=-1)
        return mu, log_var

    def call(self, text_embedding: Tensor, eps: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """c, mu and log_var: [B, T], [B, E] -> [B, E] each."""
        mu, log_var = self.gaussian(text_embedding)
        return mu if log_var is None else mu + ops.exp(log_var / 2) * eps, mu, log_var
