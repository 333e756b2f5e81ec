"""Pictures from a .tflite file of `stackgan_tf.export`, without TensorFlow."""

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stackgan_tf import noise, text
from stackgan_tf.config import DataConfig
from stackgan_tf.drawing import Artist, SentenceEncoder, grey_levels
from stackgan_tf.errors import UserError

CARD, FORMAT = "model_card.json", 1  # its name and what is in it
TEXT_ENCODER = "text_encoder.tflite"  # beside the generator


class OtherEncoder:
    """An encoder that does not run on a device: its embeddings must be given."""

    def __init__(self, size: int, name: str) -> None:
        self.size, self.name = size, name

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """Says so."""
        raise UserError(
            f"--text: this model's text encoder, {self.name}, does not run without TensorFlow; embed the sentences "
            "elsewhere with python -m stackgan_tf.embed and give --embeddings"
        )


class CharacterEncoder:
    """The run's own char_cnn_rnn, as a .tflite file."""

    name = "char_cnn_rnn"

    def __init__(self, size: int, file: Path, threads: int) -> None:
        self.size, self._run = size, signature_of(file, threads)

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences -> [N, T] float32."""
        from stackgan_tf.text.char_cnn_rnn import characters

        ids = characters(sentences).astype(np.int32)
        return np.concatenate([self._run(characters=row[None])["text_embedding"] for row in ids])


class OnDevice(Artist):
    """Draws with a .tflite file, with the noise and so the pictures of the run that it is from.

    Args:
        file: a generator; a text encoder of its own lies beside it.
        threads: of the processor.

    Raises:
        UserError: ai-edge-litert is not installed, or it is no such file.
    """

    def __init__(self, file: Path, threads: int = 2) -> None:
        self._run, card = signature_of(file, threads), _card(file)
        sizes = noise.own_names({name: told["size"] for name, told in card["noise"].items()})
        of_eps = next((told["distribution"] for name, told in card["noise"].items() if name != "noise"), "normal")
        super().__init__(card["scales"], sizes, of_eps, _encoder(card["text"], file.parent, threads))

    def draw(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """Pictures at every scale, [N, side, side, 3] uint8; drawn one by one, as files of batch 1 must be."""
        count = len(inputs["z"])
        named = noise.exported_names(inputs)
        drawn = [self._run(**{name: rows[i : i + 1] for name, rows in named.items()}) for i in range(count)]
        return [grey_levels(np.concatenate([images[f"image_{side}"] for images in drawn])) for side in self.scales]


def _encoder(told: dict[str, Any] | None, folder: Path, threads: int) -> SentenceEncoder | None:
    if told is None:
        return None
    name, size = told["encoder"], told["size"]
    if name == "hashing":
        return text.load(DataConfig(text_encoder=name, text_size=size))
    if name == "char_cnn_rnn":
        return CharacterEncoder(size, folder / TEXT_ENCODER, threads)
    return OtherEncoder(size, name)


def _card(file: Path) -> dict[str, Any]:
    """The card that lies behind the model."""
    try:
        with zipfile.ZipFile(file) as archive:
            card = json.loads(archive.read(CARD))
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise UserError(f"{file}: no {CARD} in it; it is not a generator of python -m stackgan_tf.export") from None
    if card.get("format") != FORMAT:
        raise UserError(f"{file}: is of another version of stackgan_tf (format {card.get('format')}, not {FORMAT})")
    return card


def signature_of(file: Path, threads: int) -> Callable[..., dict[str, np.ndarray]]:
    """The file's one signature: arrays by name in and out."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise UserError('ai-edge-litert is not installed; pip install "stackgan_tf[litert]" brings it') from None
    try:
        return Interpreter(str(file), num_threads=threads).get_signature_runner()
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{file}: cannot be read as a .tflite file ({' '.join(str(error).split())[:200]})") from None
