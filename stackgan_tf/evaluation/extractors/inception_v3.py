"""InceptionV3 of Keras Applications, trained on ImageNet."""

import keras
import tensorflow as tf

from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.extractors import INCEPTION, Activations, Extractor, digest

SIDE = 299  # pixels


def load(weights: str = "") -> Extractor:
    """Features: the 2,048 of its last pooling; logits: those of the 1,000 classes.

    Deviation: not the TensorFlow graph of 2015, with 1,008 logits, that published figures mostly come from; so figures
    of this one compare with each other only.

    Raises:
        UserError: the weights cannot be fetched or read.
    """
    try:
        model = keras.applications.InceptionV3(weights=weights or "imagenet", classifier_activation=None)
    except Exception as error:  # of the network, of the file system, of h5py: whatever reading it leads to
        reason = " ".join(str(error).split())[:150]
        if weights:
            raise UserError(f"--weights={weights}: cannot be read as weights of {INCEPTION} ({reason})") from None
        raise UserError(
            f"--extractor={INCEPTION}: its weights cannot be fetched ({reason}); name a copy of "
            "inception_v3_weights_tf_dim_ordering_tf_kernels.h5 with --weights, or another --extractor"
        ) from None
    both = keras.Model(model.inputs, [model.get_layer("avg_pool").output, model.output])

    def network(images: tf.Tensor) -> Activations:
        return Activations(*both(images, training=False))

    return Extractor(INCEPTION, digest(w.tobytes() for w in both.get_weights()), SIDE, network, has_logits=True)
