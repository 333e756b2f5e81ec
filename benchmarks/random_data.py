"""Batches of noise instead of photographs, for what is timed without an input pipeline."""

import tensorflow as tf

from stackgan_tf.config import Config
from stackgan_tf.data.pipeline import batch_spec
from stackgan_tf.structs import Batch


def random_batch(config: Config) -> Batch:
    """A global batch of the shapes and types that the pipeline gives."""
    return tf.nest.map_structure(_random, batch_spec(config))


def _random(spec: tf.TensorSpec | None) -> tf.Tensor | None:
    if spec is None:
        return None
    return tf.cast(tf.random.uniform(spec.shape, 0, 256 if spec.dtype == tf.uint8 else 1), spec.dtype)
