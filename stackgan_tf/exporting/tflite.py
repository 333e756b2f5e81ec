"""A .tflite for the device: builtin operations only, images from embeddings and noise."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf

from stackgan_tf.errors import UserError
from stackgan_tf.exporting import QUANTIZED, int8, model_card, parity
from stackgan_tf.exporting.job import Job
from stackgan_tf.exporting.parity import Parity
from stackgan_tf.exporting.signatures import Functions
from stackgan_tf.exporting.tflite_metadata import append_card, metadata
from stackgan_tf.on_device import TEXT_ENCODER

SIGNATURE = "serving_default"


def write(job: Job, folder: Path) -> None:
    """Fills a folder: for each of `quantize` a file of any batch and one of batch 1, which is what delegates want.

    `none` is float32, `float16` has such weights, `dynamic` int8 weights, `int8` also int8 activations, whose ranges
    are learnt from examples; inputs and outputs are float32 in all.

    Raises:
        UserError: ai-edge-litert is not installed.
    """
    tools, functions = flatbuffer_tools(), job.signatures.on_device()
    card = job.card(functions)
    with _saved(job, functions) as saved:
        for kind in job.quantize:
            converted = int8.converted(saved, job.calibration) if kind == "int8" else _converted(saved, kind)
            model = tools.read_model_from_bytearray(bytearray(converted))
            _describe(model, card)
            _save(model, card, folder / f"{QUANTIZED[kind]}.tflite")
            for tensor in model.subgraphs[0].tensors:
                tensor.shapeSignature = None  # it tells that the batch may change; the shapes themselves are of one
            _save(model, card, folder / f"{QUANTIZED[kind]}_batch1.tflite")
    encoder = job.signatures.text_encoder()
    if encoder:
        with _saved(job, encoder) as saved:
            (folder / TEXT_ENCODER).write_bytes(_converted(saved))
    model_card.write(card, folder)


def compare(job: Job, folder: Path) -> list[Parity]:
    """Every file in the folder beside the run."""
    files = (folder / f"{QUANTIZED[kind]}{batch}.tflite" for kind in job.quantize for batch in ("", "_batch1"))
    found = [parity.of_tflite(file, job) for file in files]
    if (folder / TEXT_ENCODER).exists():
        found.append(parity.of_text_encoder(folder / TEXT_ENCODER, job.artist.encoder))
    return found


def flatbuffer_tools() -> ModuleType:
    """What reads and writes .tflite files.

    Raises:
        UserError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert.tools import flatbuffer_utils
    except ImportError:
        raise UserError(
            'ai-edge-litert is not installed, which .tflite files need; pip install "stackgan_tf[litert]" brings it'
        ) from None
    return flatbuffer_utils


@contextmanager
def _saved(job: Job, functions: Functions) -> Iterator[str]:
    """A SavedModel for the converter, which reads no functions."""
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(job.signatures.variables, folder, functions)
        yield folder


def _converted(saved: str, kind: str = "none") -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved, [SIGNATURE])
    if kind != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def _describe(model: Any, card: model_card.Card) -> None:
    """Puts the metadata into a model."""
    from ai_edge_litert.schema_py_generated import BufferT, MetadataT

    graph, (names,) = model.subgraphs[0], model.signatureDefs
    sides = (names.inputs, graph.inputs), (names.outputs, graph.outputs)
    inputs, outputs = ([_name_of(tensor, known) for tensor in order] for known, order in sides)
    entry, buffer = MetadataT(), BufferT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    buffer.data = np.frombuffer(metadata(card, inputs, outputs), np.uint8)
    model.buffers.append(buffer)
    model.metadata.append(entry)


def _name_of(tensor: int, known: Sequence[Any]) -> str:
    (name,) = (entry.name for entry in known if entry.tensorIndex == tensor)
    return name.decode()


def _save(model: Any, card: model_card.Card, file: Path) -> None:
    file.write_bytes(flatbuffer_tools().convert_object_to_bytearray(model))
    append_card(file, card)
