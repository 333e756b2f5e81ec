"""Names, meanings and ranges in a .tflite itself, as tools for phones read them, and the whole card behind it.

Source: TensorFlow Lite's metadata_schema.fbs 1.5: the numbers below are its fields'. Files that belong to a model are a
ZIP archive behind it: `zipfile` opens the .tflite as it is.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers

from stackgan_tf.exporting.model_card import Card, dumped
from stackgan_tf.on_device import CARD

IDENTIFIER = b"M001"
MODEL = {"name": 0, "description": 1, "version": 2, "subgraphs": 3, "license": 5, "files": 6, "min_parser_version": 7}
SUBGRAPH = {"inputs": 2, "outputs": 3}
TENSOR = {"name": 0, "description": 1, "stats": 5}
STATS = {"max": 0, "min": 1}
FILE = {"name": 0, "description": 1}


def metadata(card: Card, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The metadata of a generator.

    Args:
        inputs, outputs: the names of the tensors in the order of the model.
    """
    (signature,) = card["signatures"].values()
    builder = flatbuffers.Builder()
    told = {
        side: _vector(builder, [_tensor(builder, name, signature[side][name]) for name in names])
        for side, names in (("inputs", inputs), ("outputs", outputs))
    }
    subgraphs = _vector(builder, [_table(builder, SUBGRAPH, told)])
    what = f"StackGAN {card['family']} trained on {card['dataset']} for {card['step']} steps"
    file = {"name": _string(builder, CARD), "description": _string(builder, "all that is known of the model")}
    fields = {
        "name": _string(builder, card["model"]),
        "description": _string(builder, what),
        "version": _string(builder, str(card["step"])),
        "subgraphs": subgraphs,
        "license": _string(builder, card["licence_of_the_weights"]),
        "files": _vector(builder, [_table(builder, FILE, file)]),
        "min_parser_version": _string(builder, "1.0.0"),
    }
    builder.Finish(_table(builder, MODEL, fields), IDENTIFIER)
    return bytes(builder.Output())


def append_card(file: Path, card: Card) -> None:
    """Puts the card behind a model."""
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(CARD, dumped(card))


def _tensor(builder: flatbuffers.Builder, name: str, told: Mapping[str, Any]) -> int:
    fields = {"name": _string(builder, name), "description": _string(builder, told["what"])}
    if "range" in told:
        low, high = told["range"]
        fields["stats"] = _table(builder, STATS, {"max": _floats(builder, [high]), "min": _floats(builder, [low])})
    return _table(builder, TENSOR, fields)


def _string(builder: flatbuffers.Builder, text: str) -> int:
    return builder.CreateString(text)


def _table(builder: flatbuffers.Builder, slots: Mapping[str, int], fields: Mapping[str, int]) -> int:
    builder.StartObject(1 + max(slots.values()))
    for name, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(slots[name], offset, 0)
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()
