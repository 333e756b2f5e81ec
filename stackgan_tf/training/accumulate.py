"""Sums over the parts of a batch that are computed one after the other, in the memory of one."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def sum_of_parts(
    strategy: tf.distribute.Strategy, of_part: Callable[..., Any], parts: int, args: Sequence[Any]
) -> tuple[Any, ...]:
    """The sum over j < parts of what `of_part(j, *args)` gives, a nest of tensors; for each replica of this process.

    A loop around `strategy.run`: replicas may speak to each other in a part, and TensorFlow frees a part's tensors
    before it begins the next one, which it does not do for parts that are written out one after the other.

    Args:
        of_part: computes a part, j a scalar int32 tensor, inside `strategy.run`; its shapes are the same for every j.
        args: as `strategy.run` takes them.
    """

    def of(j: tf.Tensor) -> tuple[Any, ...]:
        return strategy.experimental_local_results(strategy.run(of_part, args=(j, *args)))

    # Traced for its shapes and never called: TensorFlow cannot call a function with collectives in a loop in a branch.
    shapes = tf.function(of, autograph=False).get_concrete_function(tf.TensorSpec([], tf.int32)).structured_outputs
    nothing = tf.nest.map_structure(lambda value: tf.zeros(value.shape, value.dtype), shapes)

    def add(j: tf.Tensor, sums: tuple[Any, ...]) -> tuple[tf.Tensor, tuple[Any, ...]]:
        def added(*args: Any) -> Any:
            return tf.nest.map_structure(tf.add, of_this_replica(sums), of_part(j, *args))

        return j + 1, strategy.experimental_local_results(strategy.run(added, args=args))

    return tf.while_loop(lambda j, _: j < parts, add, (0, nothing), parallel_iterations=1, maximum_iterations=parts)[1]


def of_this_replica(values: Sequence[Any]) -> Any:
    """That of the replica that asks, on its device, of one value for each replica of this process.

    Only inside `strategy.run`.
    """
    index = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group) % len(values)
    return tf.nest.map_structure(tf.identity, values[index])
