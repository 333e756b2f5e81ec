"""Every trick at once."""

import keras

from stackgan_tf.distribution import gpus
from stackgan_tf.quick.batch_norm import quicken_batch_norm
from stackgan_tf.quick.gates import compile_gates
from stackgan_tf.quick.joins import split_joins
from stackgan_tf.quick.small_maps import multiply_small_maps
from stackgan_tf.quick.upsampling import transpose_upsampling


def quicken(model: keras.Model) -> None:
    """Makes a built model compute the same in less time. What was measured on CPUs alone stays there."""
    quicken_batch_norm(model)
    if not gpus():
        transpose_upsampling(model)
        multiply_small_maps(model)
        split_joins(model)
        compile_gates(model)
