"""From sentences to pictures, by whatever draws: a Keras generator, or a .tflite file where there is no TensorFlow."""

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from stackgan_tf import noise
from stackgan_tf.errors import UserError


class SentenceEncoder(Protocol):
    """Sentences in, embeddings out."""

    name: str
    size: int  # T

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences -> [N, T] float32."""


class Artist(ABC):
    """Draws pictures for sentences or embeddings, or without text, always the same for the same seed.

    Args:
        scales: sides in pixels of the images that it draws, coarsest first.
        noise_sizes: of the generator's inputs z, eps and eps_stage1, those that it has.
        eps_distribution: what eps is drawn from.
        encoder: of sentences; None without text.
    """

    def __init__(
        self,
        scales: Sequence[int],
        noise_sizes: Mapping[str, int],
        eps_distribution: noise.Distribution,
        encoder: SentenceEncoder | None,
    ) -> None:
        self.scales, self.noise_sizes, self.eps_distribution = scales, noise_sizes, eps_distribution
        self.encoder = encoder

    def __call__(
        self,
        sentences: str | Sequence[str] | np.ndarray | int,
        seed: int = 0,
        truncation: float = 1.0,
        batch_size: int = 32,
    ) -> dict[int, np.ndarray]:
        """Pictures by the side of their scale in pixels: `{side: [N, side, side, 3] uint8}`; of one side, the last.

        Args:
            sentences: one or N sentences, or their embeddings [N, T]; without text: N.
            seed: of z and eps. Picture i depends on the seed, on i and on its sentence alone.
            truncation: the noise is multiplied by it: 1 as trained, towards 0 the mean picture of a sentence.
            batch_size: how many are drawn at once.

        Raises:
            UserError: text for a model without, none for a model with, a blank sentence, embeddings of another size,
                a seed out of range, a batch size below 1, a truncation that is not from 0 to 1.
        """
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size}: must be at least 1")
        noise.check_truncation(truncation)
        embeddings, count = self._embeddings(sentences)
        drawn: list[list[np.ndarray]] = [[] for _ in self.scales]
        for start in range(0, count, batch_size):
            rows = range(start, min(start + batch_size, count))
            inputs = {name: truncation * values for name, values in self.noise(seed, rows).items()}
            if embeddings is not None:
                inputs["text_embedding"] = embeddings[rows.start : rows.stop]
            for images, scale in zip(self.draw(**inputs), drawn, strict=True):
                scale.append(images)
        return {side: np.concatenate(scale) for side, scale in zip(self.scales, drawn, strict=True)}

    def _embeddings(self, sentences: str | Sequence[str] | np.ndarray | int) -> tuple[np.ndarray | None, int]:
        if self.encoder is None:
            if not isinstance(sentences, numbers.Integral) or sentences < 1:
                raise UserError(f"this model draws without text: give the number of pictures, not {sentences!r}")
            return None, int(sentences)
        if isinstance(sentences, np.ndarray) and sentences.dtype.kind == "f":
            if sentences.ndim != 2 or sentences.shape[1] != self.encoder.size or not len(sentences):
                raise UserError(f"text embeddings of shape {sentences.shape}: must be (N, {self.encoder.size})")
            return sentences.astype(np.float32), len(sentences)
        sentences = [sentences] if isinstance(sentences, str) else sentences
        if not isinstance(sentences, Sequence | np.ndarray) or not len(sentences):
            raise UserError(f"this model draws from sentences: give at least one, not {sentences!r}")
        for sentence in sentences:
            if not isinstance(sentence, str):
                raise UserError(f"this model draws from sentences, or from embeddings as one array; not {sentence!r}")
        embeddings = self.encoder.encode(sentences)
        for sentence, embedding in zip(sentences, embeddings, strict=True):
            if not sentence.strip() or not embedding.any():
                raise UserError(f"the sentence {sentence!r} has no word")
        return embeddings, len(sentences)

    @abstractmethod
    def draw(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """Pictures at every scale, [N, side, side, 3] uint8, for the generator's own inputs: see `noise`."""

    def noise(self, seed: int, rows: Iterable[int]) -> dict[str, np.ndarray]:
        """The inputs z [N, Z] and, with text, eps [N, E] of these pictures: each drawn from the seed and its number."""
        return noise.draw(noise.row_seeds(seed, rows), self.noise_sizes, self.eps_distribution)


def grey_levels(images: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] as pictures: the nearest of 256 levels, uint8."""
    return np.rint((images + 1) * 127.5).astype(np.uint8)
