"""One device or many: the strategy, and what the replicas must agree on."""

import os

import keras
import tensorflow as tf

from stackgan_tf.errors import UserError


def make_strategy(batch_size: int = 0) -> tf.distribute.Strategy:
    """MirroredStrategy over `replica_devices`. One a process: a second one breaks synchronised batch norm."""
    return tf.distribute.MirroredStrategy(replica_devices(batch_size))


def replica_devices(batch_size: int = 0) -> list[str]:
    """All visible GPUs, else all logical CPU devices.

    Args:
        batch_size: over all replicas; 0 where there is no such number.

    Raises:
        UserError: as `gpus` and `check_divides`.
    """
    devices = tf.config.list_logical_devices("GPU" if gpus() else "CPU")
    check_divides(batch_size, len(devices))
    return [device.name for device in devices]


def gpus() -> list[tf.config.PhysicalDevice]:
    """Those of this machine that TensorFlow may use.

    Raises:
        UserError: CUDA_VISIBLE_DEVICES asks for more than there are.
    """
    found, asked = tf.config.list_physical_devices("GPU"), os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [] if asked.strip() in ("", "-1", "NoDevFiles") else asked.split(",")
    if len(names) > len(found):
        raise UserError(
            f"CUDA_VISIBLE_DEVICES={asked}: TensorFlow finds {len(found)} of these {len(names)} GPUs; correct or unset "
            "it (nvidia-smi lists the GPUs; pip install 'stackgan_tf[gpu]' brings CUDA)"
        )
    return found


def check_divides(batch_size: int, replicas: int) -> None:
    """Whether a batch can be shared equally.

    Raises:
        UserError: it cannot.
    """
    if batch_size % replicas:
        raise UserError(
            f"train.batch_size={batch_size}: {replicas} replicas do not divide it; "
            f"use {batch_size - batch_size % replicas or replicas}"
        )


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Every batch norm of a model."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def synchronize_batch_norm(model: keras.Model) -> None:
    """Makes every batch norm of a model average over all replicas."""
    for layer in batch_norms(model):
        layer.synchronized = True


def statistics(model: keras.Model) -> list[tf.Variable]:
    """The moving means and variances of every batch norm of a model, which its forward pass changes."""
    return [v.value for layer in batch_norms(model) for v in (layer.moving_mean, layer.moving_variance)]


def replica_rows(global_size: int) -> slice:
    """The rows of the global batch that belong to this replica. Only inside `strategy.run`."""
    context = tf.distribute.get_replica_context()
    size = global_size // context.num_replicas_in_sync
    index = int(tf.get_static_value(context.replica_id_in_sync_group))
    return slice(index * size, (index + 1) * size)
