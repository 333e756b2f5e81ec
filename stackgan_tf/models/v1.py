"""StackGAN-v1: Stage-I draws 64 x 64, Stage-II reads the sentence again and refines to 256 x 256."""

from typing import Any

import keras
from keras import ops

from stackgan_tf.models.conditioning import ConditioningAugmentation
from stackgan_tf.models.layers import ConvBlock, JointBlock, ResidualBlock, Start, ToImage, run
from stackgan_tf.models.network import Network
from stackgan_tf.structs import GeneratorOutputs, Tensor

INITIALIZER = "normal"


class StageOneGenerator(Network):
    """Stage-I G: the rough shape and colours.

    Args:
        gf: base width; 128 as published (192 for COCO).
        condition_size: E.
        noise_size: Z.
        base_size: side of the image; 64 as published.
        augment: with CA, see `ConditioningAugmentation`; else there is no eps.

    Shapes: z [B, Z], text_embedding [B, T], eps [B, E] -> `GeneratorOutputs` with one image.
    Source: StackGAN section 3.3; released code, `STAGE1_G`.
    """

    def __init__(
        self,
        gf: int = 128,
        condition_size: int = 128,
        noise_size: int = 100,
        base_size: int = 64,
        augment: bool = True,
        **kwargs: Any,
    ) -> None:
        arguments = {
            "gf": gf,
            "condition_size": condition_size,
            "noise_size": noise_size,
            "base_size": base_size,
            "augment": augment,
        }
        super().__init__(arguments, **kwargs)
        self.noise_sizes = {"z": noise_size} | ({"eps": condition_size} if augment else {})
        common = {"initializer": INITIALIZER, "dtype": self.dtype_policy}
        self.conditioning = ConditioningAugmentation(condition_size, "relu", INITIALIZER, augment, name="conditioning")
        doublings = (base_size // 4).bit_length() - 1
        widths = [gf * 2**i // 2 for i in reversed(range(doublings))]  # 4 gf, 2 gf, gf, gf / 2 at base size 64
        self.start = Start(2 * widths[0], "relu", name="start", **common)
        self.ups = [ConvBlock(w, upsample=True, name=f"up_{8 * 2**i}", **common) for i, w in enumerate(widths)]
        self.to_image = ToImage(INITIALIZER, name="to_image")

    def call(
        self, z: Tensor, text_embedding: Tensor, eps: Tensor | None = None, training: bool = False
    ) -> GeneratorOutputs:
        """[B, Z], [B, T], [B, E] -> `GeneratorOutputs`."""
        condition, mu, log_var = self.conditioning(text_embedding, eps)
        h = self.start(ops.concatenate([z, condition], axis=-1), training=training)
        return GeneratorOutputs((self.to_image(run(self.ups, h, training)),), mu, log_var)


class StageTwoGenerator(Network):
    """Stage-II G: corrects and details the image of a frozen Stage-I, which it holds.

    Args:
        gf: base width of both stages; 128 as published (192 for COCO).
        residual_blocks: 4 as published (2 for COCO).
        stage1_batch_statistics: while training, the frozen Stage-I normalises by the batch and moves its
            averages, as in the released code (the default, since its figures were made so); else it is
            used as it was saved.
        augment: with CA in both stages; else there is no eps.
        reads_text: a second time; else Stage-II has the image of Stage-I only, the papers' ablation.

    Shapes: z [B, Z], text_embedding [B, T], eps [B, E], eps_stage1 [B, E] -> `GeneratorOutputs` with the images
    of both stages; mu and log_var are Stage-II's own, or mu is Stage-I's where Stage-II does not read the text.
    Source: StackGAN section 3.4; released code, `STAGE2_G`.
    """

    def __init__(
        self,
        gf: int = 128,
        condition_size: int = 128,
        noise_size: int = 100,
        residual_blocks: int = 4,
        base_size: int = 64,
        stage1_batch_statistics: bool = True,
        augment: bool = True,
        reads_text: bool = True,
        **kwargs: Any,
    ) -> None:
        arguments = {
            "gf": gf,
            "condition_size": condition_size,
            "noise_size": noise_size,
            "residual_blocks": residual_blocks,
            "base_size": base_size,
            "stage1_batch_statistics": stage1_batch_statistics,
            "augment": augment,
            "reads_text": reads_text,
        }
        super().__init__(arguments, **kwargs)
        draws = ["eps"] * (augment and reads_text) + ["eps_stage1"] * augment
        self.noise_sizes = {"z": noise_size} | dict.fromkeys(draws, condition_size)
        self.stage1_batch_statistics = stage1_batch_statistics
        common = {"initializer": INITIALIZER, "dtype": self.dtype_policy}
        self.stage1 = StageOneGenerator(
            gf, condition_size, noise_size, base_size, augment, dtype=self.dtype_policy, name="stage1"
        )
        self.conditioning = (
            ConditioningAugmentation(condition_size, "relu", INITIALIZER, augment, name="conditioning")
            if reads_text
            else None
        )
        self.encoder = [
            ConvBlock(gf, norm=None, name="encode_0", **common),
            ConvBlock(2 * gf, 4, 2, name="encode_1", **common),
            ConvBlock(4 * gf, 4, 2, name="encode_2", **common),
        ]
        joint = {"name": "joint", **common}
        self.joint = JointBlock(4 * gf, code_first=False, **joint) if reads_text else ConvBlock(4 * gf, **joint)
        self.residuals = [
            ResidualBlock(4 * gf, "relu", final_relu=True, name=f"residual_{i}", **common)
            for i in range(residual_blocks)
        ]
        self.ups = [ConvBlock(2 * gf // 2**i, upsample=True, name=f"up_{i}", **common) for i in range(4)]
        self.to_image = ToImage(INITIALIZER, name="to_image")

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """Stage-II's own. Keras' `stage1.trainable = False` would also take batch norm's statistics away."""
        frozen = {id(v) for v in self.stage1.variables}
        return [v for v in super().trainable_variables if id(v) not in frozen]

    def call(
        self,
        z: Tensor,
        text_embedding: Tensor,
        eps: Tensor | None = None,
        eps_stage1: Tensor | None = None,
        training: bool = False,
    ) -> GeneratorOutputs:
        """[B, Z], [B, T], [B, E], [B, E] -> `GeneratorOutputs`."""
        stage1 = self.stage1(z, text_embedding, eps_stage1, training=training and self.stage1_batch_statistics)
        rough, mu, log_var = ops.stop_gradient(stage1.images[0]), stage1.mu, None
        h = run(self.encoder, rough, training)  # [B, S / 4, S / 4, 4 gf]
        if self.conditioning:
            condition, mu, log_var = self.conditioning(text_embedding, eps)
            h = self.joint(h, condition, training=training)
        else:
            h = self.joint(h, training=training)
        h = run(self.ups, run(self.residuals, h, training), training)
        return GeneratorOutputs((rough, self.to_image(h)), mu, log_var)
