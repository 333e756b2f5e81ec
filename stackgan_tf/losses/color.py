"""Colour consistency between neighbouring scales."""

from keras import ops

from stackgan_tf.structs import Tensor


def color_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean colour and covariance (divided by the pixel count) of each image.

    Shapes: [B, S, S, 3] -> [B, 3], [B, 3, 3], float32.
    Source: StackGAN++ section 4.3; released code, `compute_mean_covariance`.
    """
    pixels = ops.reshape(ops.cast(images, "float32"), (-1, images.shape[1] * images.shape[2], 3))
    mean = ops.mean(pixels, axis=1, keepdims=True)
    centred = pixels - mean
    return mean[:, 0], ops.matmul(ops.transpose(centred, (0, 2, 1)), centred) / pixels.shape[1]


def color_consistency(coarse: Tensor, fine: Tensor, mean_weight: float = 1.0, covariance_weight: float = 5.0) -> Tensor:
    """lambda_1 MSE(mu) + lambda_2 MSE(Sigma) of one pair of scales; the coarse image gets no gradient.

    Shapes: [B, S, S, 3], [B, 2S, 2S, 3] -> [B], float32.
    Source: StackGAN++ section 4.3, L_C; released code, `train_Gnet`.
    Deviation: means over the 3 and 9 entries as in the released code, where the paper writes squared norms.
    """
    coarse_mean, coarse_covariance = color_statistics(ops.stop_gradient(coarse))
    fine_mean, fine_covariance = color_statistics(fine)
    return mean_weight * ops.mean(ops.square(fine_mean - coarse_mean), axis=-1) + covariance_weight * ops.mean(
        ops.square(fine_covariance - coarse_covariance), axis=(-2, -1)
    )
