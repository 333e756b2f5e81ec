"""The adversarial loss."""

from keras import ops

from stackgan_tf.structs import Tensor


def binary_cross_entropy(logits: Tensor, target: float) -> Tensor:
    """-log sigmoid(logits) for target 1, -log(1 - sigmoid(logits)) for target 0, stable for any logits.

    Shapes: [B] -> [B], float32, in nats.
    Source: StackGAN equations (3) and (4), in the non-saturating form of the released code.
    """
    logits = ops.cast(logits, "float32")
    return ops.softplus(logits) - target * logits
