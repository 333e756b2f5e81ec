"""The R1 gradient penalty."""

from keras import ops

from stackgan_tf.structs import Tensor


def r1(image_gradients: Tensor) -> Tensor:
    """Half the squared norm of what D's logit does as a real image changes; its weight is the papers' gamma.

    Shapes: [B, S, S, 3], the gradient of the logits' sum with respect to the images -> [B], float32.
    Source: Mescheder et al., ICML 2018 (arXiv 1801.04406), equation (9).
    """
    return ops.sum(ops.square(ops.cast(image_gradients, "float32")), axis=(1, 2, 3)) / 2
