"""A .tflite for the device: builtin operations only, images from embeddings and noise."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf

from stackgan_tf.errors import UserError
from stackgan_tf.exporting import model_card
from stackgan_tf.exporting.signatures import Functions, Signatures
from stackgan_tf.exporting.tflite_metadata import append_card, metadata

FILES = {"none": "float32", "float16": "float16", "dynamic": "dynamic", "int8": "int8"}  # by --quantize
TEXT_ENCODER = "text_encoder.tflite"
SIGNATURE = "serving_default"

Examples = Mapping[str, np.ndarray]  # inputs by name, [N, ...] each


def write(
    signatures: Signatures,
    functions: Functions,
    card: model_card.Card,
    folder: Path,
    quantize: Sequence[str],
    examples: Examples | None,
) -> None:
    """Fills a folder: for each of `quantize` a file of any batch and one of batch 1, which is what delegates want.

    Args:
        functions: `Signatures.on_device`.
        quantize: `none`; `float16` weights; `dynamic`: int8 weights; `int8`: activations as well.
        examples: real inputs, from which `int8` learns the ranges of activations.

    Raises:
        UserError: ai-edge-litert is not installed.
    """
    tools = flatbuffer_tools()
    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(signatures.variables, saved, functions)
        for kind in quantize:
            model = tools.read_model_from_bytearray(bytearray(_converted(saved, kind, examples)))
            _describe(model, card)
            _save(model, card, folder / f"{FILES[kind]}.tflite")
            for tensor in model.subgraphs[0].tensors:
                tensor.shapeSignature = None  # it tells that the batch may change; the shapes themselves are of one
            _save(model, card, folder / f"{FILES[kind]}_batch1.tflite")
    encoder = signatures.text_encoder()
    if encoder:
        with tempfile.TemporaryDirectory() as saved:
            tf.saved_model.save(signatures.variables, saved, encoder)
            (folder / TEXT_ENCODER).write_bytes(_converted(saved, "none"))
    (folder / model_card.NAME).write_text(model_card.dumped(card), encoding="utf-8")


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


def _converted(saved: str, kind: str, examples: Examples | None = None) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved, [SIGNATURE])
    if kind != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        converter.representative_dataset = lambda: _rows(examples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def _rows(examples: Examples) -> Iterator[dict[str, np.ndarray]]:
    for i in range(len(next(iter(examples.values())))):
        yield {name: rows[i : i + 1] for name, rows in examples.items()}


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
