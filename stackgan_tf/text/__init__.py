"""Text encoders: one a file, found by the file's name."""

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from stackgan_tf.errors import UserError
from stackgan_tf.structs import Tensor


class TextEncoder(Protocol):
    """Sentences in, embeddings out."""

    name: str
    size: int  # T

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences -> [N, T] float32."""

    def encode_tensor(self, sentences: Tensor) -> Tensor:
        """The same as a TensorFlow graph: string [N] -> [N, T] float32."""


def load(name: str, size: int) -> TextEncoder:
    """The encoder of `stackgan_tf/text/<name>.py`.

    Raises:
        UserError: there is none; names those that exist.
    """
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    if name not in names:
        raise UserError(f"data.text_encoder={name!r}: unknown; choose from {', '.join(names)}")
    return importlib.import_module(f"{__name__}.{name}").Encoder(size)
