"""The matching-aware gradient penalty."""

from keras import ops

from stackgan_tf.structs import Tensor

POWER = 6  # p; the paper's k is the weight


def matching_aware(image_gradients: Tensor, condition_gradients: Tensor) -> Tensor:
    """(|gradient by the image| + |gradient by the text|)^p, of the logit of a real image with its own text.

    Shapes: [B, S, S, 3], [B, E], gradients of the logits' sum -> [B], float32.
    Source: Tao et al., CVPR 2022 (arXiv 2008.05865), "Matching-Aware Gradient Penalty"; released code, `MA_GP`.
    Deviation: as in the released code one norm over both gradients together, where the paper adds two norms; by the
    condition that our D reads, mu, where theirs reads the sentence embedding.
    """
    squares = ops.sum(ops.square(ops.cast(image_gradients, "float32")), axis=(1, 2, 3))
    squares += ops.sum(ops.square(ops.cast(condition_gradients, "float32")), axis=-1)
    return squares ** (POWER // 2)  # of the norm, so that no root is needed
