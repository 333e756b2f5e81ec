"""The least-squares loss."""

from keras import ops

from stackgan_tf.structs import Tensor


def least_squares(logits: Tensor, target: float) -> Tensor:
    """(logits - target)^2 / 2: D's for targets 1 and 0, G's for target 1.

    Shapes: [B] -> [B], float32.
    Source: Mao et al., ICCV 2017 (arXiv 1611.04076), equation (9): a = 0, b = c = 1.
    """
    return ops.square(ops.cast(logits, "float32") - target) / 2
