"""Signs that a GAN collapses, cheap enough for every step: [B] float32 each, to be averaged like the losses."""

import tensorflow as tf

from stackgan_tf.structs import Logits


def accuracy(pairs: dict[str, Logits]) -> dict[str, tf.Tensor]:
    """Is D right about real and about fake pairs? 1 where it is, else 0.

    Of the head that reads the text where there is one. Near 1 for both: D has won, and G learns little from it.
    """
    real, fake = (
        pairs[name].unconditional if pairs[name].conditional is None else pairs[name].conditional
        for name in ("real", "fake")
    )
    return {
        "accuracy_real": tf.cast(real > 0, tf.float32),
        "accuracy_fake": tf.cast(fake < 0, tf.float32),
    }


def diversity(images: tf.Tensor, global_size: int) -> tf.Tensor:
    """How far each image is from the mean image of the global batch, in root mean square: 0 where all are the same.

    Shapes: [B, S, S, 3] in [-1, 1] -> [B]. Only inside `strategy.run`.
    """
    share = tf.reduce_sum(images, axis=0) / global_size
    mean = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, share)
    return tf.sqrt(tf.reduce_mean(tf.square(images - mean), axis=(1, 2, 3)))
