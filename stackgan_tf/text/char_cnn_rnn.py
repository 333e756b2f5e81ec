"""Reed et al.'s character encoder, trained by `stackgan_tf.train_text_encoder`."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from stackgan_tf.errors import UserError
from stackgan_tf.legacy import ALPHABET
from stackgan_tf.structs import Tensor
from stackgan_tf.text import TextEncoder

PLACES = {character: place for place, character in enumerate(ALPHABET, start=1)}  # of the two "-" the second
BY_CODE_POINT = [PLACES.get(chr(code), PLACES[" "]) for code in range(129)]  # the last: of all that is not ASCII
POSITIONS = 201
BATCH = 256  # sentences
CONFIG, WEIGHTS = "encoder.yaml", "text.weights.h5"


class Encoder(TextEncoder):
    """Embeddings of characters, in float32.

    Args:
        path: the folder that `stackgan_tf.train_text_encoder` left, with encoder.yaml and text.weights.h5.

    Raises:
        UserError: there is none, or its embeddings are of another size.
    """

    name = "char_cnn_rnn"
    positions = POSITIONS

    def __init__(self, size: int = 0, path: str = "") -> None:
        if not path:
            raise UserError(
                "data.text_path='': char_cnn_rnn needs its weights; train them with "
                "python -m stackgan_tf.train_text_encoder and name their folder"
            )
        self.weights = Path(path).expanduser()
        self._network, self.size = _load(self.weights)
        self.variables = [v.value for v in self._network.variables]
        if size not in (0, self.size):
            raise UserError(f"data.text_size={size}: {path} gives embeddings of {self.size}")

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences -> [N, T] float32."""
        ids = characters(sentences)
        embeddings = np.empty((len(ids), self.size), np.float32)
        for start in range(0, len(ids), BATCH):
            embeddings[start : start + BATCH] = self.encode_characters(ids[start : start + BATCH])
        return embeddings

    def encode_tensor(self, sentences: Tensor) -> Tensor:
        """The same as a TensorFlow graph: string [N] -> [N, T] float32."""
        import tensorflow as tf

        letters = tf.strings.unicode_decode(tf.strings.lower(sentences, "utf-8"), "UTF-8")[:, :POSITIONS]
        place = tf.constant(BY_CODE_POINT)
        ids = tf.ragged.map_flat_values(
            lambda code: tf.gather(place, tf.minimum(code, len(BY_CODE_POINT) - 1)), letters
        )
        return self.encode_characters(ids.to_tensor(0, shape=(None, POSITIONS)))

    def encode_characters(self, ids: Tensor) -> Tensor:
        """The same, of `characters` of the sentences: [N, 201] -> [N, T] float32."""
        return self._network(ids)

    def fingerprint(self) -> str:
        """Of the weights' bytes."""
        return hashlib.sha256((self.weights / WEIGHTS).read_bytes()).hexdigest()


def characters(sentences: Sequence[str]) -> np.ndarray:
    """N sentences -> [N, 201] uint8: 1-based places in the alphabet, 0 behind the end.

    What is not in the alphabet counts as a space; what is beyond 201 characters does not count.
    """
    ids = np.zeros((len(sentences), POSITIONS), np.uint8)
    for row, sentence in zip(ids, sentences, strict=True):
        places = [PLACES.get(character, PLACES[" "]) for character in sentence.lower()[:POSITIONS]]
        row[: len(places)] = places
    return ids


def _load(folder: Path) -> tuple:
    """The network and T."""
    from stackgan_tf.models.char_cnn_rnn import CharCnnRnn

    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        network = CharCnnRnn(size=config["size"], width=config["width"], name="text")
        network(np.zeros((1, POSITIONS), np.uint8))
        network.load_weights(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"data.text_path={folder}: is no folder of a trained char_cnn_rnn ({reason})") from None
    return network, config["size"]
