"""A SavedModel for TensorFlow Serving: signatures, requests to warm up with, a card; no Keras, no Python in it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from stackgan_tf.errors import UserError
from stackgan_tf.exporting import model_card, parity
from stackgan_tf.exporting.job import Job
from stackgan_tf.exporting.parity import Parity
from stackgan_tf.exporting.signatures import Functions

WARM_UP = "assets.extra/tf_serving_warmup_requests"
SENTENCE = "a flower"  # to warm up with


def write(job: Job, folder: Path) -> None:
    """Fills a version's folder.

    Raises:
        UserError: tensorflow-serving-api is not installed, which has the records to warm up with.
    """
    functions = job.signatures.served()
    requests = list(warm_up_requests(functions, job.model))
    tf.saved_model.save(job.signatures.variables, str(folder), functions)
    (folder / WARM_UP).parent.mkdir()
    with tf.io.TFRecordWriter(str(folder / WARM_UP)) as records:
        for request in requests:
            records.write(request)
    model_card.write(job.card(functions), folder)


def compare(job: Job, folder: Path) -> list[Parity]:
    """The SavedModel beside the run."""
    return parity.of_saved_model(folder, job)


def warm_up_requests(functions: Functions, model: str) -> Iterator[bytes]:
    """One request of one row for each signature, as TensorFlow Serving's own `PredictionLog`."""
    try:
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
    except ImportError:
        raise UserError(
            "--format=saved_model: needs tensorflow-serving-api's records of requests; "
            'pip install "stackgan_tf[serving]" brings them'
        ) from None
    for name, function in functions.items():
        log = PredictionLog()
        request = log.predict_log.request
        request.model_spec.name, request.model_spec.signature_name = model, name
        for key, spec in function.structured_input_signature[1].items():
            row = np.full((1, *spec.shape[1:]), SENTENCE if spec.dtype == tf.string else 0, spec.dtype.as_numpy_dtype)
            request.inputs[key].CopyFrom(tf.make_tensor_proto(row, spec.dtype))
        yield log.SerializeToString()
