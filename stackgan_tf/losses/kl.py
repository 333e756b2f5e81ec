"""The regulariser of Conditioning Augmentation."""

from keras import ops

from stackgan_tf.structs import Tensor


def kl_divergence(mu: Tensor, log_var: Tensor, reduction: str = "mean") -> Tensor:
    """KL(N(mu, exp(log_var)) || N(0, I)): over the E entries, its sum, or their mean.

    Shapes: [B, E], [B, E] -> [B], float32, in nats.
    Source: StackGAN equation (2), the sum; released code, `KL_loss`, the mean.
    """
    mu, log_var = ops.cast(mu, "float32"), ops.cast(log_var, "float32")
    reduce = {"mean": ops.mean, "sum": ops.sum}[reduction]
    return -0.5 * reduce(1 + log_var - ops.square(mu) - ops.exp(log_var), axis=-1)
