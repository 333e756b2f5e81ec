"""One discriminator for every size, for both generations."""

from typing import Any

import keras

from stackgan_tf.models.layers import ConvBlock, JointBlock, LogitHead, run
from stackgan_tf.models.network import Network
from stackgan_tf.structs import Logits, Tensor


class ImageEncoder(keras.layers.Layer):
    """Halves an image down to 4 x 4, then brings the width back to at most 8 df.

    Shapes: [B, size, size, 3] -> [B, 4, 4, min(8, size / 8) df].
    Source: v1 `encode_img` of `STAGE1_D`, `STAGE2_D`; v2 `encode_image_by_16times`, `D_NET64` to `D_NET1024`.
    """

    def __init__(
        self, size: int, df: int, initializer: str, norm: str, spectral_norm: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        common = {"activation": "leaky_relu", "initializer": initializer, "spectral_norm": spectral_norm}
        common["dtype"] = self.dtype_policy
        self.blocks = [ConvBlock(df, 4, 2, norm=None, name="down_0", **common)]
        width, side = df, size // 2
        while side > 4:
            width, side = 2 * width, side // 2
            self.blocks.append(ConvBlock(width, 4, 2, norm=norm, name=f"down_{len(self.blocks)}", **common))
        while width > 8 * df:
            width //= 2
            self.blocks.append(ConvBlock(width, norm=norm, name=f"narrow_{len(self.blocks)}", **common))
        self.width = width

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """[B, size, size, 3] -> [B, 4, 4, width]."""
        return run(self.blocks, images, training)


class ConditionalHead(keras.layers.Layer):
    """Does the image fit the sentence?

    Args:
        width: channels of the features, 8 df from size 64 on.
        condition_first: v2 joins (condition, features), v1 (features, condition).

    Shapes: features [B, 4, 4, width], condition [B, E] -> logits [B].
    Source: v1 `D_GET_LOGITS`; v2 `jointConv` and `logits`.
    """

    def __init__(
        self,
        width: int,
        condition_first: bool,
        initializer: str,
        norm: str,
        spectral_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        common = {"initializer": initializer, "spectral_norm": spectral_norm}
        self.joint = JointBlock(
            width,
            condition_first,
            activation="leaky_relu",
            norm=norm,
            dtype=self.dtype_policy,
            name="joint",
            **common,
        )
        self.logit = LogitHead(name="logit", **common)

    def call(self, features: Tensor, condition: Tensor, training: bool = False) -> Tensor:
        """[B, 4, 4, width], [B, E] -> [B]."""
        return self.logit(self.joint(features, condition, training=training), training=training)


class Discriminator(Network):
    """Judges images of one size, with the sentence and / or without.

    Args:
        size: side of the images, a power of two from 8 on.
        df: base width.
        conditional: has a head that reads the condition.
        unconditional: has a head that does not.
        condition_first: order in the conditional head, see there.
        initializer: `normal` (v1) or `orthogonal` (v2).
        norm: `batch` as published, or `layer`.
        spectral_norm: of every convolution.

    Shapes: images [B, size, size, 3], condition [B, E] -> `Logits`, each [B] float32.
    Source: StackGAN section 3.4 and StackGAN++ section 4.1; released code, `STAGE1_D`, `STAGE2_D`, `D_NET*`.
    """

    def __init__(
        self,
        size: int,
        df: int = 64,
        conditional: bool = True,
        unconditional: bool = True,
        condition_first: bool = True,
        initializer: str = "orthogonal",
        norm: str = "batch",
        spectral_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        arguments = {
            "size": size,
            "df": df,
            "conditional": conditional,
            "unconditional": unconditional,
            "condition_first": condition_first,
            "initializer": initializer,
            "norm": norm,
            "spectral_norm": spectral_norm,
        }
        super().__init__(arguments, **kwargs)
        self.size = size
        kind = {"initializer": initializer, "spectral_norm": spectral_norm}
        common = kind | {"norm": norm, "dtype": self.dtype_policy}
        self.encoder = ImageEncoder(size, df, name="encoder", **common)
        self.conditional_head = (
            ConditionalHead(self.encoder.width, condition_first, name="conditional_head", **common)
            if conditional
            else None
        )
        self.unconditional_head = LogitHead(name="unconditional_head", **kind) if unconditional else None

    def judge(self, features: Tensor, condition: Tensor | None = None, training: bool = False) -> Logits:
        """The heads alone: [B, 4, 4, width], [B, E] -> `Logits`."""
        return Logits(
            self.conditional_head(features, condition, training=training) if self.conditional_head else None,
            self.unconditional_head(features, training=training) if self.unconditional_head else None,
        )

    def call(self, images: Tensor, condition: Tensor | None = None, training: bool = False) -> Logits:
        """[B, size, size, 3], [B, E] -> `Logits`."""
        return self.judge(self.encoder(images, training=training), condition, training)
