"""The blocks that every StackGAN network is made of."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from stackgan_tf.models.layer_norm import LayerNorm
from stackgan_tf.models.spectral_norm import SpectralConv2D
from stackgan_tf.structs import Tensor


def glu(x: Tensor) -> Tensor:
    """Gated linear unit: first half of the channels x sigmoid(second half).

    Shapes: [..., 2C] -> [..., C].
    Source: StackGAN-v2 code, `GLU`.
    """
    value, gate = ops.split(x, 2, axis=-1)
    return value * ops.sigmoid(gate)


ACTIVATIONS: dict[str | None, Callable[[Tensor], Tensor]] = {
    "glu": glu,
    "relu": ops.relu,
    "leaky_relu": lambda x: ops.leaky_relu(x, negative_slope=0.2),
    None: lambda x: x,
}


def init(name: str) -> keras.initializers.Initializer:
    """A fresh initializer of weights: `normal` is N(0, 0.02) (v1), `orthogonal` has gain 1 (v2).

    Fresh, because one Keras initializer gives every variable of the same shape the same numbers.
    """
    return {
        "normal": lambda: keras.initializers.RandomNormal(0.0, 0.02),
        "orthogonal": keras.initializers.Orthogonal,
    }[name]()


def batch_norm(dtype: Any) -> keras.layers.BatchNormalization:
    """Batch normalisation, gamma ~ N(1, 0.02). Training on several replicas synchronises it (`distribution`).

    Source: released code of both generations, `weights_init`; epsilon and momentum are its framework's.
    Deviation: the moving variance averages the biased batch variance, theirs the unbiased one.
    """
    return keras.layers.BatchNormalization(
        epsilon=1e-5,
        momentum=0.9,
        gamma_initializer=keras.initializers.RandomNormal(1.0, 0.02),
        dtype=dtype,
        name="norm",
    )


def layer_norm(dtype: Any) -> keras.layers.LayerNormalization:
    """Layer normalisation of each pixel over its channels.

    Deviation: the papers have batch norm everywhere. In D it sees the real, the mismatched and the fake batch each as
    a whole; a few rows that plainly do not match then give all of them away, and the rest teach D nothing.
    """
    return LayerNorm(epsilon=1e-5, dtype=dtype, name="norm")


NORMS: dict[str | None, Callable[[Any], keras.layers.Layer | None]] = {
    "batch": batch_norm,
    "layer": layer_norm,
    None: lambda dtype: None,
}


class NearestUpsampling(keras.layers.Layer):
    """Doubles height and width by repeating pixels: [B, H, W, C] -> [B, 2H, 2W, C].

    Reshape - tile - reshape, because the ready layers either do not convert to TFLite with a dynamic batch
    or have no second derivative.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, 2H, 2W, C]."""
        _, height, width, channels = x.shape
        x = ops.reshape(x, (-1, height, 1, width, channels))
        x = ops.tile(x, (1, 1, 2, 1, 2))  # [B, H, 2, W, 2C]: a pixel twice along the channels is two pixels
        return ops.reshape(x, (-1, 2 * height, 2 * width, channels))


class ConvBlock(keras.layers.Layer):
    """[nearest x2,] convolution without bias, [norm,] activation.

    Args:
        filters: channels that come out; with `glu` the convolution makes twice as many.
        kernel: side of the kernel; 4 with stride 2 is the discriminators' "down".
        activation: `glu`, `relu`, `leaky_relu` (slope 0.2) or None.
        norm: `batch`, `layer` or None.
        upsample: double the size first.
        initializer: `normal` (v1) or `orthogonal` (v2).
        spectral_norm: divide the kernel by its spectral norm.

    Shapes: [B, H, W, C] -> [B, H', W', filters] with H' = 2H if `upsample`, else H / stride.
    Source: released code, `upBlock`, `Block3x3_relu`, `downBlock`, `Block3x3_leakRelu`, `conv3x3`.
    """

    def __init__(
        self,
        filters: int,
        kernel: int = 3,
        stride: int = 1,
        activation: str | None = "relu",
        norm: str | None = "batch",
        upsample: bool = False,
        initializer: str = "orthogonal",
        spectral_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.activation = ACTIVATIONS[activation]
        self.upsampling = NearestUpsampling(dtype=self.dtype_policy, name="upsampling") if upsample else None
        self.conv = (SpectralConv2D if spectral_norm else keras.layers.Conv2D)(
            2 * filters if activation == "glu" else filters,
            kernel,
            stride,
            padding="same",
            use_bias=False,
            kernel_initializer=init(initializer),
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = NORMS[norm](self.dtype_policy)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """[B, H, W, C] -> [B, H', W', filters]."""
        return self.finish(self.convolved(x, training), training)

    def convolved(self, x: Tensor, training: bool = False) -> Tensor:
        """Upsampling and convolution: [B, H, W, C] -> [B, H', W', filters or twice as many]."""
        x = self.upsampling(x) if self.upsampling else x
        return self.conv(x, training=training)

    def finish(self, x: Tensor, training: bool = False) -> Tensor:
        """What follows the convolution: [B, H', W', filters or twice as many] -> [B, H', W', filters]."""
        x = self.norm(x, training=training) if self.norm else x
        return self.activation(x)


class JointBlock(ConvBlock):
    """A feature map joined with a code, the same at every pixel; then as `ConvBlock`, which takes the other arguments.

    Args:
        code_first: v2 joins (code, features), v1 (features, code).

    Shapes: features [B, H, W, C], code [B, E] -> as `ConvBlock`.
    Source: released code, `hr_joint` (v1), `jointConv` (v2).
    """

    def __init__(self, filters: int, code_first: bool = True, **kwargs: Any) -> None:
        super().__init__(filters, **kwargs)
        self.code_first = code_first

    def call(self, features: Tensor, code: Tensor, training: bool = False) -> Tensor:
        """[B, H, W, C], [B, E] -> [B, H', W', filters]."""
        return self.finish(self.joined(features, code, training), training)

    def joined(self, features: Tensor, code: Tensor, training: bool = False) -> Tensor:
        """As `convolved`: [B, H, W, C], [B, E] -> [B, H', W', filters or twice as many]."""
        code = tiled(code, features)
        pair = (code, features) if self.code_first else (features, code)
        return self.convolved(ops.concatenate(pair, axis=-1), training)


class ResidualBlock(keras.layers.Layer):
    """x + (conv block, conv, batch norm)(x), then ReLU in v1 and nothing in v2.

    Shapes: [B, H, W, filters] -> the same.
    Source: released code, `ResBlock`.
    """

    def __init__(
        self,
        filters: int,
        activation: str = "glu",
        final_relu: bool = False,
        initializer: str = "orthogonal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        common = {"initializer": initializer, "dtype": self.dtype_policy}
        self.first = ConvBlock(filters, activation=activation, name="first", **common)
        self.second = ConvBlock(filters, activation=None, name="second", **common)
        self.final = ACTIVATIONS["relu" if final_relu else None]

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """[B, H, W, filters] -> the same."""
        return self.final(x + self.second(self.first(x, training=training), training=training))


class Start(keras.layers.Layer):
    """The code as a first 4 x 4 feature map: dense without bias, batch norm, activation.

    Shapes: [B, C] -> [B, 4, 4, filters].
    Source: released code, `fc` of `STAGE1_G` (v1) and `INIT_STAGE_G` (v2).
    """

    def __init__(self, filters: int, activation: str = "glu", initializer: str = "orthogonal", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.dense = keras.layers.Dense(
            4 * 4 * filters * (2 if activation == "glu" else 1),
            use_bias=False,
            kernel_initializer=init(initializer),
            dtype=self.dtype_policy,
            name="dense",
        )
        self.norm = batch_norm(self.dtype_policy)
        self.activation = ACTIVATIONS[activation]

    def call(self, code: Tensor, training: bool = False) -> Tensor:
        """[B, C] -> [B, 4, 4, filters]."""
        x = self.activation(self.norm(self.dense(code), training=training))
        return ops.reshape(x, (-1, 4, 4, self.filters))


class ToImage(keras.layers.Layer):
    """Feature map to image: conv 3 x 3 without bias, tanh, in float32 whatever the precision around it.

    Shapes: [B, S, S, C] -> [B, S, S, 3] in [-1, 1].
    Source: released code, `GET_IMAGE_G` (v2), `img` (v1).
    """

    def __init__(self, initializer: str = "orthogonal", **kwargs: Any) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        self.conv = keras.layers.Conv2D(
            3,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=init(initializer),
            dtype="float32",
            name="conv",
        )

    def call(self, x: Tensor) -> Tensor:
        """[B, S, S, C] -> [B, S, S, 3]."""
        return ops.tanh(self.conv(x))


class LogitHead(keras.layers.Layer):
    """A 4 x 4 feature map to one logit: conv 4 x 4 with bias, in float32 whatever the precision around it.

    Shapes: [B, 4, 4, C] -> [B].
    Source: released code, `outlogits` (v1), `logits` and `uncond_logits` (v2), without their sigmoid.
    Deviation: the bias starts at 0; in the released code at its framework's small uniform draw.
    """

    def __init__(self, initializer: str = "orthogonal", spectral_norm: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        self.conv = (SpectralConv2D if spectral_norm else keras.layers.Conv2D)(
            1,
            4,
            strides=4,
            padding="valid",
            kernel_initializer=init(initializer),
            dtype="float32",
            name="conv",
        )

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """[B, 4, 4, C] -> [B]."""
        return ops.reshape(self.conv(x, training=training), (-1,))


def tiled(code: Tensor, like: Tensor) -> Tensor:
    """Repeats a code over a feature map, in the map's precision: [B, E], [B, H, W, C] -> [B, H, W, E]."""
    code = ops.cast(code, like.dtype)[:, None, None, :]
    return ops.tile(code, (1, like.shape[1], like.shape[2], 1))


def run(layers: list[keras.layers.Layer], x: Tensor, training: bool) -> Tensor:
    """Applies blocks one after the other."""
    for layer in layers:
        x = layer(x, training=training)
    return x
