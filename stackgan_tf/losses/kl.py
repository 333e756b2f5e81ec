"""The regulariser of Conditioning Augmentation."""

from keras import ops

from stackgan_tf.structs import Tensor


def kl_divergence(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mu, exp(log_var)) || N(0, I)), averaged over the E entries.

    Shapes: [B, E], [B, E] -> [B], float32, in nats.
    Source: StackGAN equation (2); released code, `KL_loss`.
    Deviation: the mean over E as in the released code, where the paper's divergence is a sum.
    """
    mu, log_var = ops.cast(mu, "float32"), ops.cast(log_var, "float32")
    return -0.5 * ops.mean(1 + log_var - ops.square(mu) - ops.exp(log_var), axis=-1)
