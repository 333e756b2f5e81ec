"""What is known of an exported model, beside it as model_card.json: what it is from, what goes in, what comes out."""

import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import stackgan_tf
from stackgan_tf import noise
from stackgan_tf.evaluation import judge
from stackgan_tf.exporting.signatures import Functions
from stackgan_tf.generation import TextToImage
from stackgan_tf.on_device import CARD, FORMAT

NOT_STATED = "not stated: ask whoever trained it; the images it learnt from have terms of their own"
MEANINGS = {
    "text_embedding": "of a sentence, by the text encoder named here",
    "text": "a sentence, UTF-8",
    "seed": "of the noise, any int64; the same seed and text give the same image in any batch",
    "truncation": "the noise is multiplied by it: 1 as trained, 0 the mean picture of the text",
    "noise": "z, from N(0, 1)",
    "eps": "of Conditioning Augmentation",
    "eps_stage1": "of Stage-I's Conditioning Augmentation",
}
RANGES = {"truncation": [0.0, 1.0]}

Card = dict[str, Any]


def describe(artist: TextToImage, model: str, run_dir: Path, licence: str, functions: Functions) -> Card:
    """The card of a run's newest checkpoint, exported with these signatures.

    Args:
        model: its name.
        licence: of the weights; "" where nobody said.
    """
    config = artist.config
    return {
        "format": FORMAT,
        "model": model,
        "family": config.model.name,
        "dataset": config.data.dataset,
        "step": artist.step,
        "weights": "average",
        "licence_of_the_weights": licence or NOT_STATED,
        "scales": list(artist.scales),
        "text": {"encoder": artist.encoder.name, "size": artist.encoder.size} if artist.encoder else None,
        "noise": noise.exported_names({name: _noise(artist, name) for name in artist.noise_sizes}),
        "signatures": {name: _signature(function) for name, function in functions.items()},
        "metrics": _metrics(run_dir / "evaluation" / f"{artist.step}.json"),
        "made_with": {
            "stackgan_tf": stackgan_tf.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
    }


def write(card: Card, folder: Path) -> None:
    """Puts the card beside the model."""
    (folder / CARD).write_text(dumped(card), encoding="utf-8")


def dumped(card: Card) -> str:
    """As the file has it."""
    return json.dumps(card, indent=2, ensure_ascii=False) + "\n"


def _noise(artist: TextToImage, name: str) -> dict[str, Any]:
    drawn_from = noise.distribution(name, artist.eps_distribution)
    return {"size": artist.noise_sizes[name], "stream": noise.STREAMS[name], "distribution": drawn_from}


def _signature(function: tf.types.experimental.ConcreteFunction) -> dict[str, Any]:
    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    return {
        "inputs": {name: _tensor(spec) | _meaning(name) for name, spec in sorted(inputs.items())},
        "outputs": {name: _tensor(spec) | _meaning(name) for name, spec in sorted(outputs.items())},
    }


def _meaning(name: str) -> dict[str, Any]:
    if name.endswith("_bytes"):
        return {"what": "a PNG file"}
    if name.startswith("image_"):
        return {"what": "RGB, -1 black, 1 white", "range": [-1.0, 1.0]}
    return {"what": MEANINGS[name]} | ({"range": RANGES[name]} if name in RANGES else {})


def _tensor(spec: tf.TensorSpec) -> dict[str, Any]:
    return {"shape": list(spec.shape), "dtype": spec.dtype.name}


def _metrics(file: Path) -> dict[str, dict[str, float | None]]:
    """The figures that `stackgan_tf.evaluate` found for the averaged weights."""
    figures = (figure for figure in judge.written(file) if figure["weights"] == "ema")
    return {figure["name"]: {"value": figure["value"], "error": figure["error"]} for figure in figures}
