"""Text encoders: one a file, found by the file's name."""

import dataclasses
import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stackgan_tf.config import Config, DataConfig
from stackgan_tf.errors import UserError
from stackgan_tf.structs import Tensor

FOLDER = "text_encoder"  # of a run directory: the weights of an encoder that was trained


class TextEncoder(ABC):
    """Sentences in, embeddings out.

    Each file has a subclass `Encoder(size, path)`. `size`: T, 0 for the encoder's own. `path`: of its weights, "" for
    its own. Where a TensorFlow graph can do the same, it has `encode_tensor`: string [N] -> [N, T] float32.
    """

    name: str
    size: int  # T
    weights: Path | None = None  # a folder of trained weights, of which a run takes a copy
    variables: Sequence[Tensor] = ()  # those that `encode_tensor` reads
    by_image = False  # knows the captions of images only: see `of_image`

    @abstractmethod
    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences -> [N, T] float32."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Another one whenever an embedding would be another."""

    def of_image(self, name: str, count: int) -> np.ndarray:
        """The embeddings of an image's captions, by its name: [count, T] float32."""
        raise NotImplementedError


def names() -> list[str]:
    """The encoders that there are."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


def load(data: DataConfig, run_dir: Path | None = None) -> TextEncoder:
    """The encoder of `stackgan_tf/text/<data.text_encoder>.py`.

    Args:
        run_dir: a run's, which has the weights of a trained encoder.

    Raises:
        UserError: there is none (names those that exist), or it cannot be had, or its embeddings are of another size.
    """
    if data.text_encoder not in names():
        raise UserError(f"data.text_encoder={data.text_encoder!r}: unknown; choose from {', '.join(names())}")
    carried = run_dir / FOLDER if run_dir else None
    path = str(carried) if carried and carried.is_dir() else data.text_path
    return importlib.import_module(f"{__name__}.{data.text_encoder}").Encoder(data.text_size, path)


def resolved(config: Config, run_dir: Path | None = None) -> tuple[Config, TextEncoder | None]:
    """The configuration with the size of the embeddings in it, which the encoder knows, and the encoder.

    None is the encoder of a model without text.

    Raises:
        UserError: as `load`.
    """
    if not config.model.conditional:
        return config, None
    encoder = load(config.data, run_dir)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, text_size=encoder.size)), encoder
