"""Less memory for more time: what a block computes is forgotten, and computed again where its gradient needs it."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from stackgan_tf.models.layers import ConvBlock


def recompute_blocks(model: keras.Model) -> None:
    """Makes every `ConvBlock` of a built model keep its inputs only, in training mode.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, ConvBlock):
            layer.call = _recomputed(layer)


def _recomputed(block: ConvBlock) -> Callable[..., tf.Tensor]:
    """The block's `call`, with the same numbers and gradients, second ones as well.

    Its variables are read before it and changed after it, not inside: the second time is then of the same numbers, and
    batch norm's statistics and the spectral norm's u move once. `tf.recompute_grad` would run the block itself again.
    """
    call, states = block.call, block.non_trainable_variables
    variables = (*block.trainable_variables, *states)
    stored = [v.value for v in variables]  # inside a call Keras would cast them

    def computed(inputs: Sequence[tf.Tensor], values: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with keras.StatelessScope(list(zip(variables, values, strict=True))) as scope:
            y = call(*inputs, training=True)
        return y, [scope.get_current_value(v) for v in states]

    @tf.custom_gradient
    def forgotten(inputs: Sequence[tf.Tensor], values: Sequence[tf.Tensor]) -> tuple:
        def gradient(dy: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor | None]:
            with tf.control_dependencies([dy]):  # not before it is needed, and not merged with the first time
                again = tf.nest.map_structure(tf.identity, (inputs, values))
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(again)
                y, _ = computed(*again)
            return tape.gradient(y, tf.nest.flatten(again), output_gradients=dy)

        return computed(inputs, values), gradient

    def recomputing(*inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return call(*inputs)
        y, moved = forgotten(inputs, [tf.convert_to_tensor(v) for v in stored])
        for variable, value in zip(states, moved, strict=True):
            variable.assign(value)
        return y

    return recomputing
