"""A .tflite of int8 weights and activations, whose ranges leave the rarest extremes out.

TensorFlow's own calibration takes the range of an activation from the most extreme of all examples: the more of them,
the coarser the steps for everything else. Here each example has its extremes, and the range is a quantile of them.
"""

import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from stackgan_tf.exporting.examples import Examples, rows

COVERED = 0.95  # of the examples have their smallest value in the range, and as many their largest


def converted(saved: str, examples: Examples) -> bytes:
    """A SavedModel with one signature as a .tflite; its inputs and outputs stay float32."""
    from ai_edge_litert.tools import flatbuffer_utils

    one_by_one = rows(examples)
    converter = tf.lite.TFLiteConverter.from_saved_model(saved)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: one_by_one[:1]
    converter._experimental_calibrate_only = True  # a float model that names what has a range
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)  # it is the converter's
        calibrated = converter.convert()
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(calibrated))
    ranged = _ranged(model.subgraphs[0].tensors)
    lows, highs = _extremes(calibrated, list(ranged), one_by_one)
    for low, high, quantization in zip(lows.T, highs.T, ranged.values(), strict=True):
        quantization.min = [float(np.quantile(low, 1 - COVERED))]
        quantization.max = [float(np.quantile(high, COVERED))]
    return mlir_quantize(
        bytes(flatbuffer_utils.convert_object_to_bytearray(model)),
        input_data_type=tf.float32,
        output_data_type=tf.float32,
    )


def _ranged(tensors: list[Any]) -> dict[int, Any]:
    """The ranges to fill in, by the number of their tensor."""
    of = {number: tensor.quantization for number, tensor in enumerate(tensors)}
    return {number: told for number, told in of.items() if told is not None and told.min is not None}


def _extremes(model: bytes, tensors: list[int], one_by_one: list[Examples]) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest value of each tensor for each example: [N, tensors] both."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model,
        num_threads=2,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    run, found = interpreter.get_signature_runner(), []
    for row in one_by_one:
        run(**row)
        values = [interpreter.get_tensor(i) for i in tensors]
        found.append([(value.min(), value.max()) for value in values])
    lows, highs = np.moveaxis(np.array(found), -1, 0)
    return lows, highs
