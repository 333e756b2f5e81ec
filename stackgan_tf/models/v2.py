"""StackGAN-v2 (StackGAN++): a tree of generators, with text and without."""

from typing import Any

import keras
from keras import ops

from stackgan_tf.models.conditioning import ConditioningAugmentation
from stackgan_tf.models.layers import ConvBlock, JointBlock, ResidualBlock, Start, ToImage, run
from stackgan_tf.models.network import Network
from stackgan_tf.structs import GeneratorOutputs, Tensor


class FirstStage(keras.layers.Layer):
    """F_0: the code to h_0 by a dense layer and upsamplings that halve the width each time.

    Shapes: [B, C] -> [B, size, size, gf].
    Source: StackGAN++ section 4.1; released code, `INIT_STAGE_G`.
    """

    def __init__(self, gf: int, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        doublings = (size // 4).bit_length() - 1
        self.start = Start(gf * 2**doublings, dtype=self.dtype_policy, name="start")
        self.ups = [
            ConvBlock(
                gf * 2**i,
                activation="glu",
                upsample=True,
                dtype=self.dtype_policy,
                name=f"up_{4 * 2 ** (doublings - i)}",
            )
            for i in reversed(range(doublings))
        ]

    def call(self, code: Tensor, training: bool = False) -> Tensor:
        """[B, C] -> [B, size, size, gf]."""
        return run(self.ups, self.start(code, training=training), training)


class NextStage(keras.layers.Layer):
    """F_i: joins h_{i-1} with the condition, refines it and doubles its size, or with `grows=False` keeps it.

    Shapes: h [B, S, S, width], condition [B, E] -> [B, 2S, 2S, width / 2], or as h.
    Source: StackGAN++ section 4.1; released code, `NEXT_STAGE_G`.
    """

    def __init__(self, width: int, residual_blocks: int, grows: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        common = {"dtype": self.dtype_policy}
        self.joint = JointBlock(width, activation="glu", name="joint", **common)
        self.residuals = [ResidualBlock(width, name=f"residual_{i}", **common) for i in range(residual_blocks)]
        self.up = ConvBlock(width // 2 if grows else width, activation="glu", upsample=grows, name="up", **common)

    def call(self, h: Tensor, condition: Tensor, training: bool = False) -> Tensor:
        """[B, S, S, width], [B, E] -> [B, 2S, 2S, width / 2], or the size and width of h."""
        h = self.joint(h, condition, training=training)
        return self.up(run(self.residuals, h, training), training=training)


class Generator(Network):
    """G of StackGAN-v2: s_0 ... s_{branches - 1}, each twice the side of the one before.

    Args:
        branches: number of scales.
        gf: width of h_0.
        condition_size: E.
        noise_size: Z.
        residual_blocks: before each doubling after the first scale.
        conditional: with text; without, z takes the condition's place everywhere.
        base_size: side of s_0; 64 as published.
        augment: with CA, see `ConditioningAugmentation`; else there is no eps.
        only_finest: only the last s_i is drawn: the papers' ablation G3.
        grows: else every s_i has the side `base_size` and every h_i the width gf: the papers' ablation all256.

    Shapes: z [B, Z], text_embedding [B, T], eps [B, E] -> `GeneratorOutputs`.
    Source: StackGAN++ section 4; released code, `G_NET`.
    """

    def __init__(
        self,
        branches: int = 3,
        gf: int = 64,
        condition_size: int = 128,
        noise_size: int = 100,
        residual_blocks: int = 2,
        conditional: bool = True,
        base_size: int = 64,
        augment: bool = True,
        only_finest: bool = False,
        grows: bool = True,
        **kwargs: Any,
    ) -> None:
        arguments = {
            "branches": branches,
            "gf": gf,
            "condition_size": condition_size,
            "noise_size": noise_size,
            "residual_blocks": residual_blocks,
            "conditional": conditional,
            "base_size": base_size,
            "augment": augment,
            "only_finest": only_finest,
            "grows": grows,
        }
        super().__init__(arguments, **kwargs)
        self.noise_sizes = {"z": noise_size} | ({"eps": condition_size} if conditional and augment else {})
        self.conditioning = (
            ConditioningAugmentation(condition_size, augment=augment, name="conditioning") if conditional else None
        )
        self.stages = [FirstStage(gf, base_size, dtype=self.dtype_policy, name="stage_0")] + [
            NextStage(
                gf // 2 ** (i - 1) if grows else gf, residual_blocks, grows, dtype=self.dtype_policy, name=f"stage_{i}"
            )
            for i in range(1, branches)
        ]
        drawn = range(branches - 1 if only_finest else 0, branches)
        self.to_images = [ToImage(name=f"to_image_{i}") for i in drawn]

    def call(
        self,
        z: Tensor,
        text_embedding: Tensor | None = None,
        eps: Tensor | None = None,
        training: bool = False,
    ) -> GeneratorOutputs:
        """[B, Z], [B, T], [B, E] -> `GeneratorOutputs`."""
        if self.conditioning:
            condition, mu, log_var = self.conditioning(text_embedding, eps)
            code = ops.concatenate([condition, z], axis=-1)  # [B, E + Z]
        else:
            condition, mu, log_var, code = z, None, None, z
        first, *following = self.stages
        features = [first(code, training=training)]
        for stage in following:
            features.append(stage(features[-1], condition, training=training))
        drawn = features[-len(self.to_images) :]
        images = tuple(to_image(h) for to_image, h in zip(self.to_images, drawn, strict=True))
        return GeneratorOutputs(images, mu, log_var)
