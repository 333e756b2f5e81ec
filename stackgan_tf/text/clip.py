"""CLIP's text tower, from a preset of keras-hub.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021, section 2.4.
"""

import hashlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from stackgan_tf.errors import UserError
from stackgan_tf.text import TextEncoder

PRESET = "clip_vit_base_patch32"
BATCH = 64


class Encoder(TextEncoder):
    """State of the end-of-text token through the text projection, from float32 weights.

    Not normalised: the length is the one that the projection gives, as GALIP (Tao et al., CVPR 2023) feeds it to its
    generator and discriminator. CLIP itself divides by the length only to compare with a picture.

    Args:
        size: T, 0 for the preset's own (512 for ViT-B/32).
        path: name of a preset of keras-hub, downloaded once, or a folder that `save_to_preset` wrote with the
            backbone and the tokenizer; "" means `clip_vit_base_patch32`.

    Raises:
        UserError: keras-hub is not installed, no such preset, no network to download it, or another size.
    """

    name = "clip"

    def __init__(self, size: int = 0, path: str = "") -> None:
        import keras

        path = path or PRESET
        self._hub = _keras_hub()
        backbone, self._tokenizer = _loaded(self._hub, path)
        self.size = backbone.projection_dim
        if size not in (0, self.size):
            raise UserError(f"data.text_size={size}: clip with {path} gives embeddings of {self.size}; set that, or 0")
        self._config = backbone.text_encoder.get_config()
        self._tokens = self._hub.models.CLIPPreprocessor(
            self._tokenizer, sequence_length=backbone.text_encoder.max_sequence_length
        )
        token_ids = keras.Input((None,), dtype="int32")
        self._tower = keras.Model(token_ids, backbone.get_text_embeddings(token_ids))

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences -> [N, T] float32; what a sentence has beyond the preset's length (77 tokens) does not count."""
        embeddings = np.empty((len(sentences), self.size), np.float32)
        for start in range(0, len(sentences), BATCH):
            prompts = list(sentences[start : start + BATCH])
            token_ids = self._tokens({"prompts": prompts, "images": None})["token_ids"]
            embeddings[start : start + BATCH] = self._tower.predict_on_batch(token_ids)
        return embeddings

    def fingerprint(self) -> str:
        """Of keras-hub's version, the settings, the vocabulary and the weights."""
        tokenizer = self._tokenizer
        settings = [config | {"name": ""} for config in (self._config, tokenizer.get_config())]
        parts = [self._hub.__version__, settings, tokenizer.vocabulary, tokenizer.merges]
        digest = hashlib.sha256(repr(parts).encode())
        for weight in self._tower.weights:
            digest.update(np.ascontiguousarray(weight.numpy()))
        return digest.hexdigest()[:16]


def _loaded(hub: ModuleType, path: str) -> tuple[Any, Any]:
    """The backbone and the tokenizer of a preset."""
    try:
        return hub.models.CLIPBackbone.from_preset(path, dtype="float32"), hub.models.CLIPTokenizer.from_preset(path)
    except Exception as error:  # whatever a wrong name, a damaged file or the network leads to
        raise UserError(
            f"data.text_path={path!r}: cannot be loaded as a CLIP preset of keras-hub ({type(error).__name__}); give "
            "the name of one (the first time needs the network) or a folder that save_to_preset wrote"
        ) from None


def _keras_hub() -> ModuleType:
    try:
        import keras_hub
    except ImportError:
        raise UserError('keras-hub is not installed; pip install "stackgan_tf[clip]" brings it') from None
    return keras_hub
