"""The hinge loss."""

from keras import ops

from stackgan_tf.structs import Tensor


def hinge(logits: Tensor, target: float) -> Tensor:
    """D's: max(0, 1 - logits) for target 1, max(0, 1 + logits) for target 0.

    Shapes: [B] -> [B], float32.
    Source: Lim and Ye (arXiv 1705.02894); Miyato et al., ICLR 2018 (arXiv 1802.05957), section 4.
    """
    return ops.relu(1 - (2 * target - 1) * ops.cast(logits, "float32"))


def generator_hinge(logits: Tensor) -> Tensor:
    """G's: -logits, however sure D is already; `hinge` would stop teaching at 1.

    Shapes: [B] -> [B], float32.
    Source: as `hinge`.
    """
    return -ops.cast(logits, "float32")
