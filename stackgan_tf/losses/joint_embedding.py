"""The loss that makes a sentence find its class's images, and an image its class's sentences."""

from keras import ops

from stackgan_tf.structs import Tensor


def joint_embedding(images: Tensor, texts: Tensor, margin: float = 1.0) -> Tensor:
    """sum_j max(0, margin + F(v_i, t_j) - F(v_i, t_i)) / B, and the same with the parts of v and t exchanged.

    F(v, t) = v . t. Row i of both is of one class, no two rows of the same.

    Shapes: [B, T], [B, T] -> [B], float32.
    Source: Reed et al., CVPR 2016, equations (3) to (5); released code, `JointEmbeddingLoss`, symmetric.
    """
    scores = ops.cast(images, "float32") @ ops.transpose(ops.cast(texts, "float32"))
    own = ops.diagonal(scores)
    others = 1 - ops.eye(scores.shape[0])
    of_images = ops.relu(margin + scores - own[:, None]) * others
    of_texts = ops.relu(margin + scores - own[None, :]) * others
    return ops.mean(of_images, axis=1) + ops.mean(of_texts, axis=0)
