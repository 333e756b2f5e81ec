"""The encoders of text and images that `stackgan_tf.train_text_encoder` trained together."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import yaml

from stackgan_tf import text
from stackgan_tf.config import DataConfig
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.extractors import JOINT, Activations, Extractor, digest
from stackgan_tf.models.image_encoder import ImageEncoder
from stackgan_tf.text import TextEncoder
from stackgan_tf.text.char_cnn_rnn import CONFIG, WEIGHTS

IMAGE_WEIGHTS = "image.weights.h5"
CHAR_CNN_RNN = "char_cnn_rnn"


class JointText(TextEncoder):
    """Sentences into the space of the images."""

    def __init__(self, folder: Path, config: dict) -> None:
        self.name, self.folder, self.size = f"{JOINT}{config['encoder']}", folder, config["size"]
        own = config["encoder"] == CHAR_CNN_RNN
        self.reader = text.load(
            DataConfig(text_encoder=config["encoder"], text_path=str(folder) if own else config["text_path"])
        )
        self.project = None if own else projection(self.size)
        if self.project:
            self.project(np.zeros((1, self.reader.size), np.float32))
            self.project.load_weights(folder / WEIGHTS)

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences -> [N, T] float32."""
        embeddings = self.reader.encode(sentences)
        return self.project(embeddings).numpy() if self.project else embeddings

    def fingerprint(self) -> str:
        """Of the encoder and the weights learnt for it."""
        return f"{self.reader.fingerprint()}/{digest([(self.folder / WEIGHTS).read_bytes()])}"


def projection(size: int) -> keras.Sequential:
    """The linear map that is learnt of another encoder's embeddings: [B, ...] -> [B, size]."""
    return keras.Sequential([keras.layers.Dense(size, name="project")], name="text")


def load(folder: Path) -> tuple[Extractor, TextEncoder]:
    """Both encoders of a folder.

    Raises:
        UserError: it is none of `stackgan_tf.train_text_encoder`.
    """
    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        images = ImageEncoder(config["size"], config["side"], name="image")
        images(np.zeros((1, config["side"], config["side"], 3), np.float32))
        images.load_weights(folder / IMAGE_WEIGHTS)
        sentences = JointText(folder, config)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--joint_encoder={folder}: is no folder of python -m stackgan_tf.train_text_encoder ({reason})"
        ) from None

    def network(pixels: tf.Tensor) -> Activations:
        return Activations(images(pixels, training=False), None)

    fingerprint = digest((folder / name).read_bytes() for name in (CONFIG, IMAGE_WEIGHTS))
    return Extractor(sentences.name, fingerprint, config["side"], network, has_logits=False), sentences
